import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { compileRule } from '../src/compile.js'
import { createFrameSlot, openMatcher } from '../src/control/matcher.js'
import { openCapture } from '../src/device/index.js'
import { prepare } from '../src/ebpf/index.js'
import { interpret, UnsupportedError } from '../src/ir/index.js'
import { CORPUS, skipUnless } from './support/require.js'

/**
 * Every expression of the corpus that is compiled, on every Ethernet capture
 * of the corpus, by the kernel, by the eBPF interpreter, by WebAssembly and by the
 * interpreter of the IR, against what libpcap 1.10.3 answered (filter/expected-matches).
 */

const LINK_TYPE = 'EN10MB'
const XDP_DROP = 1

/**
 * Where libpcap's own optimised and unoptimised code disagree, so that its
 * recorded answer is no oracle: a packet cut off inside a header.
 */
const LIBPCAP_DISAGREES_WITH_ITSELF = new Set(['d177 pcap/tcpdump/ipv6_invalid_length.pcap'])

interface Expression {
  readonly id: string
  readonly text: string
}

interface CaptureFile {
  readonly name: string
  readonly packets: readonly { readonly bytes: Uint8Array; readonly wireLength: number }[]
}

function readExpressions(): Expression[] {
  return readFileSync(join(CORPUS, 'expressions.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t'))
    .filter(([, linkType]) => linkType === LINK_TYPE)
    .map(([id, , text]) => ({ id: id!, text: text! }))
}

function readCaptures(): CaptureFile[] {
  const listed = JSON.parse(readFileSync(join(CORPUS, 'captures.json'), 'utf8')) as { file: string; dlt: string }[]
  return listed
    .filter(({ dlt }) => dlt === LINK_TYPE)
    .map(({ file }) => {
      const capture = openCapture(join(CORPUS, file))
      return {
        name: file,
        packets: [...capture.packets()].map(({ data, wireLength }) => ({ bytes: data, wireLength })),
      }
    })
}

/** Capture and expression to the hash of the matching packets' numbers. */
function readExpected(): Map<string, string> {
  const table = gunzipSync(readFileSync(join(CORPUS, 'filter/expected-matches.tsv.gz'))).toString()
  const rows = table.split('\n').map((line) => line.split('\t'))
  return new Map(rows.map(([capture, id, , , hash]) => [`${id} ${capture}`, hash!]))
}

/** FNV-1a, 64 bits, of the numbers joined by commas: what the corpus records. */
function hashOf(numbers: readonly number[]): string {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(numbers.join(',')))
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn
  return hash.toString(16).padStart(16, '0')
}

type Engine = (packet: CaptureFile['packets'][number]) => boolean

const slot = createFrameSlot()

/** The engines for one expression; null where it is not compiled yet. */
function openEngines(text: string) {
  try {
    const rule = { match: text, action: 'drop' } as const
    const { graph, program } = compileRule(rule, { linkType: LINK_TYPE, counters: false, wireLength: 'metadata' })
    const kernel = openMatcher(text, LINK_TYPE, 'ebpf')
    const wasm = openMatcher(text, LINK_TYPE, 'wasm', slot)
    const machine = prepare(program)
    const metadata = new Uint8Array(4)
    const view = new DataView(metadata.buffer)
    const engines: Record<string, Engine> = {
      kernel: ({ bytes, wireLength }) => kernel.matches(bytes, wireLength),
      'eBPF interpreter': ({ bytes, wireLength }) => {
        view.setUint32(0, wireLength, true)
        const outcome = machine.run(bytes, { metadata })
        assert.equal(outcome.kind, 'return', `${text}: the interpreter found a fault`)
        return outcome.kind === 'return' && outcome.value === XDP_DROP
      },
      WebAssembly: ({ bytes, wireLength }) => wasm.matches(bytes, wireLength),
      'IR interpreter': (packet) => interpret(graph, packet) !== null,
    }
    return { engines, kernel }
  } catch (error) {
    if (error instanceof UnsupportedError) return null
    throw error
  }
}

describe('expressions on captures', { skip: skipUnless('root', 'corpus') }, () => {
  test('the kernel, WebAssembly, both interpreters and libpcap agree', (t) => {
    const captures = readCaptures()
    const expected = readExpected()
    const totals = { expressions: 0, pairs: 0, packets: 0, byInterpreter: 0, matches: 0 }
    const notCompiled: string[] = []
    const differences: string[] = []
    for (const { id, text } of readExpressions()) {
      const opened = openEngines(text)
      if (opened === null) {
        notCompiled.push(`${id} ${text}`)
        continue
      }
      totals.expressions++
      for (const { name, packets } of captures) {
        const pair = `${id} ${name}`
        totals.pairs++
        totals.packets += packets.length
        for (const [engine, matches] of Object.entries(opened.engines)) {
          const numbers = packets.flatMap((packet, index) => (matches(packet) ? index + 1 : []))
          const wanted = expected.get(pair)
          const same = numbers.length === 0 ? wanted === undefined : hashOf(numbers) === wanted
          if (!same && !LIBPCAP_DISAGREES_WITH_ITSELF.has(pair)) differences.push(`${engine}: ${pair}: ${text}`)
          if (engine === 'kernel') totals.matches += numbers.length
        }
      }
      totals.byInterpreter += opened.kernel.interpreted()
      opened.kernel.close()
    }
    t.diagnostic(
      `${totals.expressions} expressions on ${captures.length} captures: ${totals.packets} packets by each engine, ` +
        `${totals.matches} matches; ${totals.byInterpreter} packets are of a size that the kernel does not test-run`,
    )
    for (const line of notCompiled) t.diagnostic(`not compiled yet: ${line}`)
    assert.deepEqual(differences, [])
    assert.ok(totals.expressions >= 270, `only ${totals.expressions} expressions were compiled`)
    assert.ok(totals.packets > 1_000_000 && totals.matches > 10_000, 'too little was compared to mean anything')
  })
})
