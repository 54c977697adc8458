import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { compileRule } from '../src/compile.js'
import { openCapture } from '../src/device/index.js'
import { prepare, XDP } from '../src/ebpf/index.js'
import { interpret, UnsupportedError } from '../src/ir/index.js'
import { CORPUS, skipUnless } from './support/require.js'

/** The small captures are the strange ones: cut, malformed, or of rare protocols. */
const MOST_PACKETS = 12
/** Here libpcap's optimized code and its plain code differ; the plain one says what this compiler says. */
const DISPUTED = new Set(['pcap/tcpdump/ipv6_invalid_length.pcap d177'])

interface Packet {
  readonly bytes: Uint8Array
  readonly wireLength: number
}

interface Engine {
  readonly name: string
  matches(packet: Packet): boolean
}

describe('the corpus, on its small captures', { skip: skipUnless('corpus') }, () => {
  it('gives the matches that libpcap recorded, in the graph and as eBPF', (context) => {
    const wanted = recordedMatches()
    const rules = compiledExpressions()
    let compared = 0
    for (const file of smallCaptures()) {
      const packets = readPackets(file)
      for (const { id, text, engines } of rules) {
        if (DISPUTED.has(`${file} ${id}`)) continue
        for (const { name, matches } of engines) {
          const numbers = packets.flatMap((packet, index) => (matches(packet) ? [index + 1] : []))
          const recorded = wanted.get(`${file}\t${id}`) ?? fingerprint([])
          assert.equal(fingerprint(numbers), recorded, `${name}: '${text}' on ${file} matches ${numbers}`)
          compared++
        }
      }
    }
    context.diagnostic(`${compared} comparisons`)
    assert.ok(compared > 100_000)
  })
})

function compiledExpressions(): { id: string; text: string; engines: Engine[] }[] {
  const lines = readFileSync(`${CORPUS}expressions.txt`, 'utf8').split('\n')
  return lines.flatMap((line) => {
    const [id = '', linkType, text = ''] = line.split('\t')
    return linkType === 'EN10MB' ? [{ id, text, engines: enginesOf(text) }] : []
  })
}

/** None where the expression is not compiled. */
function enginesOf(match: string): Engine[] {
  try {
    const { graph, optimized, program } = compileRule({ match, action: 'drop' }, { wireLength: 'metadata' })
    const machine = prepare(program)
    return [
      { name: 'graph', matches: (packet) => interpret(graph, packet) === 0 },
      { name: 'optimized graph', matches: (packet) => interpret(optimized, packet) === 0 },
      {
        name: 'eBPF',
        matches({ bytes, wireLength }) {
          const outcome = machine.run(bytes, { metadata: new Uint8Array(Uint32Array.of(wireLength).buffer) })
          assert.equal(outcome.kind, 'return', outcome.kind === 'fault' ? outcome.reason : '')
          return outcome.kind === 'return' && outcome.value === XDP.drop
        },
      },
    ]
  } catch (error) {
    if (error instanceof UnsupportedError) return []
    throw error
  }
}

function smallCaptures(): string[] {
  const captures: { file: string; dlt: string; packets: number }[] = JSON.parse(
    readFileSync(`${CORPUS}captures.json`, 'utf8'),
  )
  return captures.filter(({ dlt, packets }) => dlt === 'EN10MB' && packets <= MOST_PACKETS).map(({ file }) => file)
}

function readPackets(file: string): Packet[] {
  const capture = openCapture(`${CORPUS}${file}`)
  return Array.from(capture.packets(), ({ data, wireLength }) => ({ bytes: Uint8Array.from(data), wireLength }))
}

/** Fingerprints by capture and expression; what matches nowhere is left out. */
function recordedMatches(): Map<string, string> {
  const table = gunzipSync(readFileSync(`${CORPUS}filter/expected-matches.tsv.gz`)).toString()
  const rows = table.trim().split('\n')
  return new Map(
    rows.map((row) => {
      const [file, id, , , hash = ''] = row.split('\t')
      return [`${file}\t${id}`, hash]
    }),
  )
}

/** FNV-1a, 64 bits, of the packet numbers with commas between them. */
function fingerprint(numbers: readonly number[]): string {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(numbers.join(','))) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash.toString(16).padStart(16, '0')
}
