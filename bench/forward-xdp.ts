import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { closeBpf, loadProgramCode, parseMac, updateElement, withNamespace } from '../src/kernel/index.js'
import { attachXdp, type LoadedProgram, loadProgram, type XdpLink } from '../src/loader/index.js'
import { PORTS } from '../src/offload/formats.js'
import { forwardProgram } from '../src/offload/index.js'
import { skipUnless } from '../test/support/require.js'
import { compileC, findClang } from './clang.js'
import { type Forwarding, type ForwardRig, openForwardRig } from './forward-rig.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * A router between two veth pairs: the kernel's own forwarding, a C program
 * that asks the same tables (clang -O2), ours, and ours with the flow table, in
 * turn on the same packets.
 */

const ROUNDS = 15
const PACKETS = 300_000
const WARM_UP_PACKETS = 50_000
/** Packets of each flow before the flow table is measured: one in 16 enters its flow. */
const LEARNING_PACKETS = 150
const LEARN_ONE_IN = 16
/** Flows and routes; the first is what the ratios are of. */
const POPULATIONS = [1000, 10_000] as const

interface Way {
  readonly name: string
  /** Puts it in place; null: nothing, so that the kernel forwards. */
  readonly program: { readonly fd: number } | null
}

/** The C program with the devices' map of ours. */
function loadC(clang: string, ports: number): { fd: number } {
  const { code, mapSlots } = compileC(clang, fileURLToPath(new URL('../../bench/c/forward.c', import.meta.url)))
  const view = new DataView(code.buffer, code.byteOffset)
  for (const slot of mapSlots) {
    // BPF_PSEUDO_MAP_FD in the source register, the descriptor as the immediate.
    code[slot * 8 + 1] = (code[slot * 8 + 1]! & 0x0f) | 0x10
    view.setInt32(slot * 8 + 4, ports, true)
  }
  const loaded = loadProgramCode({ name: 'clang', code, license: 'GPL', flags: 0, logLevel: 1 })
  if (loaded.fd === null) throw new Error(`the verifier refused forward.c: ${loaded.log}`)
  return { fd: loaded.fd }
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

async function compare(rig: ForwardRig, clang: string, flows: number) {
  const { namespace, towardsAttacker, towardsVictim } = rig.router
  const port = { index: towardsAttacker.index, mac: parseMac(towardsAttacker.mac), reversePath: 'off' } as const
  const ours = loadProgram(forwardProgram(port))
  const ports = ours.maps.get(PORTS)!.fd
  withNamespace(namespace, () => updateElement(ports, u32(towardsVictim.index), u32(towardsVictim.index)))
  const table = loadProgram(forwardProgram(port, { capacity: 2 * flows, learnOneIn: LEARN_ONE_IN }), ours.maps)
  const theirs = loadC(clang, ports)
  const ways: Way[] = [
    { name: 'kernel', program: null },
    { name: 'C, clang', program: theirs },
    { name: 'ours', program: ours },
    { name: 'ours, flow table', program: table },
  ]
  const samples = new Map<Way, Forwarding[]>(ways.map((way) => [way, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ways) {
      const link: XdpLink | null =
        way.program &&
        withNamespace(namespace, () => attachXdp(way.program as LoadedProgram, towardsAttacker, 'native'))
      await sleep(50)
      // The first time with the flow table all flows are entered: the later ones find them there.
      rig.flood(way === ways[3] && round === 0 ? LEARNING_PACKETS * flows : WARM_UP_PACKETS)
      samples.get(way)!.push(rig.flood(PACKETS))
      link?.close()
    }
  }
  closeBpf(theirs.fd)
  table.close()
  ours.close()
  const of = (way: Way, value: (sample: Forwarding) => number) => spreadOf(samples.get(way)!.map(value))
  const rate = (way: Way) => of(way, ({ packetsPerSecond }) => packetsPerSecond / 1e6)
  const cost = (way: Way) => of(way, ({ nsPerPacket }) => nsPerPacket)
  // Round by round, because the machine's pace changes from one to the next; of the router's core, because the generator
  // cannot keep it busy.
  const times = (way: Way, peer: Way) =>
    spreadOf(samples.get(way)!.map(({ nsPerPacket }, round) => samples.get(peer)![round]!.nsPerPacket / nsPerPacket))
      .median
  const range = ({ least, most }: { least: number; most: number }, digits: number) =>
    `${least.toFixed(digits)}-${most.toFixed(digits)}`
  const [kernel, c, own, byFlow] = ways as [Way, Way, Way, Way]
  return {
    rows: ways.map((way) => ({
      'flows and routes': flows,
      way: way.name,
      Mpps: rate(way).median,
      'Mpps range': range(rate(way), 2),
      'ns a packet': cost(way).median,
      'ns range': range(cost(way), 0),
    })),
    ratios: { vsC: times(own, c), vsKernel: times(own, kernel), flowTable: times(byFlow, own) },
  }
}

async function run(clang: string): Promise<void> {
  const results = []
  for (const flows of POPULATIONS) {
    const rig = openForwardRig(flows)
    for (const note of rig.notes) console.error(note)
    try {
      results.push(await compare(rig, clang, flows))
    } finally {
      rig.close()
    }
  }
  const [first, second] = results
  printReport({
    name: 'forward-xdp',
    rows: results.flatMap(({ rows }) => rows),
    ratios: { ...first!.ratios, flowTableOfTenThousand: second!.ratios.flowTable },
  })
}

const missing = skipUnless('root')
const clang = findClang()
if (missing !== false) console.error(`skipped: the benchmark ${missing}`)
else if (clang === null) console.error('skipped: there is no clang on this machine (Debian: apt-get install clang-14)')
else if (availableParallelism() < 2) console.error('skipped: router and generator need a core each')
else await run(clang)
