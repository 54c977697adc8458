import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { emitMatcher, type Judge, loadMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { openCapture } from '../src/device/index.js'
import { FilterError } from '../src/filter/index.js'
import { type Packet, UnsupportedError } from '../src/ir/index.js'
import { type Bundle, layBundle } from '../test/support/bundle.js'
import { seededRandom } from '../test/support/random.js'
import { randomPacket } from '../test/support/random-packet.js'
import { CORPUS, skipUnless } from '../test/support/require.js'
import { type Libpcap, startLibpcap } from './libpcap.js'
import { printReport } from './report.js'
import { geometricMean, type Spread, spreadOf } from './statistics.js'

/**
 * The WebAssembly matcher, a bundle of 64 a call, against libpcap's
 * `pcap_offline_filter` called in a loop by a C program: nanoseconds a packet
 * over the same packets in one buffer, interleaved. Of the corpus every n-th
 * packet and every n-th expression is taken; without the corpus, random
 * packets and the expressions below.
 */

const LINK_TYPE = 'EN10MB'
const PACKETS = 4096
const EXPRESSIONS = 30
const BUNDLE = 64
const ROUNDS = 21
/**
 * About how long one measurement takes, of the one and of the other: short,
 * and as short for both, so that other work of the machine meets both alike.
 */
const SAMPLE_NS = 1_000_000
/** Calls after which V8 has compiled a module with its optimizing compiler. */
const WARM_UP = 60

const FALLBACK = [
  'udp',
  'tcp port 80',
  'src host 10.0.0.1',
  'net 10.0.0.0/8 and not port 22',
  'tcp[tcpflags] & tcp-syn != 0',
  'ip6 and udp port 53',
  'vlan and ip',
  'icmp or icmp6',
  'greater 100 and ip[8] < 5',
  'udp[8:4] = 0x48545450',
]

/** So many elements, at equal distances. */
function everyNth<Element>(elements: readonly Element[], count: number): Element[] {
  const step = elements.length / count
  if (step <= 1) return [...elements]
  return Array.from({ length: count }, (_, index) => elements[Math.floor(index * step)]!)
}

function corpusPackets(): Packet[] {
  const listed = JSON.parse(readFileSync(join(CORPUS, 'captures.json'), 'utf8')) as { file: string; dlt: string }[]
  const packets = listed
    .filter(({ dlt }) => dlt === LINK_TYPE)
    .flatMap(({ file }) => [...openCapture(join(CORPUS, file)).packets()])
    .map(({ data, wireLength }) => ({ bytes: data, wireLength }))
  return everyNth(packets, PACKETS)
}

function corpusExpressions(): string[] {
  const expressions = readFileSync(join(CORPUS, 'expressions.txt'), 'utf8')
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([, linkType]) => linkType === LINK_TYPE)
    .map(([, , text]) => text!)
    .filter(isCompiled)
  return everyNth(expressions, EXPRESSIONS)
}

function isCompiled(expression: string): boolean {
  try {
    compileFilter(expression)
    return true
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof FilterError) return false
    throw error
  }
}

function judgeAll(judge: Judge, { count, descriptorAt, verdictAt }: Bundle): void {
  for (let first = 0; first < count; first += BUNDLE) {
    judge(descriptorAt(first), Math.min(BUNDLE, count - first), verdictAt(first))
  }
}

/** Nanoseconds a packet, over all packets so often. */
function time(judge: Judge, bundle: Bundle, times: number): number {
  const start = process.hrtime.bigint()
  for (let turn = 0; turn < times; turn++) judgeAll(judge, bundle)
  return Number(process.hrtime.bigint() - start) / times / bundle.count
}

function timesFor(nanosecondsPerPacket: number, { count }: Bundle): number {
  return Math.max(1, Math.round(SAMPLE_NS / nanosecondsPerPacket / count))
}

async function measure(expression: string, bundle: Bundle, libpcap: Libpcap) {
  const refusal = await libpcap.compile(expression)
  if (refusal !== null) throw new Error(`libpcap refuses "${expression}": ${refusal}`)
  const judge = loadMatcher(emitMatcher(compileFilter(expression).optimized), bundle.memory)
  for (let turn = 0; turn < WARM_UP; turn++) judgeAll(judge, bundle)
  const matches = bundle.verdicts.filter((verdict) => verdict === 0).length
  const theirs = await libpcap.run(WARM_UP)
  if (matches !== theirs.matches)
    throw new Error(`"${expression}": ${matches} packets match, by libpcap ${theirs.matches}`)
  const times = timesFor(time(judge, bundle, WARM_UP), bundle)
  const theirTimes = timesFor(theirs.nanosecondsPerPacket, bundle)
  const samples = { wasm: [] as number[], libpcap: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    samples.wasm.push(time(judge, bundle, times))
    samples.libpcap.push((await libpcap.run(theirTimes)).nanosecondsPerPacket)
  }
  return { matches, wasm: spreadOf(samples.wasm), libpcap: spreadOf(samples.libpcap) }
}

function range({ least, most }: Spread): string {
  return `${least.toFixed(1)}-${most.toFixed(1)}`
}

async function compare(libpcap: Libpcap, bundle: Bundle, expressions: readonly string[]): Promise<void> {
  const rows = []
  for (const expression of expressions) {
    const { matches, wasm, libpcap: peer } = await measure(expression, bundle, libpcap)
    rows.push({
      expression,
      packets: bundle.count,
      matches,
      'wasm ns': wasm.median,
      'wasm range': range(wasm),
      'libpcap ns': peer.median,
      'libpcap range': range(peer),
      speedup: peer.median / wasm.median,
    })
  }
  printReport({
    name: 'matcher-vs-libpcap',
    rows,
    ratios: { wasmSpeedup: geometricMean(rows.map(({ speedup }) => speedup)) },
  })
}

async function run(): Promise<void> {
  const hasCorpus = skipUnless('corpus') === false
  const random = seededRandom({ diagnostic: console.error }, 'matcher-vs-libpcap')
  const packets = hasCorpus ? corpusPackets() : Array.from({ length: PACKETS }, () => randomPacket(random))
  const libpcap = startLibpcap(packets)
  if (typeof libpcap === 'string') {
    console.error(`skipped: ${libpcap}`)
    return
  }
  await compare(libpcap, layBundle(packets), hasCorpus ? corpusExpressions() : FALLBACK)
  libpcap.close()
}

await run()
