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
import { type Contestant, openRounds, type Rounds } from './rounds.js'
import { NEIGHBOURS, openRoutePath, type RoutePath } from './route-path.js'
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
const TESTPMD_MS = 50
const ENGINE = 'engine'
const TESTPMD = 'testpmd, mac, net_null'
const TABLE = 'ipasn_20140513.dat.gz'
const MADE_ROUTES = 500_000

interface Case {
  readonly title: string
  readonly path: RoutePath
  readonly samplePackets: number
  readonly touch: boolean
}

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
function startPeer(compiler: string, { space, restored, addresses }: RoutePath): CProgram | null {
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

/** The same router in C, by each compiler that is there, over a copy of the memory. */
function startPrograms(path: RoutePath): { readonly compiler: string; readonly program: CProgram }[] {
  return findCompilers(['gcc', 'clang', 'clang-14']).flatMap((compiler) => {
    const program = startPeer(compiler, path)
    return program === null ? [] : [{ compiler, program }]
  })
}

async function measure(rounds: Rounds, { title, path, samplePackets, touch }: Case, testpmd: Testpmd | null) {
  const turns = Math.ceil(samplePackets / path.packets)
  const programs = startPrograms(path)
  const ask = async (program: CProgram, count: number) => (await program.ask(`${count} ${touch ? 1 : 0}`)).split(' ')
  // One turn of each, after which all must have written the same.
  time(path, 1)
  for (const { compiler, program } of programs) {
    const [, ...digest] = await ask(program, 1)
    if (digest.join(' ') !== path.digest())
      throw new Error(
        `${compiler} forwarded ${digest.join(' ')}, the engine ${path.digest()}: packets, and sum of what was written`,
      )
  }
  time(path, Math.ceil(WARM_UP_PACKETS / path.packets))
  // Whoever comes on finds another's caches, and has a turn to make them its own.
  const ours: Contestant = {
    name: ENGINE,
    sample() {
      time(path, 1)
      return time(path, turns)
    },
  }
  const peers = programs.map(({ compiler, program }): Contestant => {
    return {
      name: `C, ${compiler} -O2`,
      threads: [program.pid],
      async sample() {
        await ask(program, 1)
        return Number((await ask(program, turns))[0]) / turns / path.packets
      },
    }
  })
  const rivals: Contestant[] =
    testpmd === null ? [] : [{ name: TESTPMD, threads: testpmd.threads, sample: () => testpmd.measure(TESTPMD_MS) }]
  const comparison = await rounds.compare([ours, ...peers, ...rivals], ROUNDS)
  for (const { program } of programs) program.close()
  const common = { where: title, frames: path.packets, 'touched early': touch ? 'yes' : 'no' }
  const row = (by: string) => {
    const columns = comparison.columns(by)
    return { ...common, by, ...columns, millionPerSecond: 1000 / columns.nsPerPacket }
  }
  const theirs = peers.map(({ name }) => row(name)).sort((one, other) => one.nsPerPacket - other.nsPerPacket)
  const fastest = theirs[0]?.by
  const our = row(ENGINE)
  return {
    rows: [our, ...theirs, ...(testpmd === null ? [] : [{ ...row(TESTPMD), where: 'its own devices', frames: 8192 }])],
    // Sample by sample with its neighbour, because the machine's pace changes.
    vsC:
      fastest === undefined ? null : comparison.spreadBeside(ENGINE, (own, nearest) => own / nearest(fastest)).median,
    vsTestpmd:
      testpmd === null ? null : comparison.spreadBeside(ENGINE, (own, nearest) => nearest(TESTPMD) / own).median,
    nanoseconds: our.nsPerPacket,
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
  const rounds = await openRounds()
  const caseOf = (title: string, packets: keyof typeof SAMPLE_PACKETS, touch: boolean): Case => {
    return { title, path: openRoutePath(random, list, packets, touch), samplePackets: SAMPLE_PACKETS[packets], touch }
  }
  const rows: Record<string, string | number>[] = []
  const ratios: Record<string, number> = {}
  try {
    const warm = await measure(rounds, caseOf('in cache', IN_CACHE, false), testpmd)
    rows.push(...warm.rows)
    if (warm.vsC === null) console.error('skipped the comparison: there is no C compiler (Debian: apt-get install gcc)')
    else ratios['vsC'] = warm.vsC
    if (warm.vsTestpmd !== null) ratios['vsTestpmd'] = warm.vsTestpmd
    for (const touch of [false, true]) {
      const cold = await measure(rounds, caseOf('out of cache', OUT_OF_CACHE, touch), null)
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
  printReport({ name: 'route', rows, ratios, disturbed: rounds.disturbed() })
}

await run()
