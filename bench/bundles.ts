import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { createLink } from '../src/device/index.js'
import { type Device, draw, type Engine, type Graph, receive, send, startEngine } from '../src/engine/index.js'
import { createPool, createSpace, loadCode } from '../src/memory/index.js'
import { count, earlyDrop, reflect, steer } from '../src/stages/index.js'
import { flowHash } from '../src/wire/index.js'
import { type Arrival, openSource, writeFlows } from './packet-source.js'
import { printReport } from './report.js'
import { openRounds } from './rounds.js'

/**
 * Packets of 64 bytes from device to device through a graph, on one core:
 * bundles of 1 to 256; frames recycled, copied into or allocated for; the
 * flow's hash from the descriptor's metadata or from the header.
 */
const FRAMES = 1024
const ROUNDS = 15
const PACKETS = 400_000
const COPIED_BYTES = 1514
const SIZES = [1, 8, 64, 256] as const
const RULE = 'udp and src net 198.51.100.0/24 and dst port 53'

const space = createSpace(32 << 20)
const code = loadCode(space)
const pool = createPool(space, code, { 2048: FRAMES })
const worker = pool.openWorker('bench')
writeFlows(space, worker, FRAMES, flowHash)
const matcher = placeMatcher(space, 'rule', compileFilter(RULE).optimized)
let arrival: Arrival = 'recycled'
const source = openSource(space, worker, () => arrival, COPIED_BYTES)

interface Way {
  readonly title: string
  readonly of: string
  readonly arrival: Arrival
  readonly engine: Engine
  readonly bundle: number
}

function way(of: string, title: string, graph: Graph, bundle: number, how: Arrival = 'recycled'): Way {
  const engine = startEngine(space, code, worker, graph, { name: `${of} ${title}`, bundle })
  return { of, title, engine, bundle, arrival: how }
}

/** Two engines with a ring between them, as two devices: ring, call and wake-up belong to the bundle. */
function throughRing(size: number): Way {
  const [near, far] = createLink(space, code, worker, `size ${size}`, { slots: 256 })
  const [first, second] = [
    startEngine(space, code, worker, draw([receive(source), send(near)]), { name: `feed ${size}`, bundle: size }),
    startEngine(space, code, worker, path(far), { name: `path ${size}`, bundle: size }),
  ]
  const engine: Engine = {
    ...second,
    round() {
      first.round()
      return second.round()
    },
  }
  return { of: 'bundle', title: String(size), engine, bundle: size, arrival: 'recycled' }
}

function path(from: Device): Graph {
  return draw([receive(from), earlyDrop('rule', matcher.judge), count('passed'), reflect(), send(source)])
}

function steering(hash: 'metadata' | 'header'): Graph {
  const end = send(source)
  return draw([receive(source), steer('flows', 2, { hash }), end], ['flows.1', end])
}

function time({ engine, arrival: how }: Way, packets: number): number {
  arrival = how
  const begin = performance.now()
  for (let done = 0; done < packets; ) done += engine.round()
  return ((performance.now() - begin) * 1e6) / packets
}

const ways: Way[] = [
  ...SIZES.map(throughRing),
  ...(['recycled', 'copied', 'allocated'] as const).map((how) => way('buffer', how, path(source), 64, how)),
  ...(['metadata', 'header'] as const).map((hash) => way('flow hash from', hash, steering(hash), 64)),
]
for (const each of ways) time(each, PACKETS)
const rounds = await openRounds()
const nameOf = (of: string, title: string) => `${of} ${title}`
const comparison = await rounds.compare(
  ways.map((each) => ({ name: nameOf(each.of, each.title), sample: () => time(each, PACKETS) })),
  ROUNDS,
)
/** Sample by sample with its neighbour, because the machine's pace changes. */
const ratio = (of: string, slower: string, faster: string) =>
  comparison.spreadBeside(nameOf(of, slower), (own, nearest) => own / nearest(nameOf(of, faster))).median
printReport({
  name: 'bundles',
  rows: ways.map(({ of, title, bundle }) => {
    const what = nameOf(of, title)
    return { what, packetsABundle: bundle, ...comparison.columns(what) }
  }),
  ratios: {
    speedup64Over1: ratio('bundle', '1', '64'),
    recycledOverAllocated: ratio('buffer', 'allocated', 'recycled'),
    zeroCopyOverCopy: ratio('buffer', 'copied', 'recycled'),
    metadataOverHeader: ratio('flow hash from', 'header', 'metadata'),
  },
  disturbed: rounds.disturbed(),
})
