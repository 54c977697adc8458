import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, createPool, createSpace, loadCode } from '../src/memory/index.js'
import { findCompilers, startC } from './c-program.js'
import { printReport } from './report.js'
import { type Spread, spreadOf } from './statistics.js'

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

const ways = [
  { by: 'pool, 64 at once', run: bulk, buffers: BUFFERS * 10, samples: [] as number[] },
  { by: 'pool, one by one', run: single, buffers: BUFFERS, samples: [] as number[] },
  { by: 'new Uint8Array', run: zeroed, buffers: BUFFERS / 10, samples: [] as number[] },
  { by: 'Buffer.allocUnsafeSlow', run: unzeroed, buffers: BUFFERS / 10, samples: [] as number[] },
]
const [compiler] = findCompilers(['gcc', 'clang', 'clang-14'])
const peer = compiler === undefined ? null : startC({ source: 'malloc-loop.c', compiler })
const malloc: number[] = []
for (const { run, buffers } of ways) time(run, buffers)
for (let round = 0; round < ROUNDS; round++) {
  for (const { run, buffers, samples } of ways) samples.push(time(run, buffers))
  if (peer !== null) malloc.push(Number(await peer.ask(`${BURST} ${BUFFERS / BURST}`)) / BUFFERS)
}
peer?.close()
if (peer === null) console.error('malloc in C is left out: there is no C compiler (Debian: apt-get install gcc)')

const all = [...ways, ...(peer === null ? [] : [{ by: `malloc and free, C, ${compiler} -O2`, samples: malloc }])]
const [inBulk, oneByOne, array, buffer] = ways.map(({ samples }) => samples) as [number[], number[], number[], number[]]
/** Over the pool in bulk, within a round, because the machine's pace changes between them. */
const overBulk = (samples: number[]) => spreadOf(samples.map((sample, round) => sample / inBulk[round]!)).median
const row = (by: string, { median, least, most }: Spread) => {
  return { by, nsPerBuffer: median, nsLeast: least, nsMost: most }
}
printReport({
  name: 'pool',
  rows: all.map(({ by, samples }) => row(by, spreadOf(samples))),
  ratios: {
    speedup: Math.min(overBulk(array), overBulk(buffer)),
    ...(peer === null ? {} : { speedupOverMalloc: overBulk(malloc) }),
    bulkSpeedup: overBulk(oneByOne),
  },
})
