import { fileURLToPath } from 'node:url'
import { compileRule } from '../src/compile.js'
import { assemble, encode, exit, mov64, R0 } from '../src/ebpf/index.js'
import { closeBpf, loadProgramCode, testRun } from '../src/kernel/index.js'
import { loadProgram } from '../src/loader/index.js'
import { randomPacket } from '../test/support/random-packet.js'
import { compileC, findClang } from './clang.js'
import { ipv4, ipv6 } from './frames.js'
import { printReport } from './report.js'
import { geometricMean, type Spread, spreadOf } from './statistics.js'

/**
 * Sluice's code for ten rules against clang -O2's for the same checks in C
 * (bench/c): nanoseconds a packet by BPF_PROG_TEST_RUN, interleaved, over a
 * packet that matches, one that fails at a late test, and one that fails at the
 * first.
 */

const ROUNDS = 9
const REPEAT = 5_000_000
/** Packets on which both must agree before anything is timed. */
const COMPARED = 300
/** The C checks ask for whole headers, so nothing may be cut. */
const PADDING_BYTES = 64

interface Check {
  /** In bench/c. */
  readonly source: string
  readonly rule: string
  readonly hit: Uint8Array
  readonly miss: Uint8Array
}

const [TCP, UDP, ICMP] = [6, 17, 1]
const [NET, OTHER] = [0xc6336407, 0xc0000209]
const SYN = { flags: 0x02 }

const CHECKS: readonly Check[] = [
  {
    source: 'dns-from-net',
    rule: 'udp and dst port 53 and src net 198.51.100.0/24',
    hit: ipv4(UDP, { source: NET, port: 53 }),
    miss: ipv4(UDP, { source: OTHER, port: 53 }),
  },
  {
    source: 'syn',
    rule: 'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn',
    hit: ipv4(TCP, SYN),
    miss: ipv4(TCP, { flags: 0x12 }),
  },
  {
    source: 'web',
    rule: 'ip and (tcp dst port 80 or tcp dst port 443)',
    hit: ipv4(TCP, { port: 443 }),
    miss: ipv4(TCP, { port: 8080 }),
  },
  {
    source: 'ntp-answers',
    rule: 'udp src port 123 and greater 469',
    hit: ipv4(UDP, { sourcePort: 123, bytes: 490 }),
    miss: ipv4(UDP, { sourcePort: 123 }),
  },
  { source: 'from-net', rule: 'ip src net 10.0.0.0/8', hit: ipv4(UDP, { source: 0x0a010203 }), miss: ipv4(UDP, {}) },
  {
    source: 'host',
    rule: 'ip host 192.0.2.7',
    hit: ipv4(UDP, { destination: 0xc0000207 }),
    miss: ipv4(UDP, { source: OTHER }),
  },
  {
    source: 'echo',
    rule: 'icmp[icmptype] == icmp-echo',
    hit: ipv4(ICMP, { sourcePort: 0x0800 }),
    miss: ipv4(ICMP, {}),
  },
  {
    source: 'host6',
    rule: 'ip6 src host 2001:db8::53',
    hit: ipv6([0x20010db8, 0, 0, 0x53]),
    miss: ipv6([0x20010db8, 0, 0, 0x54]),
  },
  { source: 'fragments', rule: 'ip[6:2] & 0x3fff != 0', hit: ipv4(UDP, { fragment: 0x2000 }), miss: ipv4(UDP, {}) },
  {
    source: 'traceroute',
    rule: 'ip and udp dst portrange 33434-33523',
    hit: ipv4(UDP, { port: 33500 }),
    miss: ipv4(UDP, { port: 33600 }),
  },
]

/** Loads the C program with the rule counters of ours, so that both count into the same map. */
function loadC(clang: string, source: string, counters: number): number {
  const path = fileURLToPath(new URL(`../../bench/c/${source}.c`, import.meta.url))
  const { code, mapSlots } = compileC(clang, path)
  const view = new DataView(code.buffer, code.byteOffset)
  for (const slot of mapSlots) {
    // BPF_PSEUDO_MAP_FD in the source register, the descriptor as the immediate.
    code[slot * 8 + 1] = (code[slot * 8 + 1]! & 0x0f) | 0x10
    view.setInt32(slot * 8 + 4, counters, true)
  }
  return loadCode('clang', code)
}

function loadCode(name: string, code: Uint8Array): number {
  const loaded = loadProgramCode({ name, code, license: 'Dual BSD/GPL', flags: 0, logLevel: 1 })
  if (loaded.fd === null) throw new Error(`the verifier refused the program ${name}: ${loaded.log}`)
  return loaded.fd
}

/**
 * Nanoseconds of this process's CPU time a run: the kernel's own figure has no
 * fractions, and by the clock on the wall one would count what others do on
 * the machine, and the 10 ms of an RCU grace period in each call.
 */
function time(fd: number, data: Uint8Array): number {
  const before = process.cpuUsage()
  testRun({ fd, data, repeat: REPEAT })
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / REPEAT
}

function assertSame({ rule }: Check, ours: number, theirs: number, frames: readonly Uint8Array[]): void {
  for (const data of frames) {
    const verdicts = [ours, theirs].map((fd) => testRun({ fd, data }).retval)
    if (verdicts[0] !== verdicts[1])
      throw new Error(`${rule}: verdicts differ (${verdicts.join(', ')}) on ${Buffer.from(data).toString('hex')}`)
  }
}

/** Whole packets of many kinds, the same in each run. */
function randomFrames(): Uint8Array[] {
  let state = 7
  const word = () => {
    state = (Math.imul(state, 0x915f77f5) + 1) >>> 0
    return state >>> 7
  }
  const below = (limit: number) => word() % limit
  const random = { seed: 7, word, below, pick: <T>(choices: readonly T[]) => choices[below(choices.length)]! }
  return Array.from({ length: COMPARED }, () => {
    const { bytes } = randomPacket(random)
    const frame = new Uint8Array(bytes.length + PADDING_BYTES)
    frame.set(bytes)
    return frame
  })
}

function range({ least, most }: Spread): string {
  return `${least.toFixed(2)}-${most.toFixed(2)}`
}

function compareOne(clang: string, check: Check, empty: number, frames: readonly Uint8Array[]) {
  const ours = loadProgram(compileRule({ match: check.rule, action: 'drop' }).program)
  const theirs = loadC(clang, check.source, ours.maps.get('rule_counters')!.fd)
  const packets = { hit: check.hit, miss: check.miss, 'no IP': new Uint8Array(60).fill(0x42) }
  assertSame(check, ours.fd, theirs, [...Object.values(packets), ...frames])
  const rows = Object.entries(packets).map(([packet, data]) => {
    const samples = { ours: [] as number[], theirs: [] as number[], empty: [] as number[] }
    for (let round = 0; round < ROUNDS; round++) {
      samples.ours.push(time(ours.fd, data))
      samples.theirs.push(time(theirs, data))
      samples.empty.push(time(empty, data))
    }
    const [mine, peer] = [spreadOf(samples.ours), spreadOf(samples.theirs)]
    return {
      rule: check.rule,
      packet,
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
  return rows
}

function run(clang: string): void {
  // A program that only returns: what the kernel's loop around a program costs.
  const empty = loadCode('empty', encode(assemble([mov64(R0, 2), exit()]).instructions))
  const frames = randomFrames()
  const rows = CHECKS.flatMap((check) => compareOne(clang, check, empty, frames))
  closeBpf(empty)
  printReport({
    name: 'program-vs-clang',
    rows,
    ratios: { ebpfVsClang: geometricMean(rows.map(({ ratio }) => ratio)) },
  })
}

const clang = findClang()
if (clang === null) console.error('skipped: there is no clang on this machine (Debian: apt-get install clang-14)')
else run(clang)
