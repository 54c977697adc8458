import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, createPool, createSpace, loadCode } from '../src/memory/index.js'
import { findCompilers, startC } from './c-program.js'
import { printReport } from './report.js'
import { type Contestant, openRounds } from './rounds.js'

/**
 * A buffer of 2048 bytes for each packet, taken and given back, 64 at a time:
 * from the frame pool in bulk and one by one, from malloc in C, and from what
 * JavaScript has. `speedup` is over the latter, which a program in TypeScript would
 * use without the pool; `speedupOverMalloc` over malloc in C.
 */
const BURST = 64
const ROUNDS = 15
const BUFFERS = 2_000_000
const FRAME_BYTES = 2048

const space = createSpace(32 << 20)
const pool = createPool(space, loadCode(space), { [FRAME_BYTES]: 4096 }).openWorker('bench')
const bundle = space.reserve({ name: 'bundle', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
const countAt = bundle / 4
const held: Uint8Array[] = []

function bulk(): void {
  pool.take(bundle, BURST)
  pool.give(bundle + BUNDLE_DESCRIPTORS, BURST)
  space.words[countAt] = 0
}

function single(): void {
  for (let index = 0; index < BURST; index++) pool.take(bundle, 1)
  for (let index = 0; index < BURST; index++) pool.give(bundle + BUNDLE_DESCRIPTORS + index * 16, 1)
  space.words[countAt] = 0
}

function zeroed(): void {
  for (let index = 0; index < BURST; index++) held[index] = new Uint8Array(FRAME_BYTES)
}

function unzeroed(): void {
  for (let index = 0; index < BURST; index++) held[index] = Buffer.allocUnsafeSlow(FRAME_BYTES)
}

/** Nanoseconds a buffer. */
function time(run: () => void, buffers: number): number {
  const begin = performance.now()
  for (let done = 0; done < buffers; done += BURST) run()
  return ((performance.now() - begin) * 1e6) / buffers
}

const [compiler] = findCompilers(['gcc', 'clang', 'clang-14'])
const peer = compiler === undefined ? null : startC({ source: 'malloc-loop.c', compiler })
if (peer === null) console.error('malloc in C is left out: there is no C compiler (Debian: apt-get install gcc)')

const BULK = 'pool, 64 at once'
const SINGLE = 'pool, one by one'
const ARRAY = 'new Uint8Array'
const BUFFER = 'Buffer.allocUnsafeSlow'
const MALLOC = `malloc and free, C, ${compiler} -O2`
const ways: Contestant[] = [
  { name: BULK, sample: () => time(bulk, BUFFERS * 10) },
  { name: SINGLE, sample: () => time(single, BUFFERS) },
  { name: ARRAY, sample: () => time(zeroed, BUFFERS / 10) },
  { name: BUFFER, sample: () => time(unzeroed, BUFFERS / 10) },
]
for (const { sample } of ways) sample()
if (peer !== null) {
  const sample = async () => Number(await peer.ask(`${BURST} ${BUFFERS / BURST}`)) / BUFFERS
  ways.push({ name: MALLOC, threads: [peer.pid], sample })
}
const rounds = await openRounds()
const comparison = await rounds.compare(ways, ROUNDS)
peer?.close()

/** Over the pool in bulk, sample by sample with its neighbour, because the machine's pace changes. */
const overBulk = (name: string) => comparison.spreadBeside(name, (own, nearest) => own / nearest(BULK)).median
printReport({
  name: 'pool',
  rows: ways.map(({ name }) => ({ by: name, ...comparison.columns(name, 'nsPerBuffer') })),
  ratios: {
    speedup: Math.min(overBulk(ARRAY), overBulk(BUFFER)),
    ...(peer === null ? {} : { speedupOverMalloc: overBulk(MALLOC) }),
    bulkSpeedup: overBulk(SINGLE),
  },
  disturbed: rounds.disturbed(),
})
