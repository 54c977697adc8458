import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Random, seededRandom } from '../../test/support/random.js'
import {
  errorAbout,
  ipOf,
  type TranslatedPacket,
  translatedFrame,
  translatedIp,
} from '../../test/support/translated-packet.js'
import {
  ADDRESSES,
  address,
  FAMILIES,
  type Family,
  HOST_MACS,
  INSIDE,
  MACS,
  OUTSIDE,
  openTranslator,
  outsidePort,
  prefix,
  type Translator,
} from '../../test/support/translator.js'
import { parseAddress } from '../kernel/index.js'
import { FLAG_CHECKSUM_MISSING } from '../memory/index.js'
import { addWords, ETHERTYPE, foldChecksum, write16, writeEthernet } from '../wire/index.js'
import type { NatRule } from './nat.js'

const RULES: readonly NatRule[] = [
  ...FAMILIES.map(
    (family): NatRule => ({
      kind: 'destination',
      to: { ...prefix(ADDRESSES[family].own, family === 4 ? 32 : 128), protocol: 6, port: 80 },
      address: address(family, 'client', 9),
      port: 8080,
    }),
  ),
  {
    kind: 'source',
    from: prefix('10.0.0.4', 30),
    outPort: OUTSIDE,
    to: parseAddress(ADDRESSES[4].pool),
    count: 2,
    ports: [3000, 3100],
  },
  { kind: 'masquerade', outPort: OUTSIDE, ports: [2000, 2300] },
]

/** A conversation as the twin knows it: what each side sends and what the other is to get of it. */
interface Conversation {
  /** Who begins is at this port. */
  readonly inPort: number
  readonly asked: TranslatedPacket
  /** As it is to come out. */
  readonly translated: TranslatedPacket
}

const answerTo = (
  packet: TranslatedPacket,
  payload: Uint8Array,
  more: Partial<TranslatedPacket>,
): TranslatedPacket => ({
  ...packet,
  source: packet.destination,
  destination: packet.source,
  sourcePort: packet.destinationPort,
  destinationPort: packet.sourcePort,
  payload,
  isReply: true,
  ...more,
})

function begin(random: Random, number: number): { readonly inPort: number; readonly asked: TranslatedPacket } {
  const family = random.pick(FAMILIES)
  const payload = Uint8Array.from({ length: random.below(9) }, () => random.below(256))
  const protocol = random.pick(['tcp', 'udp', 'icmp'] as const)
  if (random.below(4) === 0) {
    return {
      inPort: OUTSIDE,
      asked: {
        protocol: 'tcp',
        source: address(family, 'server', 1 + random.below(3)),
        destination: parseAddress(ADDRESSES[family].own),
        sourcePort: 10_000 + number,
        destinationPort: 80,
        payload: new Uint8Array(),
        isReply: false,
      },
    }
  }
  const port = random.pick([1900, 2000, 3000]) + random.below(400)
  return {
    inPort: INSIDE,
    asked: {
      protocol,
      source: address(family, 'client', 1 + random.below(7)),
      destination: address(family, 'server', 1 + random.below(2)),
      sourcePort: port,
      destinationPort: protocol === 'icmp' ? port : 53,
      payload: protocol === 'tcp' ? new Uint8Array() : payload,
      isReply: false,
      isUnsummed: protocol === 'udp' && family === 4 && random.below(3) === 0,
    },
  }
}

const textOf = (packet: TranslatedPacket) =>
  `${packet.protocol} ${packet.source} ${packet.sourcePort} ${packet.destination} ${packet.destinationPort}`

/** By the rules, plainly: what the packet may be translated to, and the port that it has then where that is free. */
function ruleFor({ source, sourcePort }: TranslatedPacket): {
  readonly to: string[]
  readonly ports: readonly [number, number]
  readonly port: number
} {
  const isPooled = source.length === 4 && source[3]! >= 4 && source[3]! < 8
  if (isPooled) return { to: ['203,0,113,64', '203,0,113,65'], ports: [3000, 3100], port: sourcePort }
  return { to: [`${parseAddress(ADDRESSES[source.length === 4 ? 4 : 6].own)}`], ports: [2000, 2300], port: sourcePort }
}

/** What came out, read by its addresses and ports alone; the rest is compared with the packet made anew of them. */
function readSource(
  frame: Uint8Array,
  protocol: TranslatedPacket['protocol'],
): { source: Uint8Array; sourcePort: number } {
  const isIpv4 = frame[14]! >> 4 === 4
  const at = 14 + (isIpv4 ? 20 : 40) + (protocol === 'icmp' ? 4 : 0)
  return { source: isIpv4 ? frame.slice(26, 30) : frame.slice(22, 38), sourcePort: (frame[at]! << 8) | frame[at + 1]! }
}

function open(
  translator: Translator,
  { inPort, asked }: { inPort: number; asked: TranslatedPacket },
  taken: Set<string>,
  /** Another worker's flows may not have it, even where no flow has it. */
  isKept: boolean,
): Conversation | null {
  const frame = translatedFrame(asked, HOST_MACS[inPort]!, MACS[inPort]!)
  const out = translator.pass(inPort, frame)
  if (out === null) return null
  assert.equal(out.by, `routed ${inPort} ${1 - inPort}`)
  if (inPort === OUTSIDE) {
    const translated = {
      ...asked,
      destination: address(asked.source.length === 4 ? 4 : 6, 'client', 9),
      destinationPort: 8080,
    }
    assert.deepEqual(out.frame, leaving(translated, INSIDE))
    return { inPort, asked, translated }
  }
  const found = readSource(out.frame, asked.protocol)
  const translated = { ...asked, ...found, ...(asked.protocol === 'icmp' && { destinationPort: found.sourcePort }) }
  assert.deepEqual(out.frame, leaving(translated, OUTSIDE))
  const { to, ports, port } = ruleFor(asked)
  assert(to.includes(`${found.source}`), `${found.source}`)
  assert(found.sourcePort >= ports[0] && found.sourcePort <= ports[1])
  const kept = { ...translated, sourcePort: port, ...(asked.protocol === 'icmp' && { destinationPort: port }) }
  if (isKept && port >= ports[0] && port <= ports[1] && !taken.has(textOf(kept))) assert.equal(found.sourcePort, port)
  assert(!taken.has(textOf(translated)), 'two flows share what answers them')
  taken.add(textOf(translated))
  return { inPort, asked, translated }
}

/** The frame as it leaves by a port: one hop less. */
function leaving(packet: TranslatedPacket, port: number): Uint8Array {
  return translatedFrame({ ...packet, hops: 63 }, MACS[port]!, HOST_MACS[port]!)
}

function assertTalks(
  random: Random,
  translator: Translator,
  { inPort, asked, translated }: Conversation,
  isFirst: boolean,
): void {
  const payload = Uint8Array.from({ length: random.below(9) }, () => random.below(256))
  const more = asked.protocol === 'tcp' ? { flags: 0x12, sequence: 7, acknowledged: 2, payload: new Uint8Array() } : {}
  const reply = answerTo(translated, payload, more)
  const wanted = answerTo(asked, payload, more)
  const back = translator.pass(1 - inPort, translatedFrame(reply, HOST_MACS[1 - inPort]!, MACS[1 - inPort]!))
  assert.deepEqual(back?.frame, leaving(wanted, inPort))
  if (isFirst) assert.equal(back?.by, `routed ${1 - inPort} ${inPort}`)
  const forth = translator.pass(inPort, translatedFrame(asked, HOST_MACS[inPort]!, MACS[inPort]!))
  if (asked.protocol !== 'tcp') assert.deepEqual(forth?.frame, leaving(translated, 1 - inPort))
}

/** A router behind the translation says that the packet as it has left is not wanted, and who has sent it learns it of the packet as he has sent it. */
function assertErrorReturns(random: Random, translator: Translator, { inPort, asked, translated }: Conversation): void {
  const family = asked.source.length === 4 ? 4 : 6
  const quotedBytes = random.pick([family === 4 ? 28 : 48, 500])
  const by = inPort === INSIDE ? address(family, 'server', 77) : address(family, 'client', 9)
  const shownBy = inPort === INSIDE ? by : asked.destination
  const quote = (packet: TranslatedPacket) => translatedIp({ ...packet, hops: 63 })
  const port = 1 - inPort
  const said = errorAbout(quote(translated), by, translated.source, quotedBytes)
  const out = translator.pass(port, framed(said, HOST_MACS[port]!, MACS[port]!))
  const wanted = framed(errorAbout(quote(asked), shownBy, asked.source, quotedBytes), MACS[inPort]!, HOST_MACS[inPort]!)
  shorten(wanted, family)
  assert.deepEqual(out?.frame, wanted)
}

function framed(ip: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const frame = new Uint8Array(14 + ip.length)
  writeEthernet(frame, to, from, ip[0]! >> 4 === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6)
  frame.set(ip, 14)
  return frame
}

/** One hop less, and the checksum of IPv4 with it. */
function shorten(frame: Uint8Array, family: Family): void {
  if (family === 6) frame[21]! -= 1
  else {
    frame[22]! -= 1
    const sum = ((frame[24]! << 8) | frame[25]!) + 0x100
    const folded = sum > 0xffff ? (sum & 0xffff) + 1 : sum
    frame[24] = folded >> 8
    frame[25] = folded & 255
  }
}

describe('addresses that are translated', () => {
  for (const workers of [1, 3]) {
    it(`are what a plain twin says, in both directions, on the first packet and by memory, and in what errors quote: ${workers}`, (context) => {
      const random = seededRandom(context, 'flow/translate')
      const alone = openTranslator(RULES, () => 0, 4096, workers)
      // Packets come to any of the workers.
      const translator: Translator = {
        ...alone,
        pass: (inPort, frame, flags) => alone.pass(inPort, frame, flags, random.below(workers)),
      }
      const taken = new Set<string>()
      const known = new Map<string, Conversation>()
      for (let turn = 0; turn < 600; turn++) {
        const begun = begin(random, turn)
        if (known.has(textOf(begun.asked))) continue
        const conversation = open(translator, begun, taken, workers === 1)
        if (conversation === null) continue
        known.set(textOf(begun.asked), conversation)
        if (random.below(2) === 0) assertErrorReturns(random, translator, conversation)
        assertTalks(random, translator, conversation, true)
        assertTalks(
          random,
          translator,
          random.pick([...known.values()].filter(({ asked }) => asked.protocol !== 'tcp').concat(conversation)),
          false,
        )
      }
      assert(known.size > 300, `${known.size} conversations`)
      for (const active of translator.active()) assert(active > 300 / workers / 2, `${translator.active()}`)
      translator.close()
    })
  }

  it('run out: what finds no port is dropped and counted, until a flow ends', () => {
    let now = 0
    const translator = openTranslator([{ kind: 'masquerade', outPort: OUTSIDE, ports: [5000, 5003] }], () => now)
    const ask = (port: number) =>
      translator.pass(INSIDE, translatedFrame({ ...DATAGRAM, sourcePort: port }, HOST_MACS[INSIDE], MACS[INSIDE]))
    for (let port = 1; port <= 4; port++) assert.equal(ask(port)?.by, 'routed 0 1')
    assert.equal(ask(5), null)
    assert.deepEqual(translator.drops(), { 'translate: no port': 1 })
    assert.equal(translator.flows.statistics().active, 4)
    now = 60_000
    translator.flows.tick()
    assert.equal(ask(5)?.by, 'routed 0 1')
    translator.close()
  })

  it('end with the address of the port, and begin anew with the next', () => {
    const translator = openTranslator([{ kind: 'masquerade', outPort: OUTSIDE }])
    const ask = () => translator.pass(INSIDE, translatedFrame(DATAGRAM, HOST_MACS[INSIDE], MACS[INSIDE]))
    const sourceOf = (frame: Uint8Array | undefined) => `${frame?.slice(26, 30)}`
    assert.equal(sourceOf(ask()?.frame), '203,0,113,1')
    assert.equal(ask()?.by, 'cached 0 1')
    translator.tables.setPort(OUTSIDE, outsidePort('203.0.113.9', '2001:db8:1::9'))
    assert.equal(ask(), null)
    assert.deepEqual(translator.drops(), { 'translate: address changed': 1 })
    assert.equal(sourceOf(ask()?.frame), '203,0,113,9')
    translator.close()
  })

  it('are translated where the checksum is still to be made, or protocols have no ports, or headers stand between', () => {
    const translator = openTranslator([{ kind: 'masquerade', outPort: OUTSIDE }])
    const pass = (frame: Uint8Array, flags = 0) => translator.pass(INSIDE, frame, flags)?.frame
    // The sum over the pseudo header, as it stands where somebody else adds the rest.
    const unfinished = (packet: TranslatedPacket, framed: Uint8Array): Uint8Array => {
      const bytes = framed.length - 34
      write16(framed, 40, foldChecksum(addWords(addWords(17 + bytes, packet.source), packet.destination)) ^ 0xffff)
      return framed
    }
    const own = { ...DATAGRAM, source: parseAddress(ADDRESSES[4].own) }
    const sent = unfinished(DATAGRAM, translatedFrame(DATAGRAM, HOST_MACS[INSIDE], MACS[INSIDE]))
    const wanted = unfinished(own, leaving(own, OUTSIDE))
    // On its way through the tables, and by memory.
    for (const _ of ['routed', 'cached']) assert.deepEqual(pass(sent, FLAG_CHECKSUM_MISSING), wanted)

    const tunnelled = (source: Uint8Array, hops: number) =>
      ipOf(source, DATAGRAM.destination, 47, hops, Uint8Array.of(0, 0, 8, 0))
    const [sender, receiver] = [
      [HOST_MACS[INSIDE], MACS[INSIDE]],
      [MACS[OUTSIDE], HOST_MACS[OUTSIDE]],
    ] as const
    assert.deepEqual(
      pass(framed(tunnelled(DATAGRAM.source, 64), ...sender)),
      framed(tunnelled(own.source, 63), ...receiver),
    )

    const datagram = { ...DATAGRAM, source: address(6, 'client', 1), destination: address(6, 'server', 1) }
    const behindOptions = (packet: TranslatedPacket, hops: number) => {
      const options = Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0)
      const transport = translatedIp(packet).subarray(40)
      return ipOf(packet.source, packet.destination, 60, hops, Uint8Array.from([...options, ...transport]))
    }
    assert.deepEqual(
      pass(framed(behindOptions(datagram, 64), ...sender)),
      framed(behindOptions({ ...datagram, source: parseAddress(ADDRESSES[6].own) }, 63), ...receiver),
    )
    translator.close()
  })

  it('are the same for a source, whomever it speaks to', () => {
    const translator = openTranslator([
      {
        kind: 'source',
        from: prefix('10.0.0.0', 24),
        outPort: OUTSIDE,
        to: parseAddress(ADDRESSES[4].pool),
        count: 64,
      },
      { kind: 'masquerade', outPort: OUTSIDE, ports: [2000, 2300] },
    ])
    const ask = (packet: Partial<TranslatedPacket>) => {
      const frame = translatedFrame({ ...DATAGRAM, ...packet }, HOST_MACS[INSIDE], MACS[INSIDE])
      return readSource(translator.pass(INSIDE, frame)!.frame, 'udp')
    }
    const first = ask({})
    for (let port = 1; port < 20; port++) assert.deepEqual(ask({ sourcePort: 2000 + port }).source, first.source)
    const inner = { source: parseAddress('10.1.0.1'), sourcePort: 9 }
    const other = ask(inner)
    assert(other.sourcePort >= 2000 && other.sourcePort <= 2300)
    for (let server = 2; server < 20; server++)
      assert.deepEqual(ask({ ...inner, destination: address(4, 'server', server) }), other)
    translator.close()
  })

  it('are not kept from anybody by packets that go nowhere, nor answered by them', () => {
    const translator = openTranslator([{ kind: 'masquerade', outPort: OUTSIDE }])
    const stray = { ...answerTo(DATAGRAM, new Uint8Array(), {}), destination: parseAddress(ADDRESSES[4].own) }
    const send = (port: number, packet: TranslatedPacket) =>
      translator.pass(port, translatedFrame(packet, HOST_MACS[port]!, MACS[port]!))
    assert.equal(send(OUTSIDE, stray)?.by, 'errors 1')
    const out = send(INSIDE, DATAGRAM)
    assert.deepEqual(out?.frame, leaving({ ...DATAGRAM, source: parseAddress(ADDRESSES[4].own) }, OUTSIDE))
    // A connection whose SYN has not left is none.
    const syn = { ...DATAGRAM, protocol: 'tcp', payload: new Uint8Array(), hops: 1 } as const
    assert.equal(send(INSIDE, syn)?.by, 'errors 0')
    assert.equal(send(OUTSIDE, { ...answerTo(syn, syn.payload, { flags: 0x12, hops: 64 }) })?.by, 'invalid 1')
    assert.equal(send(INSIDE, { ...syn, hops: 64 })?.by, 'routed 0 1')
    translator.close()
  })

  it('are another port for the source where the answer would be another flow’s', () => {
    const translator = openTranslator(RULES)
    const server = { source: address(4, 'server', 1), sourcePort: 10_000 }
    const own = { destination: parseAddress(ADDRESSES[4].own), destinationPort: 80 }
    const asked = { ...DATAGRAM, ...server, ...own, protocol: 'tcp', payload: new Uint8Array() } as const
    const inner = { source: address(4, 'client', 9), sourcePort: 8080 }
    // The published host goes on with a connection that nobody here knows.
    const old = { ...asked, ...inner, destination: server.source, destinationPort: 10_000, flags: 0x10 }
    const send = (port: number, packet: TranslatedPacket) =>
      translator.pass(port, translatedFrame(packet, HOST_MACS[port]!, MACS[port]!))!
    assert.equal(send(INSIDE, old).by, 'routed 0 1')
    const { frame } = send(OUTSIDE, asked)
    const { sourcePort } = readSource(frame, 'tcp')
    assert.notEqual(sourcePort, 10_000)
    const arrived = { ...asked, sourcePort, destination: inner.source, destinationPort: inner.sourcePort }
    assert.deepEqual(frame, leaving(arrived, INSIDE))
    const answer = { flags: 0x12, acknowledged: 2 }
    const back = send(INSIDE, answerTo(arrived, asked.payload, answer))
    assert.deepEqual(back.frame, leaving(answerTo(asked, asked.payload, answer), OUTSIDE))
    translator.close()
  })

  it('are as they were in what an ICMP error is to be made of', () => {
    const translator = openTranslator(RULES)
    const [asked, packet] = [
      { ...DATAGRAM, protocol: 'tcp', hops: 1 } as const,
      { ...DATAGRAM, payload: new Uint8Array() },
    ]
    const published = {
      ...asked,
      source: address(4, 'server', 1),
      destination: parseAddress(ADDRESSES[4].own),
      destinationPort: 80,
    }
    const frame = translatedFrame(published, HOST_MACS[OUTSIDE], MACS[OUTSIDE])
    assert.deepEqual(translator.pass(OUTSIDE, frame), { by: 'errors 1', frame })
    const out = translator.pass(INSIDE, translatedFrame(packet, HOST_MACS[INSIDE], MACS[INSIDE]))!
    const translated = { ...packet, ...readSource(out.frame, 'udp') }
    const reply = translatedFrame(
      answerTo(translated, new Uint8Array(), { hops: 1 }),
      HOST_MACS[OUTSIDE],
      MACS[OUTSIDE],
    )
    assert.deepEqual(translator.pass(OUTSIDE, reply), { by: 'errors 1', frame: reply })
    translator.close()
  })

  it('leave faults of checksums as what they are', () => {
    const translator = openTranslator([{ kind: 'masquerade', outPort: OUTSIDE }])
    const faulty = translatedFrame(DATAGRAM, HOST_MACS[INSIDE], MACS[INSIDE])
    faulty[40]! ^= 0x11
    const out = translator.pass(INSIDE, faulty)!.frame
    const right = leaving({ ...DATAGRAM, ...readSource(out, 'udp') }, OUTSIDE)
    assert.notDeepEqual(out, right)
    translator.close()
  })
})

const DATAGRAM: TranslatedPacket = {
  protocol: 'udp',
  source: address(4, 'client', 1),
  destination: address(4, 'server', 1),
  sourcePort: 2000,
  destinationPort: 53,
  payload: Uint8Array.of(1, 2, 3),
  isReply: false,
}
