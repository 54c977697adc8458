import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cutIp, joinIp, plainIp, randomCuts, readFragment, shuffled } from '../../test/support/fragmented.js'
import { areSumsRight, mendHeader } from '../../test/support/ip-packet.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { errorAbout, type TranslatedPacket, translatedIp } from '../../test/support/translated-packet.js'
import {
  ADDRESSES,
  address,
  FAMILIES,
  HOST_MACS,
  INSIDE,
  MACS,
  OUTSIDE,
  openTranslator,
  type Translator,
} from '../../test/support/translator.js'
import { parseAddress } from '../kernel/index.js'
import { ETHERTYPE, write16, writeEthernet } from '../wire/index.js'
import type { FragmentsOptions } from './fragments.js'
import type { NatRule } from './nat.js'

const MASQUERADE: readonly NatRule[] = [{ kind: 'masquerade', outPort: OUTSIDE, ports: [2000, 60_000] }]
const LEAST_FIRST = { tcp: 24, udp: 8, icmp: 8 } as const

const DATAGRAM: TranslatedPacket = {
  protocol: 'udp',
  source: address(4, 'client', 1),
  destination: address(4, 'server', 1),
  sourcePort: 2000,
  destinationPort: 53,
  payload: Uint8Array.from({ length: 92 }, (_, at) => at),
  isReply: false,
}

function framed(inPort: number, ip: Uint8Array) {
  const frame = new Uint8Array(14 + ip.length)
  writeEthernet(frame, MACS[inPort]!, HOST_MACS[inPort]!, ip[0]! >> 4 === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6)
  frame.set(ip, 14)
  return { inPort, frame }
}

const open = (fragments: FragmentsOptions = {}, now = () => 0) => openTranslator(MASQUERADE, now, 4096, 1, fragments)

/** Sends these pieces into a port, one after the other, and gives the IP packets that come out. */
function send(translator: Translator, inPort: number, pieces: readonly Uint8Array[]): Uint8Array[] {
  return translator.passAll(pieces.map((ip) => framed(inPort, ip))).map(({ frame }) => frame.subarray(14))
}

const pieces = (offsets: readonly number[], more: Partial<TranslatedPacket> = {}, identification = 7) =>
  cutIp(translatedIp({ ...DATAGRAM, ...more }), offsets, identification)

function randomPacket(random: Random): TranslatedPacket {
  const family = random.pick(FAMILIES)
  const protocol = random.pick(['tcp', 'udp', 'udp', 'icmp'] as const)
  const port = 2000 + random.below(3000)
  return {
    protocol,
    source: address(family, 'client', 1 + random.below(7)),
    destination: address(family, 'server', 1 + random.below(2)),
    sourcePort: port,
    destinationPort: protocol === 'icmp' ? port : 53,
    payload: Uint8Array.from({ length: 40 + random.below(1200) }, () => random.below(256)),
    isReply: false,
    isUnsummed: protocol === 'udp' && family === 4 && random.below(3) === 0,
    flags: 0x18,
    sequence: random.below(1000),
  }
}

/** The source that a datagram has got, by its first piece. */
function sourceOf(ip: Uint8Array, { protocol }: TranslatedPacket) {
  const { isIpv4, at } = readFragment(ip)
  const port = at + (protocol === 'icmp' ? 4 : 0)
  const sourcePort = (ip[port]! << 8) | ip[port + 1]!
  return { source: isIpv4 ? ip.slice(12, 16) : ip.slice(8, 24), sourcePort }
}

describe('fragments of what is translated', () => {
  for (const workers of [1, 3])
    it(`are put together to what the whole would be, however cut and in whatever order: ${workers}`, (context) => {
      const random = seededRandom(context, 'flow/fragments')
      const translator = openTranslator(MASQUERADE, () => 0, 4096, workers)
      const identifications = new Set<number>()
      let cut = 0
      const through = (inPort: number, packet: TranslatedPacket) => {
        const ip = translatedIp(packet)
        const header = packet.source.length === 4 ? 20 : 40
        const offsets = randomCuts(random, ip.length - header, LEAST_FIRST[packet.protocol])
        if (offsets.length === 0) return null
        cut++
        // All hosts count from the same number on.
        const sent = shuffled(random, cutIp(ip, offsets, 1 + random.below(2)))
        const out = translator.passAll(sent.map((ip) => ({ ...framed(inPort, ip), number: random.below(workers) })))
        assert(out.every(({ by }) => by.endsWith(`${inPort} ${1 - inPort}`)))
        const got = out.map(({ frame }) => frame.slice(14))
        for (const piece of got) assert(piece[0]! >> 4 === 6 || areSumsRight(piece), 'a header sum is wrong')
        return got
      }
      for (let turn = 0; turn < 400; turn++) {
        const asked = randomPacket(random)
        const got = through(INSIDE, asked)
        if (got === null) continue
        const found = sourceOf(got.find((piece) => readFragment(piece).begin === 0)!, asked)
        const translated = {
          ...{ ...asked, ...found, hops: 63 },
          ...(asked.protocol === 'icmp' && { destinationPort: found.sourcePort }),
        }
        assert.deepEqual(joinIp(got), plainIp(translatedIp(translated)))
        if (got[0]![0]! >> 4 === 4) {
          const { identification } = readFragment(got[0]!)
          assert(!identifications.has(identification), 'two datagrams leave with one identification')
          identifications.add(identification)
        }
        const [source, destination] = [translated.destination, translated.source]
        const ports = { sourcePort: translated.destinationPort, destinationPort: translated.sourcePort }
        const acknowledged = (asked.sequence ?? 0) + asked.payload.length
        const answer = {
          ...asked,
          source,
          destination,
          ...ports,
          isReply: true,
          flags: 0x10,
          sequence: 9,
          acknowledged,
        }
        const back = through(OUTSIDE, answer)
        if (back === null) continue
        const wanted = { ...answer, destination: asked.source, hops: 63, destinationPort: asked.sourcePort }
        const own = { ...wanted, ...(asked.protocol === 'icmp' && { sourcePort: asked.sourcePort }) }
        assert.deepEqual(joinIp(back), plainIp(translatedIp(own)))
      }
      assert(cut > 500, `${cut} were cut`)
      for (const active of translator.active()) assert(active > 20, `${translator.active()}`)
      assert.deepEqual(translator.drops(), {})
      translator.close()
    })

  it('that come before the first one wait for it, and are dropped by name when it does not come in time', () => {
    let now = 0
    const translator = open({}, () => now)
    const [first, second, last] = pieces([40, 80])
    assert.equal(send(translator, INSIDE, [last!, second!]).length, 0)
    assert.equal(translator.inUse(), 2)
    assert.equal(send(translator, INSIDE, [first!]).length, 3)
    assert.equal(translator.inUse(), 0)
    assert.equal(send(translator, INSIDE, pieces([40, 80], {}, 8).slice(1)).length, 0)
    now = 29_000
    translator.rest()
    assert.equal(translator.inUse(), 2)
    now = 31_000
    for (let round = 0; round < 2; round++) translator.rest()
    assert.equal(translator.inUse(), 0)
    assert.deepEqual(translator.drops(), { 'track: fragment without the first': 2 })
    translator.close()
  })

  it('find no room: the datagram that has waited longest makes it, and nothing of that passes any more', () => {
    const translator = open({ waiting: 3 })
    assert.equal(send(translator, INSIDE, pieces([40, 80], {}, 1).slice(1)).length, 0)
    assert.equal(send(translator, INSIDE, pieces([40, 80], {}, 2).slice(1)).length, 0)
    assert.deepEqual(translator.drops(), { 'track: no room for a fragment': 2 })
    assert.equal(send(translator, INSIDE, pieces([40, 80], {}, 1).slice(0, 1)).length, 0)
    assert.equal(send(translator, INSIDE, pieces([40, 80], {}, 2).slice(0, 1)).length, 3)
    assert.equal(translator.drops()['track: fragment of what was dropped'], 1)
    // One that needs all places is lost alone.
    const long = Uint8Array.from({ length: 300 })
    assert.equal(send(translator, INSIDE, pieces([40, 80, 120, 160], { payload: long }, 3).slice(1)).length, 0)
    assert.equal(translator.inUse(), 0)
    assert.equal(send(translator, INSIDE, pieces([40], {}, 4).reverse()).length, 2)
    translator.close()
  })

  it('of more datagrams than are known: the oldest is forgotten, and its others wait in vain', () => {
    const translator = open({ datagrams: 4 })
    for (let id = 1; id <= 5; id++) assert.equal(send(translator, INSIDE, pieces([40], {}, id).slice(0, 1)).length, 1)
    assert.equal(send(translator, INSIDE, pieces([40], {}, 5).slice(1)).length, 1)
    assert.equal(send(translator, INSIDE, pieces([40], {}, 1).slice(1)).length, 0)
    assert.equal(translator.inUse(), 1)
    translator.close()
  })

  it('that overlap end their datagram; those that come twice do not', () => {
    const translator = open()
    const [first, second, last] = pieces([40, 80])
    assert.equal(send(translator, INSIDE, [first!, first!]).length, 1)
    assert.deepEqual(translator.drops(), { 'track: fragment twice': 1 })
    const over = pieces([32, 72])[1]!
    assert.equal(send(translator, INSIDE, [over, last!, second!]).length, 0)
    assert.equal(translator.drops()['track: fragments overlap'], 1)
    assert.equal(translator.drops()['track: fragment of what was dropped'], 2)
    // Nothing that is new, but cut elsewhere.
    const [head, middle] = pieces([40, 80], {}, 8)
    const copy = pieces([32, 72], {}, 8)[1]!
    assert.equal(send(translator, INSIDE, [head!, middle!, copy, middle!]).length, 2)
    assert.equal(translator.drops()['track: fragments overlap'], 2)
    // A second end, and bytes behind the end.
    const [, , end] = pieces([40, 80], {}, 9)
    const [, , shorter] = pieces([40, 80], { payload: DATAGRAM.payload.subarray(0, 80) }, 9)
    assert.equal(send(translator, INSIDE, [pieces([40, 80], {}, 9)[0]!, end!, shorter!]).length, 2)
    assert.equal(translator.drops()['track: fragments overlap'], 3)
    const longer = pieces([40, 88], {}, 10)
    const [begin, , ending] = pieces([40, 48], { payload: DATAGRAM.payload.subarray(0, 42) }, 10)
    assert.equal(send(translator, INSIDE, [begin!, ending!, longer[1]!]).length, 2)
    assert.equal(translator.drops()['track: fragments overlap'], 4)
    assert.equal(translator.inUse(), 0)
    translator.close()
  })

  it('hide no header in a second one, and are nothing that no host sends', () => {
    const translator = open()
    const tcp = pieces([8], { protocol: 'tcp' }, 1)
    assert.equal(send(translator, INSIDE, tcp).length, 0)
    assert.deepEqual(translator.drops(), {
      'track: short first fragment': 1,
      'track: fragment of what was dropped': 1,
    })
    // RFC 3128: the flags once more, from a later one.
    const segment = { protocol: 'tcp' as const, payload: new Uint8Array(60) }
    const [head, again] = [pieces([40], segment, 2)[0]!, pieces([8, 40], segment, 2)[1]!]
    assert.equal(send(translator, INSIDE, [again, head]).length, 0)
    assert.equal(translator.drops()['track: fragments overlap'], 2)
    const odd = pieces([40], {}, 3)[0]!.slice(0, -3)
    write16(odd, 2, odd.length)
    const [, beyond] = pieces([40], {}, 4)
    write16(beyond!, 6, 0x1fff)
    for (const ip of [odd, beyond!]) {
      mendHeader(ip, 0)
      assert.equal(send(translator, INSIDE, [ip]).length, 0)
    }
    assert.equal(translator.drops()['track: malformed fragment'], 2)
    assert.equal(translator.inUse(), 0)
    translator.close()
  })

  it('of two hosts that chose the same leave with identifications of their own', () => {
    const translator = open()
    const others = { source: address(4, 'client', 2) }
    const [one, other] = [pieces([40]), pieces([40], others)]
    const out = send(translator, INSIDE, [one[0]!, other[0]!, one[1]!, other[1]!])
    const ids = out.map((ip) => readFragment(ip).identification)
    assert.equal(out.length, 4)
    assert(ids[0] === ids[2] && ids[1] === ids[3] && ids[0] !== ids[1], `${ids}`)
    translator.close()
  })

  it('for the router itself are nobody else’s, whatever they are, the first and the others', () => {
    for (const family of FAMILIES) {
      const translator = open()
      const own = parseAddress(ADDRESSES[family].own)
      const local = translator.tables.addNextHop({ kind: 'local' })
      assert.equal(translator.tables.insert({ address: own, length: own.length * 8 }, local), null)
      const echo = { protocol: 'icmp' as const, isReply: true, source: address(family, 'server', 1), destination: own }
      const sent = pieces([40, 80], echo)
      const out = translator.passAll([sent[2]!, sent[0]!, sent[1]!].map((ip) => framed(OUTSIDE, ip)))
      assert.deepEqual(
        out.map(({ by }) => by),
        ['local 1', 'local 1', 'local 1'],
      )
      assert.deepEqual(
        out.map(({ frame }) => frame.slice(14)).toSorted(Buffer.compare),
        sent.map((ip) => Uint8Array.from(ip)).toSorted(Buffer.compare),
      )
      translator.close()
    }
  })

  it('are quoted by errors, which find who has sent the first one', () => {
    for (const family of FAMILIES) {
      const translator = open()
      const asked = { source: address(family, 'client', 1), destination: address(family, 'server', 1) }
      const [left] = send(translator, INSIDE, pieces([40], asked))
      const own = parseAddress(ADDRESSES[family].own)
      const [error] = send(translator, OUTSIDE, [errorAbout(left!, asked.destination, own, 64)])
      assert.deepEqual(error!.slice(family === 4 ? 16 : 24, family === 4 ? 20 : 40), asked.source)
      assert(areSumsRight(error!))
      translator.close()
    }
  })

  it('are dropped where they are not tracked', () => {
    const translator = open({ datagrams: 0 })
    assert.equal(send(translator, INSIDE, pieces([40])).length, 0)
    assert.deepEqual(translator.drops(), { 'track: fragment': 2 })
    translator.close()
  })
})
