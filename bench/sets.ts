import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { RULE_COUNTERS } from '../src/codegen/index.js'
import { compileRule } from '../src/compile.js'
import { parsePrefix, updateElement } from '../src/kernel/index.js'
import { type LoadedProgram, loadProgram, ruleCountReader } from '../src/loader/index.js'
import type { PrefixList, SetContents } from '../src/policy/index.js'
import { CORPUS } from '../test/support/require.js'
import { kernelMapProgram, PEER_MAP } from './kernel-map-program.js'
import { loadGenerator, openReceiveRig, type ReceiveRig, type SourceGenerator } from './receive-rig.js'
import { printReport } from './report.js'
import { scatteredWord } from './source-flood.js'
import { spreadOf } from './statistics.js'

/**
 * What a set costs for each packet on a device that drops all of a flood whose
 * every packet has another source: CPU time of the device's receive thread,
 * which only receives, runs the program and frees the frame. One address, ten
 * thousand, a million; prefixes of mixed lengths from a routing table; and the
 * kernel's own maps in the same place.
 */

const ROUNDS = 21
const PACKETS = 800_000
const WARM_UP_PACKETS = 100_000
const PREFIXES = 10_000
const SET = 'sources'

interface Case {
  readonly name: string
  readonly program: LoadedProgram
  readonly generator: SourceGenerator
  /** Of the set's map: both halves of it. Not known of the kernel's maps. */
  readonly memoryBytes: number | null
  readonly buildMs: number
}

const EMPTY: PrefixList = { words: new Uint32Array(0), lengths: new Uint8Array(0) }

function scattered(family: 4 | 6, count: number): PrefixList {
  const width = family === 4 ? 1 : 4
  const words = Uint32Array.from({ length: count * width }, (_, index) => scatteredWord(index))
  return { words, lengths: new Uint8Array(count).fill(32 * width) }
}

function setCase(name: string, family: 4 | 6, list: PrefixList, generator: SourceGenerator): Case {
  const contents: SetContents = family === 4 ? { v4: list, v6: EMPTY } : { v4: EMPTY, v6: list }
  const start = performance.now()
  const { program } = compileRule(
    { match: `${family === 4 ? 'ip' : 'ip6'} src net @${SET}`, action: 'drop' },
    { sets: new Set([SET]), setContents: new Map([[SET, contents]]) },
  )
  const loaded = loadProgram(program)
  const buildMs = performance.now() - start
  return { name, program: loaded, generator, memoryBytes: program.maps.at(-1)!.valueBytes, buildMs }
}

function oneAddress(generator: SourceGenerator): Case {
  const word = scatteredWord(0)
  const address = [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')
  const start = performance.now()
  const program = loadProgram(compileRule({ match: `ip src host ${address}`, action: 'drop' }).program)
  return { name: '1 address', program, generator, memoryBytes: 0, buildMs: performance.now() - start }
}

/** The same rule with the kernel's map where ours has its table. */
function peerCase(name: string, kind: 'hash' | 'lpm-trie', list: PrefixList, generator: SourceGenerator): Case {
  const start = performance.now()
  const program = loadProgram(kernelMapProgram(kind, list.lengths.length))
  const map = program.maps.get(PEER_MAP)!
  const key = new Uint8Array(map.spec.keyBytes)
  const view = new DataView(key.buffer)
  list.lengths.forEach((length, prefix) => {
    if (kind === 'lpm-trie') view.setUint32(0, length, true)
    view.setUint32(key.length - 4, list.words[prefix]!)
    updateElement(map.fd, key, new Uint8Array([1]))
  })
  return { name, program, generator, memoryBytes: null, buildMs: performance.now() - start }
}

/** Prefixes spread evenly over a file of the corpus, in its order; null where the corpus is not there. */
function routes(file: string, family: 4 | 6): PrefixList | null {
  const path = join(CORPUS, 'routes', file)
  if (!existsSync(path)) return null
  const lines = gunzipSync(readFileSync(path)).toString('latin1').split('\n')
  const wanted = lines.filter((line) => /^[0-9a-f]/.test(line) && line.includes(':') === (family === 6))
  const chosen = Array.from({ length: PREFIXES }, (_, index) => wanted[Math.floor((index * wanted.length) / PREFIXES)]!)
  const width = family === 4 ? 1 : 4
  const words = new Uint32Array(PREFIXES * width)
  const lengths = new Uint8Array(PREFIXES)
  chosen.forEach((line, prefix) => {
    const { address, lengthBits } = parsePrefix(line.split('\t')[0]!)
    for (let word = 0; word < width; word++)
      words[prefix * width + word] = new DataView(address.buffer).getUint32(4 * word)
    lengths[prefix] = lengthBits
  })
  return { words, lengths }
}

function makeCases(): Case[] {
  const counts = { one: 1, tenThousand: 10_000, million: 1_000_000 }
  const from = (count: number, family: 4 | 6 = 4) => loadGenerator({ kind: 'scattered', family, count })
  const [ten, million] = [scattered(4, counts.tenThousand), scattered(4, counts.million)]
  const cases = [
    oneAddress(from(counts.one)),
    setCase(NAMES.tenThousand, 4, ten, from(counts.tenThousand)),
    peerCase("10,000 addresses, the kernel's hash", 'hash', ten, from(counts.tenThousand)),
    setCase(NAMES.million, 4, million, from(counts.million)),
    peerCase("1,000,000 addresses, the kernel's hash", 'hash', million, from(counts.million)),
    setCase('1,000,000 IPv6 addresses', 6, scattered(6, counts.million), from(counts.million, 6)),
  ]
  const [v4, v6] = [routes('ipasn_20140513.dat.gz', 4), routes('ipasn6_20151101.dat.gz', 6)]
  if (v4 !== null && v6 !== null) {
    const generator = loadGenerator({ kind: 'prefixes', family: 4, ...v4 })
    cases.push(
      setCase(NAMES.prefixes, 4, v4, generator),
      peerCase(NAMES.trie, 'lpm-trie', v4, generator),
      setCase('10,000 IPv6 prefixes', 6, v6, loadGenerator({ kind: 'prefixes', family: 6, ...v6 })),
    )
  } else console.error('without prefixes: they come from the corpus, which is not there')
  return cases
}

const NAMES = {
  one: '1 address',
  tenThousand: '10,000 addresses',
  million: '1,000,000 addresses',
  prefixes: '10,000 prefixes',
  trie: "10,000 prefixes, the kernel's trie",
} as const

/** One measurement of one case; throws where a packet was not dropped, because then something else was measured. */
function measure(rig: ReceiveRig, { name, program, generator }: Case): { ns: number; packetsPerSecond: number } {
  rig.use(program)
  rig.flood(generator, WARM_UP_PACKETS)
  const dropped = ruleCountReader(program.maps.get(RULE_COUNTERS)!)
  const before = dropped()[0]!.packets
  const { packets, nsPerPacket, packetsPerSecond } = rig.flood(generator, PACKETS)
  const missed = packets - (dropped()[0]!.packets - before)
  if (Math.abs(missed) > RING_SLOTS) throw new Error(`${name}: ${missed} of ${packets} packets were not dropped`)
  return { ns: nsPerPacket, packetsPerSecond }
}

/** What may still be on its way when a flood ends. */
const RING_SLOTS = 256

function run(rig: ReceiveRig): void {
  for (const note of rig.notes) console.error(note)
  const cases = makeCases()
  const samples = cases.map(() => ({ ns: [] as number[], rate: [] as number[] }))
  for (let round = 0; round < ROUNDS; round++) {
    cases.forEach((one, index) => {
      const { ns, packetsPerSecond } = measure(rig, one)
      samples[index]!.ns.push(ns)
      samples[index]!.rate.push(packetsPerSecond)
    })
  }
  // Ratios within a round compare what was measured within a second or two.
  const samplesOf = (name: string) => samples[cases.findIndex((one) => one.name === name)]!.ns
  const ratio = (one: string, other: string) =>
    spreadOf(samplesOf(one).map((ns, round) => ns / samplesOf(other)[round]!)).median
  const rows = cases.map(({ name, memoryBytes, buildMs }, index) => {
    const { median, least, most } = spreadOf(samples[index]!.ns)
    return {
      set: name,
      'ns a packet': median,
      range: `${least.toFixed(0)}-${most.toFixed(0)}`,
      Mpps: spreadOf(samples[index]!.rate).median / 1e6,
      'memory bytes': memoryBytes ?? '',
      'build and load ms': buildMs,
    }
  })
  const ratios = {
    tenThousandVsOne: ratio(NAMES.tenThousand, NAMES.one),
    millionVsOne: ratio(NAMES.million, NAMES.one),
    ...(cases.some(({ name }) => name === NAMES.trie)
      ? { prefixesSpeedupOverTrie: ratio(NAMES.trie, NAMES.prefixes) }
      : {}),
  }
  for (const { program, generator } of cases) {
    program.close()
    generator.program.close()
  }
  printReport({ name: 'sets', rows, ratios })
}

const rig = openReceiveRig()
try {
  run(rig)
} finally {
  rig.close()
}
