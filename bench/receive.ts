import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MULTIPLIER } from '../src/codegen/sets/v4-buckets.js'
import { BUCKETS_AT, HEADER, INDEX_AT } from '../src/codegen/sets/v4-table.js'
import * as formats from '../src/memory/formats.js'
import { seededRandom } from '../test/support/random.js'
import { headerOf } from './c-header.js'
import { type CProgram, findCompilers, startC } from './c-program.js'
import { openReceivePath, type ReceivePath } from './receive-path.js'
import { printReport } from './report.js'
import { openRounds, type Rounds } from './rounds.js'

/**
 * The full receive path over the in-memory device, on one core: ring, parse,
 * blocklist of 10,000 sources, verdict, recycling; against the same path in C
 * over a copy of the same memory. Both begin each time with the same full ring;
 * filling it is the driver's work and is left out.
 */
const IN_CACHE = 1024
const OUT_OF_CACHE = 65_536
const ROUNDS = 101
const WARM_UP_PACKETS = 4_000_000
/** Packets of one measurement: about 2 ms, so that neighbours meet the machine's other work alike. */
const SAMPLE_PACKETS = { [IN_CACHE]: 131_072, [OUT_OF_CACHE]: 65_536 } as const
const HEAP_PACKETS = 100_000_000
const ENGINE = 'engine'

/** Nanoseconds a packet over so many refills. */
function time(path: ReceivePath, turns: number): number {
  let milliseconds = 0
  for (let turn = 0; turn < turns; turn++) {
    path.refill()
    const begin = performance.now()
    receiveAll(path)
    milliseconds += performance.now() - begin
  }
  return (milliseconds * 1e6) / turns / path.packets
}

function receiveAll({ engine, packets }: ReceivePath): void {
  for (let received = 0; received < packets; ) received += engine.round()
}

function startPeer(compiler: string, { space, restored, addresses }: ReceivePath): CProgram | null {
  const pieces = restored.flatMap(({ offset, bytes }) => [offset, bytes])
  const { ring, pool, table } = addresses
  return startC({
    source: 'receive.c',
    compiler,
    headers: { 'formats.h': headerOf({ ...formats, ...TABLE }) },
    args: [space.bytes.length, ring, pool, table, ...pieces].map(String),
    input: new Uint8Array(space.bytes),
  })
}

const TABLE = {
  TABLE_MULTIPLIER: MULTIPLIER,
  TABLE_BUCKETS_AT: BUCKETS_AT,
  TABLE_INDEX_AT: INDEX_AT,
  TABLE_BUCKET_SHIFT: HEADER.bucketShift,
  TABLE_WORDS_AT: HEADER.wordsAt,
  TABLE_HAS_RANGES: HEADER.hasRanges,
  TABLE_TAG_MASK: HEADER.tagMask,
  TABLE_EACH_LANE: HEADER.eachLane,
  TABLE_HIGHEST_BITS: HEADER.highestBits,
}

async function measure(rounds: Rounds, title: string, path: ReceivePath, samplePackets: number, touch: boolean) {
  const turns = Math.ceil(samplePackets / path.packets)
  const peers = findCompilers(['gcc', 'clang', 'clang-14']).flatMap((compiler) => {
    const program = startPeer(compiler, path)
    return program === null ? [] : [{ name: `C, ${compiler} -O2`, program }]
  })
  path.refill()
  time(path, Math.ceil(WARM_UP_PACKETS / path.packets))
  const comparison = await rounds.compare(
    [
      { name: ENGINE, sample: () => time(path, turns) },
      ...peers.map(({ name, program }) => ({
        name,
        threads: [program.pid],
        async sample() {
          const [nanoseconds, drops] = (await program.ask(`${turns} ${touch ? 1 : 0}`)).split(' ').map(Number)
          if (drops !== path.listed * turns)
            throw new Error(`${name} drops ${drops} of ${turns} times ${path.listed} listed packets`)
          return nanoseconds! / turns / path.packets
        },
      })),
    ],
    ROUNDS,
  )
  checkDrops(path)
  for (const { program } of peers) program.close()
  const common = { where: title, frames: path.packets, 'headers touched early': touch ? 'yes' : 'no' }
  const row = (by: string) => ({ ...common, by, ...comparison.columns(by) })
  const theirs = peers.map(({ name }) => row(name)).sort((one, other) => one.nsPerPacket - other.nsPerPacket)
  const fastest = theirs[0]?.by
  return {
    rows: [row(ENGINE), ...theirs],
    // Sample by sample with its neighbour, because the machine's pace changes.
    ratio:
      fastest === undefined ? null : comparison.spreadBeside(ENGINE, (own, nearest) => own / nearest(fastest)).median,
  }
}

/** The engine must have dropped what the list has, each time. */
function checkDrops({ engine, packets, listed }: ReceivePath): void {
  const [blocklist] = engine.statistics()
  const expected = (blocklist!.packets / packets) * listed
  if (blocklist!.drops['matched'] !== expected)
    throw new Error(`the engine dropped ${blocklist!.drops['matched']} packets, ${expected} were listed`)
}

/** Heap and collections of a hundred million packets. */
async function measureHeap(path: ReceivePath) {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const collections: number[] = []
  const observer = new PerformanceObserver((list) => {
    for (const { startTime } of list.getEntries()) collections.push(startTime)
  })
  observer.observe({ entryTypes: ['gc'] })
  const used = () => getHeapStatistics().used_heap_size
  /** Without packets: what asking for the figures costs by itself. */
  const growth = (packets: number) => {
    const before = used()
    for (let received = 0; received < packets; received += path.packets) {
      path.refill()
      receiveAll(path)
    }
    return used() - before
  }
  collect()
  // What compiling the loop takes, and the accounts of the collection, are no costs of a packet.
  for (let turn = 0; turn < 3; turn++) growth(HEAP_PACKETS / 10)
  const asking = growth(0)
  const begin = performance.now()
  const grown = growth(HEAP_PACKETS)
  const end = performance.now()
  // Entries come with the event loop.
  await new Promise((resolve) => setTimeout(resolve, 100))
  observer.disconnect()
  const within = collections.filter((start) => start >= begin && start <= end)
  return {
    where: 'in cache',
    by: ENGINE,
    frames: path.packets,
    packets: HEAP_PACKETS,
    'heap growth bytes': Math.max(0, grown - asking),
    'garbage collections': within.length,
    nsPerPacket: ((end - begin) * 1e6) / HEAP_PACKETS,
  }
}

async function run(): Promise<void> {
  const random = seededRandom({ diagnostic: console.error }, 'receive')
  const rounds = await openRounds()
  const cached = openReceivePath(random, IN_CACHE, false)
  const warm = await measure(rounds, 'in cache', cached, SAMPLE_PACKETS[IN_CACHE], false)
  const heap = await measureHeap(cached)
  const rows = [...warm.rows, heap] as Record<string, string | number>[]
  const ratios: Record<string, number> = {}
  if (warm.ratio === null) console.error('skipped the comparison: there is no C compiler (Debian: apt-get install gcc)')
  else ratios['vsC'] = warm.ratio
  for (const touch of [false, true]) {
    const path = openReceivePath(random, OUT_OF_CACHE, touch)
    const cold = await measure(rounds, 'out of cache', path, SAMPLE_PACKETS[OUT_OF_CACHE], touch)
    rows.push(...cold.rows)
    if (cold.ratio !== null && touch) ratios['vsCOutOfCache'] = cold.ratio
  }
  printReport({ name: 'receive', rows, ratios, disturbed: rounds.disturbed() })
}

await run()
