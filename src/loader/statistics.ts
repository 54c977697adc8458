import { closeBpf, loadProgramCode, XDP_HAS_FRAGS } from '../kernel/index.js'
import { type LoadedProgram, linkMaps } from './load.js'

/** What the kernel's verifier had to do for a program (kernel/bpf/verifier.c, print_verification_stats). */
export interface VerifierStatistics {
  /** Instructions that it walked, the same one again for each way that leads there; the limit is 1,000,000. */
  readonly walked: number
  /** States that it kept to compare with. */
  readonly states: number
  readonly peakStates: number
}

/** Has the verifier check a loaded program once more and say what that took; null where it says nothing. */
export function verifierStatistics({ program, maps }: LoadedProgram): VerifierStatistics | null {
  const result = loadProgramCode({
    name: program.name,
    code: linkMaps(program, maps),
    license: program.license,
    flags: program.multiBuffer ? XDP_HAS_FRAGS : 0,
    logLevel: 4,
  })
  if (result.fd === null) return null
  closeBpf(result.fd)
  const found = /processed (\d+) insns .*total_states (\d+) peak_states (\d+)/.exec(result.log)
  return found && { walked: Number(found[1]), states: Number(found[2]), peakStates: Number(found[3]) }
}
