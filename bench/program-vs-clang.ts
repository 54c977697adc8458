import { fileURLToPath } from 'node:url'
import { compileRule } from '../src/compile.js'
import { assemble, encode, exit, mov64, R0 } from '../src/ebpf/index.js'
import { closeBpf, loadProgramCode, testRun } from '../src/kernel/index.js'
import { floodTemplate, sealFloodFrame } from '../src/lab/flood-frame.js'
import { loadProgram } from '../src/loader/index.js'
import { compileC, findClang } from './clang.js'
import { printReport } from './report.js'
import { geometricMean, type Spread, spreadOf } from './statistics.js'

/**
 * Sluice's code for one rule against clang -O2's for the same check in C:
 * nanoseconds a packet by BPF_PROG_TEST_RUN, interleaved, over packets that
 * match, that fail at the last test, and that fail at the first.
 */

const MATCH = 'udp and dst port 53 and src net 198.51.100.0/24'
const SOURCE = fileURLToPath(new URL('../../bench/c/dns-from-net.c', import.meta.url))
const ROUNDS = 9
const REPEAT = 40_000_000

const PACKETS: Record<string, Uint8Array> = {
  'match: dropped and counted': packet('udp', 0xc6336407, 53),
  'other source': packet('udp', 0xc0000207, 53),
  'other port': packet('udp', 0xc6336407, 443),
  'not UDP': packet('syn', 0xc6336407, 53),
}

function packet(kind: 'udp' | 'syn', source: number, port: number): Uint8Array {
  const frame = floodTemplate({
    kind,
    sourceMac: '02:00:00:00:00:01',
    destinationMac: '02:00:00:00:00:02',
    destination: '203.0.113.2',
    port,
    sources: { address: '198.51.100.0', length: 24 },
    bytes: { least: 60, most: 60 },
  })
  sealFloodFrame(kind, frame, { source, port: 40_000, sequence: 1 })
  return frame
}

/** Loads the C program with the rule counters of ours, so that both count into the same map. */
function loadC(clang: string, counters: number): number {
  const { code, mapSlots } = compileC(clang, SOURCE)
  const view = new DataView(code.buffer, code.byteOffset)
  for (const slot of mapSlots) {
    // BPF_PSEUDO_MAP_FD in the source register, the descriptor as the immediate.
    code[slot * 8 + 1] = (code[slot * 8 + 1]! & 0x0f) | 0x10
    view.setInt32(slot * 8 + 4, counters, true)
  }
  const loaded = loadProgramCode({ name: 'clang', code, license: 'Dual BSD/GPL', flags: 0, logLevel: 1 })
  if (loaded.fd === null) throw new Error(`the verifier refused the C program: ${loaded.log}`)
  return loaded.fd
}

/** A program that only returns: what the kernel's loop around a program costs. */
function loadEmpty(): number {
  const { instructions } = assemble([mov64(R0, 2), exit()])
  const loaded = loadProgramCode({ name: 'empty', code: encode(instructions), license: 'GPL', flags: 0, logLevel: 0 })
  if (loaded.fd === null) throw new Error('the verifier refused the empty program')
  return loaded.fd
}

/**
 * Nanoseconds a run by our own clock, because the kernel's figure has no
 * fractions. The kernel waits for an RCU grace period in each call (about
 * 10 ms, for the XDP dispatcher), so a call has to be long.
 */
function time(fd: number, data: Uint8Array): number {
  const start = process.hrtime.bigint()
  testRun({ fd, data, repeat: REPEAT })
  return Number(process.hrtime.bigint() - start) / REPEAT
}

function range({ least, most }: Spread): string {
  return `${least.toFixed(2)}-${most.toFixed(2)}`
}

function run(clang: string): void {
  const ours = loadProgram(compileRule({ match: MATCH, action: 'drop' }).program)
  const theirs = loadC(clang, ours.maps.get('rule_counters')!.fd)
  const harness = loadEmpty()
  const ratios: number[] = []
  const rows = Object.entries(PACKETS).map(([name, data]) => {
    const samples = { ours: [] as number[], theirs: [] as number[], empty: [] as number[] }
    const verdicts = [ours.fd, theirs].map((fd) => testRun({ fd, data }).retval)
    if (verdicts[0] !== verdicts[1]) throw new Error(`${name}: verdicts differ (${verdicts.join(' and ')})`)
    for (let round = 0; round < ROUNDS; round++) {
      samples.ours.push(time(ours.fd, data))
      samples.theirs.push(time(theirs, data))
      samples.empty.push(time(harness, data))
    }
    const [mine, peer] = [spreadOf(samples.ours), spreadOf(samples.theirs)]
    ratios.push(mine.median / peer.median)
    return {
      packet: name,
      'ours ns': mine.median,
      'ours range': range(mine),
      'clang ns': peer.median,
      'clang range': range(peer),
      'empty ns': spreadOf(samples.empty).median,
      ratio: mine.median / peer.median,
    }
  })
  ours.close()
  closeBpf(theirs)
  closeBpf(harness)
  printReport({ name: 'program-vs-clang', rows, ratios: { ebpfVsClang: geometricMean(ratios) } })
}

const clang = findClang()
if (clang === null) console.error('skipped: there is no clang on this machine (Debian: apt-get install clang-14)')
else run(clang)
