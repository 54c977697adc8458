import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { seededRandom } from '../../test/support/random.js'
import { endsIn, randomCapture } from '../../test/support/random-capture.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { skipUnless } from '../../test/support/require.js'
import { packetsOf, planOf } from '../../test/support/traffic.js'
import { createCapture, openCapture } from '../device/index.js'
import { addWords, foldChecksum } from '../wire/index.js'
import { type CapturedPacket, type Variation, varyCapture } from './index.js'

const bytes = (...numbers: number[]) => Uint8Array.from(numbers)
const UNCHANGED: Variation = {
  sources: null,
  sourcePorts: null,
  destinations: null,
  destinationPorts: null,
  sourceMac: null,
  destinationMac: null,
  isStamped: false,
}
const IPV4: Partial<Variation> = {
  sources: { first: bytes(198, 18, 0, 0), count: 131_072 },
  sourcePorts: { first: 1024, count: 64_512 },
  destinations: { first: bytes(203, 0, 113, 7), count: 40 },
  destinationPorts: { first: 8000, count: 33 },
}
/** Two prefixes: of ranges that overlap, two flows without ports could become one in its two directions. */
const ipv6 = (net: number, last: number) => bytes(0x20, 1, 0, 2, 0, net, 0xab, 0xcd, 0, 0, 0, 0, 0, 0, 0, last)
const IPV6: Partial<Variation> = {
  ...IPV4,
  sources: { first: ipv6(0, 0), count: 2 ** 32 },
  destinations: { first: ipv6(1, 9), count: 40 },
}

const captured = (packets: readonly Uint8Array[]): CapturedPacket[] =>
  packets.map((packet) => ({ bytes: packet, isWhole: true, gapNs: 0 }))

/** So many rounds of a capture, as the generator makes them. */
function vary(packets: readonly Uint8Array[], change: Partial<Variation>, rounds: number) {
  const varied = varyCapture(captured(packets), { ...UNCHANGED, ...change })
  const plan = planOf(varied.templates, { isInTurn: true })
  const sent = packetsOf(openBench({ 2048: 1024 }), plan, packets.length * rounds)
  const round = (index: number) => sent.slice(index * packets.length, (index + 1) * packets.length)
  return { ...varied, sent, rounds: Array.from({ length: rounds }, (_, index) => round(index)) }
}

/** Whether its checksums are right, all summed anew; those of fragments are of more than is there. */
function isSound(frame: Uint8Array): boolean {
  const { ip, width, protocol, transport, isLater } = endsIn(frame)
  if (width === 4 && foldChecksum(addWords(0, frame, ip, ip + (frame[ip]! & 15) * 4)) !== 0) return false
  const isFragment = width === 4 && (((frame[ip + 6]! << 8) | frame[ip + 7]!) & 0x3fff) !== 0
  const isUnsummed = protocol === 17 && frame[transport + 6] === 0 && frame[transport + 7] === 0
  if (isLater || isFragment || isUnsummed) return true
  const total = width === 4 ? (frame[ip + 2]! << 8) | frame[ip + 3]! : 40 + ((frame[ip + 4]! << 8) | frame[ip + 5]!)
  const end = ip + total
  const addresses = width === 4 ? ip + 12 : ip + 8
  const pseudo = protocol === 1 ? 0 : addWords(protocol + end - transport, frame, addresses, addresses + 2 * width)
  return foldChecksum(addWords(pseudo, frame, transport, end)) === 0
}

/** Everything but what a template may vary. */
function rest(frame: Uint8Array): string {
  const { ip, width, protocol, transport, isLater, hasPorts, isEcho } = endsIn(frame)
  const copy = Uint8Array.from(frame)
  copy.fill(0, width === 4 ? ip + 12 : ip + 8, (width === 4 ? ip + 12 : ip + 8) + 2 * width)
  if (width === 4) copy.fill(0, ip + 10, ip + 12)
  if (isLater) return Buffer.from(copy).toString('hex')
  if (hasPorts) copy.fill(0, transport, transport + 4)
  if (isEcho) copy.fill(0, transport + 2, transport + 6)
  else copy.fill(0, transport + (protocol === 6 ? 16 : 6), transport + (protocol === 6 ? 18 : 8))
  return Buffer.from(copy).toString('hex')
}

/** The two ends of a flow in either direction; an echo's number is one of both. */
function flowOf(frame: Uint8Array): string {
  const { source, destination, ports, protocol, hasPorts } = endsIn(frame)
  const [near, far] = hasPorts ? [`${source}:${ports[0]}`, `${destination}:${ports[1]}`] : [source, destination]
  return [protocol, ...[near, far].sort(), hasPorts ? '' : ports.join()].join(' ')
}

describe('captures as templates', () => {
  it('one flow of the capture is one flow in each round, and a new one in the next (random captures)', (context) => {
    const random = seededRandom(context, 'vary')
    for (let turn = 0; turn < 40; turn++) {
      const width = random.pick([4, 16])
      const packets = randomCapture(random, 100)
      const isOurs = (frame: Uint8Array) => endsIn(frame).width === width
      const { rounds, kept } = vary(packets, width === 4 ? IPV4 : IPV6, 3)
      assert.equal(kept, packets.filter((frame) => !isOurs(frame)).length)
      const seen = new Set<string>()
      for (const round of rounds) {
        const became = new Map<string, string>()
        for (const [index, frame] of round.entries()) {
          const before = packets[index]!
          if (!isOurs(before)) {
            assert.deepEqual(frame, before)
            continue
          }
          assert.ok(isSound(frame), `${turn}: packet ${index}`)
          assert.equal(rest(frame), rest(before))
          const [flow, flowBefore] = [flowOf(frame), flowOf(before)]
          assert.equal(became.get(flowBefore) ?? flow, flow)
          became.set(flowBefore, flow)
        }
        assert.equal(new Set(became.values()).size, became.size)
        for (const flow of became.values()) {
          assert.ok(!seen.has(flow), `${flow} came before`)
          seen.add(flow)
        }
      }
    }
  })

  it('all values of the ranges come, and no others, and flows come again when it says (plain twin)', (context) => {
    const random = seededRandom(context, 'vary')
    for (let turn = 0; turn < 20; turn++) {
      const count = () => 1 + random.below(5)
      const change: Partial<Variation> = {
        sources: { first: bytes(198, 51, 100, 0), count: count() },
        sourcePorts: { first: 7, count: count() },
        destinations: { first: bytes(192, 0, 2, 0), count: count() },
        destinationPorts: { first: 9, count: count() },
      }
      const [packet] = randomCapture(random, 1000).filter(
        (frame) => endsIn(frame).hasPorts && endsIn(frame).width === 4,
      )
      const all = [change.sources!, change.sourcePorts!, change.destinations!, change.destinationPorts!]
      const product = all.reduce((sum, range) => sum * range.count, 1)
      const { sent } = vary([packet!], change, 2 * product)
      const flows = sent.map((frame) => Buffer.from(frame).toString('hex'))
      assert.equal(new Set(flows).size, product)
      assert.deepEqual(flows.slice(product), flows.slice(0, product))
      assert.equal(varyCapture(captured([packet!]), { ...UNCHANGED, ...change }).rounds, product)
      const ends = sent.map(endsIn)
      const within = (values: readonly number[], first: number, range: { count: number }) =>
        assert.deepEqual(
          [...new Set(values)].sort((one, other) => one - other),
          Array.from({ length: range.count }, (_, index) => first + index),
        )
      within(
        ends.map(({ source }) => Number.parseInt(source.slice(6), 16)),
        0,
        change.sources!,
      )
      within(
        ends.map(({ ports }) => ports[0]!),
        7,
        change.sourcePorts!,
      )
      within(
        ends.map(({ destination }) => Number.parseInt(destination.slice(6), 16)),
        0,
        change.destinations!,
      )
      within(
        ends.map(({ ports }) => ports[1]!),
        9,
        change.destinationPorts!,
      )
    }
  })

  it('checksums follow also where another packet of the flow has a header that ends before its addresses', () => {
    const packet = (headerWords: number) => {
      const frame = new Uint8Array(60)
      frame.set([8, 0, 0x40 | headerWords, 0, 0, 46], 12)
      frame.set([64, 89, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 22)
      const sum = foldChecksum(addWords(0, frame, 14, 34))
      frame.set([sum >> 8, sum & 255], 24)
      return frame
    }
    for (const frame of vary([packet(3), packet(5)], IPV4, 2).rounds.map((round) => round[1]!))
      assert.equal(foldChecksum(addWords(0, frame, 14, 34)), 0)
  })

  it('a stamp goes where the payload has room, and every other packet is counted by why it has none', (context) => {
    const random = seededRandom(context, 'vary')
    const packets = randomCapture(random, 400)
    const { sent, templates } = vary(packets, { ...IPV4, isStamped: true }, 2)
    const stamped = templates.filter(({ stampAt }) => stampAt !== null).length
    assert.ok(stamped > 50 && stamped < 350, `${stamped} stamped`)
    for (const frame of sent) assert.ok(isSound(frame))
    const marks = sent.map((frame) => Buffer.from(frame).indexOf('slg1'))
    const expected = [...templates, ...templates].map(({ stampAt }) => stampAt ?? -1)
    assert.deepEqual(marks, expected)
    // Numbers count the packets that have one.
    const numbers = sent.flatMap((frame, index) =>
      marks[index]! < 0 ? [] : [Buffer.from(frame).readUInt32LE(marks[index]! + 6)],
    )
    assert.deepEqual(numbers, [...numbers.keys()])
    const wrong = packets.map((frame) => Uint8Array.from(frame))
    for (const { at, frame } of wrong.map((each, index) => ({ at: templates[index]!.stampAt, frame: each })))
      if (at !== null) frame[at]! ^= 0x40
    const spoiled = varyCapture(captured(wrong), { ...UNCHANGED, isStamped: true }).templates
    const reasons = spoiled.filter((_, index) => templates[index]!.stampAt !== null).map(({ unstamped }) => unstamped)
    const isUnsummed = new Set(reasons)
    assert.ok(isUnsummed.has('wrong checksum in the capture'))
  })

  it('damaged and cut packets: nothing throws, nothing grows, and who is no packet of a flow stays', (context) => {
    const random = seededRandom(context, 'vary')
    const packets = Array.from({ length: 2000 }, () => randomPacket(random)).filter(
      ({ bytes: { length } }) => length > 0,
    )
    const read = packets.map((packet) => {
      return { bytes: packet.bytes, isWhole: packet.bytes.length === packet.wireLength, gapNs: 0 }
    })
    for (const change of [IPV4, IPV6]) {
      const { templates } = varyCapture(read, { ...UNCHANGED, ...change, isStamped: true })
      const sent = packetsOf(openBench({ 2048: 512 }), planOf(templates, { isInTurn: true }), 2 * read.length)
      sent.forEach((frame, index) => {
        const { length } = read[index % read.length]!.bytes
        assert.equal(frame.length, length)
      })
    }
  })

  it('with nothing to vary it is the capture, byte for byte', (context) => {
    const packets = randomCapture(seededRandom(context, 'vary'), 100)
    assert.deepEqual(vary(packets, {}, 2).sent, [...packets, ...packets])
  })
})

const CAPTURES = ['amp.TCP.reflection.SYNACK.pcap', 'amp.dns.RRSIG.fragmented.pcap', 'amp.UDP.snmp.src161.pcapng']
const corpus = (name: string) => join('../shared/corpus/ddos', name)

describe('captures as templates, as tcpdump reads them', { skip: skipUnless('tcpdump') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-vary-'))
  after(() => rmSync(folder, { recursive: true }))

  const write = (packets: readonly Uint8Array[]) => {
    const file = join(folder, 'packets.pcap')
    const writer = createCapture(file, { linkTypeNumber: 1, snapLength: 65535, resolution: 'nanoseconds' })
    for (const data of packets) writer.write({ data, wireLength: data.length, seconds: 0, nanoseconds: 0 })
    writer.finish()
    return file
  }
  const seen = (packets: readonly Uint8Array[]) => {
    const file = write(packets)
    return execFileSync('tcpdump', ['-vvnr', file], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 2 ** 28,
    })
  }
  const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0
  const BAD = /bad cksum|incorrect|bad udp cksum|wrong icmp cksum|bad icmp6 cksum/g
  const GOOD = /\(correct\)|udp sum ok|icmp6 sum ok/g

  it('it finds no bad checksum in random captures, stamped or not', (context) => {
    const random = seededRandom(context, 'vary')
    for (const change of [IPV4, IPV6, { ...IPV4, isStamped: true }, { ...IPV6, isStamped: true }]) {
      const packets = randomCapture(random, 300)
      const [before, text] = [seen(packets), seen(vary(packets, change, 2).sent)]
      assert.equal(
        count(before, BAD),
        0,
        before.split('\n').find((line) => BAD.test(line)),
      )
      assert.equal(
        count(text, BAD),
        0,
        text.split('\n').find((line) => BAD.test(line)),
      )
      assert.ok(count(text, GOOD) > 200)
    }
  })

  for (const name of CAPTURES)
    it(`${name}: checksums are as right or wrong as they were`, { skip: !existsSync(corpus(name)) }, () => {
      const capture = openCapture(corpus(name))
      const packets = [...capture.packets()].slice(0, 2000).map(({ data }) => Uint8Array.from(data))
      capture.close()
      const { templates } = varyCapture(captured(packets), { ...UNCHANGED, ...IPV4, isStamped: true })
      const sent = packetsOf(
        openBench({ 2048: 512, 65536: 300 }),
        planOf(templates, { isInTurn: true }),
        2 * packets.length,
      )
      const [before, text] = [seen(packets), seen(sent)]
      assert.deepEqual([count(text, BAD), count(text, GOOD)], [2 * count(before, BAD), 2 * count(before, GOOD)])
    })
})
