import { emitMatcher } from '../codegen/index.js'
import { compilePolicy, type PolicyWarning } from '../compile-policy.js'
import { disassemble, encode, type PolicyProgram } from '../ebpf/index.js'
import { type Expression, parseFilter } from '../filter/index.js'
import { printGraph } from '../ir/index.js'
import type { ActionKind } from '../policy/index.js'
import { encodeModule, printModule } from '../wasm/index.js'
import { readPolicyFile } from './policy-file.js'
import { policySource } from './policy-source.js'

/** Every form that a policy has on its way from text to the kernel; each is made when it is asked for. */
export interface PolicyForms {
  readonly warnings: readonly PolicyWarning[]
  /** Null: a rule that matches every packet. */
  ast(): { readonly name: string; readonly action: ActionKind; readonly ast: Expression | null }[]
  /** Decision graphs after the rewrites, as text, with the names of their rules. */
  ir(): { readonly rules: readonly string[]; readonly ir: string }[]
  ebpf(): { readonly program: PolicyProgram; readonly assembly: string; readonly code: string }
  /** The matcher of each segment, as text and in the binary format. */
  wasm(): { readonly rules: readonly string[]; readonly text: string; readonly base64: string }[]
}

/**
 * The forms of the policy in `file`, for Ethernet frames. A program names
 * devices only in a map that the loader fills, so that they need not be there;
 * for `ebpf` the kernel is asked how many CPUs it may have, and for nothing else.
 * Throws PolicyFileError, PolicyError and SetError; `ebpf` throws PolicyError.
 */
export function policyForms(file: string): PolicyForms {
  const { policy, sets, placeOf } = readPolicyFile(file)
  const { warnings, conditions } = compilePolicy(policy, { placeOf })
  const source = policySource(policy, { sets, conditions, interfaceIndex: numberedDevices(), placeOf })
  const segments = () =>
    source.segments().map(({ graph, rules }) => ({ graph, rules: rules.map((rule) => policy.rules[rule]!.name) }))
  return {
    warnings,
    ast: () =>
      policy.rules.map(({ name, match, action }) => {
        const { expression } = parseFilter(match, { sets: new Set(sets.keys()) })
        return { name, action: action.kind, ast: expression }
      }),
    ir: () => segments().map(({ graph, rules }) => ({ rules, ir: printGraph(graph) })),
    ebpf() {
      const program = source.compile(
        policy.rules.map((_, rule) => rule),
        Math.max(policy.rules.length, 1),
      )
      return {
        program,
        assembly: disassemble(program),
        code: Buffer.from(encode(program.instructions)).toString('hex'),
      }
    },
    wasm: () =>
      segments().map(({ graph, rules }) => {
        const { module } = emitMatcher(graph)
        return { rules, text: printModule(module), base64: Buffer.from(encodeModule(module)).toString('base64') }
      }),
  }
}

/** Numbers for the devices of `forward` rules, so that a policy can be looked at where they are not. */
export function numberedDevices(): (device: string) => number {
  const numbers = new Map<string, number>()
  return (device) => {
    const number = numbers.get(device) ?? numbers.size + 1
    numbers.set(device, number)
    return number
  }
}
