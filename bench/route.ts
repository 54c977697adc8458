import { existsSync } from 'node:fs'
import * as memoryFormats from '../src/memory/formats.js'
import * as routeFormats from '../src/route/formats.js'
import type { RouteList } from '../src/route/index.js'
import { tableRoutes } from '../test/support/plain-routes.js'
import { type Random, seededRandom } from '../test/support/random.js'
import { CORPUS } from '../test/support/require.js'
import { headerOf } from './c-header.js'
import { type CProgram, findCompilers, startC } from './c-program.js'
import { printReport } from './report.js'
import { NEIGHBOURS, openRoutePath, type RoutePath } from './route-path.js'
import { type Spread, spreadOf } from './statistics.js'
import { startTestpmd, type Testpmd } from './testpmd.js'

/**
 * A router on one core, from ring to ring: parse, look-up among half a million
 * routes, rewrite; against the same in C over a copy of the same memory, and
 * against DPDK's testpmd, which only rewrites, between its null devices.
 */
const IN_CACHE = 2048
const OUT_OF_CACHE = 65_536
const ROUNDS = 61
const WARM_UP_PACKETS = 4_000_000
/** Packets of one measurement: a few milliseconds, so that neighbours meet the machine's other work alike. */
const SAMPLE_PACKETS = { [IN_CACHE]: 262_144, [OUT_OF_CACHE]: 65_536 } as const
/** testpmd is measured in every so many rounds, for so long. */
const TESTPMD_EVERY = 5
const TESTPMD_MS = 100
const TABLE = 'ipasn_20140513.dat.gz'
const MADE_ROUTES = 500_000

/** Nanoseconds a packet over so many refills. */
function time(path: RoutePath, turns: number): number {
  let milliseconds = 0
  for (let turn = 0; turn < turns; turn++) {
    path.refill()
    const begin = performance.now()
    for (let received = 0; received < path.packets; ) received += path.engine.round()
    milliseconds += performance.now() - begin
  }
  return (milliseconds * 1e6) / turns / path.packets
}

/** The real table where it is there, else one of as many routes as chance gives: most of 24 bits, none of them twice. */
function routesFor(random: Random): { readonly table: string; readonly list: RouteList } {
  if (existsSync(`${CORPUS}routes/${TABLE}`))
    return { table: 'BGP, 2014-05-13', list: tableRoutes(TABLE, 4, NEIGHBOURS) }
  console.error('the table is made by chance: there is no corpus in ../shared/corpus')
  const lengths = Uint8Array.from({ length: MADE_ROUTES }, () => (random.below(2) === 0 ? 24 : 16 + random.below(8)))
  const words = Uint32Array.from(lengths, () => ((1 + random.below(222)) << 24) | (random.word() >>> 8))
  return {
    table: 'by chance',
    list: { words, lengths, hops: Uint32Array.from(lengths, () => 1 + random.below(NEIGHBOURS)) },
  }
}

/** Has done one turn, of which it says what came of it. */
async function startPeer(compiler: string, { space, restored, addresses }: RoutePath): Promise<CProgram | null> {
  const pieces = restored.flatMap(({ offset, bytes }) => [offset, bytes])
  const { from, to, tables, port } = addresses
  return startC({
    source: 'route.c',
    compiler,
    headers: { 'formats.h': headerOf({ ...memoryFormats, ...routeFormats }) },
    args: [space.bytes.length, from, to, tables, port, ...pieces].map(String),
    input: new Uint8Array(space.bytes),
  })
}

async function measure(title: string, path: RoutePath, samplePackets: number, touch: boolean, testpmd: Testpmd | null) {
  const turns = Math.ceil(samplePackets / path.packets)
  const peers: { compiler: string; program: CProgram; samples: number[] }[] = []
  for (const compiler of findCompilers(['gcc', 'clang', 'clang-14'])) {
    const program = await startPeer(compiler, path)
    if (program !== null) peers.push({ compiler, program, samples: [] })
  }
  // One turn of each, after which all must have written the same.
  time(path, 1)
  for (const { compiler, program } of peers) {
    const [, ...digest] = (await program.ask(`1 ${touch ? 1 : 0}`)).split(' ')
    if (digest.join(' ') !== path.digest())
      throw new Error(
        `${compiler} forwarded ${digest.join(' ')}, the engine ${path.digest()}: packets, and sum of what was written`,
      )
  }
  time(path, Math.ceil(WARM_UP_PACKETS / path.packets))
  const [samples, rivals]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    // Whoever comes on finds another's caches, and has a turn to make them its own.
    time(path, 1)
    samples.push(time(path, turns))
    for (const { program, samples: theirs } of peers) {
      await program.ask(`1 ${touch ? 1 : 0}`)
      const [nanoseconds] = (await program.ask(`${turns} ${touch ? 1 : 0}`)).split(' ').map(Number)
      theirs.push(nanoseconds! / turns / path.packets)
    }
    if (testpmd !== null && round % TESTPMD_EVERY === 0) rivals.push(await testpmd.measure(TESTPMD_MS))
  }
  for (const { program } of peers) program.close()
  const common = { where: title, frames: path.packets, 'touched early': touch ? 'yes' : 'no' }
  const row = (by: string, { median, least, most }: Spread) => {
    return { ...common, by, nsPerPacket: median, nsLeast: least, nsMost: most, millionPerSecond: 1000 / median }
  }
  const ours = spreadOf(samples)
  const theirs = peers
    .map(({ compiler, samples }) => ({ compiler, samples, spread: spreadOf(samples) }))
    .sort((one, other) => one.spread.median - other.spread.median)
  const fastest = theirs[0]?.samples
  return {
    rows: [
      row('engine', ours),
      ...theirs.map(({ compiler, spread }) => row(`C, ${compiler} -O2`, spread)),
      ...(rivals.length > 0
        ? [{ ...row('testpmd, mac, net_null', spreadOf(rivals)), where: 'its own devices', frames: 8192 }]
        : []),
    ],
    // Within a round, because the machine's pace changes between them.
    vsC: fastest === undefined ? null : spreadOf(samples.map((sample, round) => sample / fastest[round]!)).median,
    vsTestpmd:
      rivals.length === 0
        ? null
        : spreadOf(rivals.map((rival, index) => rival / samples[index * TESTPMD_EVERY]!)).median,
    nanoseconds: ours.median,
  }
}

async function run(): Promise<void> {
  const random = seededRandom({ diagnostic: console.error }, 'route')
  const { table, list } = routesFor(random)
  const testpmd = await startTestpmd()
  if (testpmd === null)
    console.error(
      'skipped testpmd: it is not here (Debian: apt-get install dpdk-dev librte-net-null23 librte-mempool-ring23) or has no core',
    )
  const rows: Record<string, string | number>[] = []
  const ratios: Record<string, number> = {}
  try {
    const warm = await measure(
      'in cache',
      openRoutePath(random, list, IN_CACHE, false),
      SAMPLE_PACKETS[IN_CACHE],
      false,
      testpmd,
    )
    rows.push(...warm.rows)
    if (warm.vsC === null) console.error('skipped the comparison: there is no C compiler (Debian: apt-get install gcc)')
    else ratios['vsC'] = warm.vsC
    if (warm.vsTestpmd !== null) ratios['vsTestpmd'] = warm.vsTestpmd
    for (const touch of [false, true]) {
      const path = openRoutePath(random, list, OUT_OF_CACHE, touch)
      const cold = await measure('out of cache', path, SAMPLE_PACKETS[OUT_OF_CACHE], touch, null)
      rows.push(...cold.rows)
      if (cold.vsC !== null && touch) ratios['vsCOutOfCache'] = cold.vsC
      if (touch)
        rows.push({
          where: 'engine',
          routes: list.lengths.length,
          table,
          nsPerPacket: warm.nanoseconds,
          nsPerPacketOutOfCache: cold.nanoseconds,
        })
    }
  } finally {
    await testpmd?.close()
  }
  printReport({ name: 'route', rows, ratios })
}

await run()
