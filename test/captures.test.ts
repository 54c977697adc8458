import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { openCapture } from '../src/device/index.js'
import { type CapturedPacket, openEngines } from './support/engines.js'
import { CORPUS, skipUnless } from './support/require.js'

/**
 * Every expression of the corpus on every capture of its link type, by every
 * engine, against what libpcap 1.10.3 answered (filter/expected-matches).
 */

/**
 * Where libpcap's own optimised and unoptimised code disagree, so that its
 * recorded answer is no oracle: a packet cut off inside a header.
 */
const LIBPCAP_DISAGREES_WITH_ITSELF = new Set(['d177 pcap/tcpdump/ipv6_invalid_length.pcap'])

interface Expression {
  readonly id: string
  readonly linkType: string
  readonly text: string
}

interface CaptureFile {
  readonly name: string
  readonly linkType: string
  readonly packets: readonly CapturedPacket[]
}

function readExpressions(): Expression[] {
  return readFileSync(join(CORPUS, 'expressions.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t'))
    .map(([id, linkType, text]) => ({ id: id!, linkType: linkType!, text: text! }))
}

function readCaptures(linkTypes: ReadonlySet<string>): CaptureFile[] {
  const listed = JSON.parse(readFileSync(join(CORPUS, 'captures.json'), 'utf8')) as { file: string; dlt: string }[]
  return listed
    .filter(({ dlt }) => linkTypes.has(dlt))
    .map(({ file, dlt }) => {
      const capture = openCapture(join(CORPUS, file))
      return {
        name: file,
        linkType: dlt,
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

describe('expressions on captures', { skip: skipUnless('root', 'corpus') }, () => {
  test('every engine agrees with libpcap', (t) => {
    const expressions = readExpressions()
    const linkTypes = new Set(expressions.map(({ linkType }) => linkType))
    const captures = readCaptures(linkTypes)
    const expected = readExpected()
    const totals = { pairs: 0, packets: 0, matches: 0 }
    const differences: string[] = []
    for (const { id, linkType, text } of expressions) {
      const engines = openEngines(text, { linkType })
      for (const { name: capture, packets } of captures.filter((file) => file.linkType === linkType)) {
        const pair = `${id} ${capture}`
        totals.pairs++
        totals.packets += packets.length
        for (const { name, engine } of engines) {
          const numbers = packets.flatMap((packet, index) => (engine.matches(packet) ? index + 1 : []))
          const wanted = expected.get(pair)
          const same = numbers.length === 0 ? wanted === undefined : hashOf(numbers) === wanted
          if (!same && !LIBPCAP_DISAGREES_WITH_ITSELF.has(pair)) differences.push(`${name}: ${pair}: ${text}`)
          if (engine === engines[0]!.engine) totals.matches += numbers.length
        }
      }
      for (const { engine } of engines) engine.close()
    }
    const { pairs, packets, matches } = totals
    t.diagnostic(
      `${expressions.length} expressions on ${captures.length} captures of ${linkTypes.size} link types: ` +
        `${pairs} pairs, ${packets} packets by each engine, ${matches} matches`,
    )
    assert.deepEqual(differences, [])
    assert.ok(expressions.length >= 300 && linkTypes.size >= 12, `only ${expressions.length} expressions were there`)
    assert.ok(packets > 1_000_000 && matches > 10_000, 'too little was compared to mean anything')
  })
})
