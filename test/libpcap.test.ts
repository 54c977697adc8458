import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openCapture } from '../src/device/index.js'
import { FilterError } from '../src/filter/index.js'
import { LINK_TYPES, UnsupportedError } from '../src/ir/index.js'
import { CLASSIC_LINK_TYPES, type ClassicLinkType, type ClassicProgram, runClassic } from './support/classic-bpf.js'
import { parseClassic } from './support/classic-text.js'
import { type CapturedPacket, openEngines } from './support/engines.js'
import { type Random, seededRandom } from './support/random.js'
import { randomPacket } from './support/random-packet.js'
import { CORPUS, skipUnless } from './support/require.js'

/** libpcap's own tests (1.11): what an expression compiles to, and what it gives on a capture. */

interface Accepted {
  readonly name: string
  readonly DLT: string
  readonly aliases: readonly string[]
  readonly opt: string | null
  readonly unopt: string
  readonly netmask?: string
  readonly skip?: string
  readonly linuxext?: unknown
  readonly generate_offline_filter?: unknown
}

interface Applied {
  readonly name: string
  readonly expr: string
  readonly savefile: string
  /** By packet: 0, or the bytes to keep. */
  readonly results: readonly number[]
  readonly skip?: string
}

const RANDOM_PACKETS = 150
/** Of captures of the link type: the smallest, which are the strange ones. */
const MOST_CAPTURED = 300

/** Tests whose answer is another here, with the reason. */
const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ['ip_multicast', 'libpcap 1.10.3, which is followed, takes all of 224.0.0.0/3'],
  ['igrp_88', 'libpcap 1.10.3, which is followed, takes protocol 9'],
  ['ip_broadcast_30', 'asked with a netmask, which a capture file does not have'],
  ['link_proto_ip_2BE_NULL', 'one byte order, of a machine; here either, as of a capture file'],
  ['link_proto_ip6_10LE_NULL', 'the address families of Linux, of a device; here those of BSD'],
  ['link_proto_ip6_22BE_NULL', 'an address family of a device on one system'],
  ['link_proto_ip6_24BE_NULL', 'one byte order and family, of a machine'],
  ['link_proto_ip6_28BE_NULL', 'one byte order and family, of a machine'],
  ['bool_reduction_returns_not_false', 'libpcap 1.11 leaves out reads before what is always true; 1.10.3 does not'],
  ['ip6_protochain_17_deepstack', 'a chain of over a hundred headers; 7 are followed'],
])

function isException(context: { diagnostic(text: string): void }, name: string): boolean {
  const reason = EXCEPTIONS.get(name)
  if (reason !== undefined) context.diagnostic(`left out, ${name}: ${reason}`)
  return reason !== undefined
}

/** Words that ask for what a test of a capture file cannot know. */
const NEEDS = /entries|ethers|hosts|networks|is not|Linux|names/

function readCorpus<Entry>(name: string): Entry[] {
  return JSON.parse(readFileSync(`${CORPUS}libpcap/${name}`, 'utf8')) as Entry[]
}

function readPackets(file: string): CapturedPacket[] {
  const capture = openCapture(file)
  return Array.from(capture.packets(), ({ data, wireLength }) => ({ bytes: Uint8Array.from(data), wireLength }))
}

/** Captured packets of the link type, and random ones where packets of it can be made, or else random bytes. */
function packetsOf(random: Random, linkType: string): CapturedPacket[] {
  const listed = JSON.parse(readFileSync(join(CORPUS, 'captures.json'), 'utf8')) as {
    file: string
    dlt: string
    packets: number
  }[]
  const files = listed.filter(({ dlt }) => dlt === linkType).sort((one, other) => one.packets - other.packets)
  const captured: CapturedPacket[] = []
  for (const { file, packets } of files) {
    if (captured.length + packets > MOST_CAPTURED) break
    captured.push(...readPackets(join(CORPUS, file)))
  }
  const isMade = CLASSIC_LINK_TYPES.some((name) => name === linkType)
  const made = Array.from({ length: RANDOM_PACKETS }, () =>
    isMade ? randomPacket(random, linkType as ClassicLinkType) : randomBytes(random),
  )
  return [...captured, ...made]
}

function randomBytes(random: Random): CapturedPacket {
  const bytes = Uint8Array.from({ length: random.below(120) }, () =>
    random.pick([0, 1, 2, 4, 6, 8, 0xaa, random.below(256)]),
  )
  return { bytes, wireLength: bytes.length }
}

/** Why the expression is not compiled; null where it is. */
function refusalOf(text: string, linkType: string): string | null {
  try {
    for (const { engine } of openEngines(text, { linkType })) engine.close()
    return null
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof FilterError) return error.message
    throw error
  }
}

describe("libpcap's own tests", { skip: skipUnless('root', 'corpus') }, () => {
  test('expressions match what their recorded programs match', (t) => {
    const random = seededRandom(t, 'libpcap')
    const packets = new Map<string, CapturedPacket[]>()
    const totals = { expressions: 0, pairs: 0, matches: 0 }
    const refused = new Map<string, number>()
    const differences: string[] = []
    for (const entry of readCorpus<Accepted>('accept.json')) {
      if (entry.name === 'bpf_image' || entry.linuxext !== undefined || NEEDS.test(entry.skip ?? '')) continue
      if (isException(t, entry.name)) continue
      if (!packets.has(entry.DLT)) packets.set(entry.DLT, packetsOf(random, entry.DLT))
      const [optimized, plain] = [entry.opt ?? entry.unopt, entry.unopt].map(parseClassic)
      for (const text of entry.aliases) {
        const refusal = refusalOf(text, entry.DLT)
        if (refusal !== null) {
          refused.set(`${entry.DLT}: ${refusal}`, (refused.get(`${entry.DLT}: ${refusal}`) ?? 0) + 1)
          continue
        }
        totals.expressions++
        const found = compare(text, entry.DLT, packets.get(entry.DLT)!, optimized!, plain!, totals)
        if (found !== null) differences.push(`${entry.name}: ${found}`)
      }
    }
    const { expressions, pairs, matches } = totals
    t.diagnostic(
      `${expressions} expressions of ${packets.size} link types, ${pairs} packets by each engine, ${matches} matches`,
    )
    for (const [reason, count] of refused) t.diagnostic(`refused, ${count}: ${reason}`)
    assert.deepEqual(differences, [])
    assert.ok(expressions > 700 && matches > 1000)
    for (const reason of refused.keys()) {
      const [linkType = ''] = reason.split(':')
      assert.ok(!LINK_TYPES.has(linkType) || /resolve|name|called|can match this|packet filter/.test(reason), reason)
    }
  })

  test('expressions match what they matched on captures', (t) => {
    const differences: string[] = []
    const totals = { cases: 0, packets: 0, left: 0 }
    for (const { name, expr, savefile, results, skip } of readCorpus<Applied>('apply.json')) {
      if (isException(t, name) || NEEDS.test(skip ?? '')) {
        totals.left++
        continue
      }
      const capture = openCapture(`${CORPUS}pcap/libpcap/filter/${savefile}`)
      const packets = Array.from(capture.packets(), ({ data, wireLength }) => ({
        bytes: Uint8Array.from(data),
        wireLength,
      }))
      totals.cases++
      totals.packets += packets.length
      for (const { name: engine, engine: opened } of openEngines(expr, { linkType: capture.linkType })) {
        const answers = packets.map((packet) => opened.matches(packet))
        const wanted = results.map((bytes) => bytes !== 0)
        if (answers.join() !== wanted.join())
          differences.push(`${name}, ${engine}: '${expr}' on ${savefile}: ${answers}`)
        opened.close()
      }
    }
    t.diagnostic(`${totals.cases} cases, ${totals.packets} packets by each engine; ${totals.left} left out`)
    assert.deepEqual(differences, [])
    assert.ok(totals.cases > 60)
  })
})

/** The first packet on which an engine differs from both programs of libpcap, or null. */
function compare(
  text: string,
  linkType: string,
  packets: readonly CapturedPacket[],
  optimized: ClassicProgram,
  plain: ClassicProgram,
  totals: { pairs: number; matches: number },
): string | null {
  const engines = openEngines(text, { linkType })
  try {
    for (const packet of packets) {
      const wanted = runClassic(optimized, packet.bytes, packet.wireLength)
      if (wanted === null) continue
      totals.pairs++
      if (wanted) totals.matches++
      for (const { name, engine } of engines) {
        const ours = engine.matches(packet)
        if (ours === wanted || ours === runClassic(plain, packet.bytes, packet.wireLength)) continue
        const hex = Buffer.from(packet.bytes).toString('hex')
        return `${linkType} '${text}': ${name} says ${ours} on ${hex} (${packet.wireLength} bytes on the wire)`
      }
    }
    return null
  } finally {
    for (const { engine } of engines) engine.close()
  }
}
