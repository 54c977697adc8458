import { Worker } from 'node:worker_threads'
import { withAffinity } from '../src/kernel/index.js'
import {
  brIf,
  encodeModule,
  end,
  get,
  i32,
  instantiate,
  loop,
  type OperationName,
  op,
  set,
  tee,
} from '../src/wasm/index.js'
import { spreadOf } from './statistics.js'

/** Of one probe: some 20 µs on a core of its own. */
const TURNS = 32_768
/** The middle one of so many: an interrupt meets one of them, another thread on the core's other half all. */
const PROBES = 3
/** Until V8 has compiled the loop with its optimizing compiler, which it does beside. */
const WARM_UP_MS = 50

/** One of each turn's additions: none waits for another, so a core does as many at once as it has units for. */
const SUMS: readonly (readonly [string, OperationName])[] = [
  ['a', 'i32.add'],
  ['b', 'i32.xor'],
  ['c', 'i32.sub'],
  ['d', 'i32.add'],
  ['e', 'i32.xor'],
  ['f', 'i32.sub'],
]

/**
 * How fast the calling thread's core is now: nanoseconds of a turn of a loop of
 * independent additions. Where the core is one of two hardware threads, and the
 * other one works, the two share the units that add: this loop, and all code
 * that is limited by them, takes up to twice as long, while code that waits for
 * memory or for its own results hardly notices. A call takes some 60 µs.
 */
export async function openCoreProbe(): Promise<() => number> {
  const turn = instantiate(MODULE, {})['turn']!
  const once = () => {
    const begin = performance.now()
    turn(TURNS)
    return ((performance.now() - begin) * 1e6) / TURNS
  }
  const probe = () => spreadOf(Array.from({ length: PROBES }, once)).median
  for (const end = performance.now() + WARM_UP_MS; performance.now() < end; ) {
    probe()
    await new Promise(setImmediate)
  }
  return probe
}

/** Where the two threads meet: 32-bit words by their number, then the nanoseconds that the other one found. */
export const PROBE_WORDS = { ready: 0, asked: 1, here: 2, bytes: 24 } as const

/** What the other thread is started with. */
export interface ProbeThread {
  readonly buffer: SharedArrayBuffer
  readonly core: number
}

/**
 * The same of two cores at once, each from a thread of its own: whether they are
 * halves of one core is seen only while both work. This thread probes the first.
 */
export async function openPairProbe([own, core]: readonly [number, number]): Promise<() => [number, number]> {
  const probe = await openCoreProbe()
  const buffer = new SharedArrayBuffer(PROBE_WORDS.bytes)
  const [words, results] = [new Int32Array(buffer), new Float64Array(buffer, PROBE_WORDS.bytes - 8)]
  words[PROBE_WORDS.ready] = -1
  const thread = new Worker(new URL('./core-probe.thread.js', import.meta.url), { workerData: { buffer, core } })
  thread.unref()
  let turn = 0
  const isReady = () => Atomics.load(words, PROBE_WORDS.ready) === turn
  while (!isReady()) await new Promise((resolve) => setTimeout(resolve, 1))
  return () =>
    withAffinity([own], () => {
      turn++
      Atomics.store(words, PROBE_WORDS.asked, turn)
      Atomics.notify(words, PROBE_WORDS.asked)
      while (Atomics.load(words, PROBE_WORDS.here) !== turn);
      const found = probe()
      while (!isReady());
      return [found, results[0]!]
    })
}

const MODULE = encodeModule({
  memory: null,
  imports: [],
  functions: [
    {
      name: 'turn',
      exported: true,
      parameters: [{ name: 'left', type: 'i32' }],
      results: ['i32'],
      locals: SUMS.map(([name]) => ({ name, type: 'i32' })),
      body: [
        loop('next'),
        ...SUMS.flatMap(([name, operation]) => [get(name), get('left'), op(operation), set(name)]),
        ...[get('left'), i32(1), op('i32.sub'), tee('left'), brIf('next')],
        end,
        ...SUMS.flatMap(([name], index) => [get(name), ...(index > 0 ? [op('i32.xor')] : [])]),
      ],
    },
  ],
})
