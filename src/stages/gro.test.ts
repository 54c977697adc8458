import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { afterEach, describe, it } from 'node:test'
import { type FlowPacket, flowFrame, headersOf } from '../../test/support/flow-packet.js'
import { openStageRig, type StageRig } from '../../test/support/gro-rig.js'
import { plainGro } from '../../test/support/plain-gro.js'
import { seededRandom } from '../../test/support/random.js'
import { randomFlows } from '../../test/support/random-flows.js'
import { CORPUS, skipUnless } from '../../test/support/require.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_FLAGS,
  FLAG_CHECKSUM_MISSING,
  FLAG_TCP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_SHIFT,
  METADATA_BYTES,
  METADATA_HAS_TIME,
  METADATA_VALID,
  TIME_SECONDS_BEFORE,
} from '../memory/index.js'
import { gro } from './gro.js'
import { observe } from './observe.js'
import { segment } from './segment.js'

let rig: StageRig
afterEach(() => {
  rig.close()
  assert.equal(rig.bench.inUse(), 0, 'every frame is back in the pool')
  const { lastFrame: _, ...faults } = rig.bench.pool.faults()
  assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
})

/** Taking a frame finds out whether somebody has written into it, as who writes beyond the end of the one before. */
function checkLargeFrames(): void {
  const { bench } = rig
  const all = bench.bundle('all')
  assert.equal(bench.worker.take(all, 96, 65536), 96)
  bench.empty(all)
}

describe('gro', () => {
  it('does what its plain twin does', (context) => {
    const random = seededRandom(context, 'gro')
    const stage = gro()
    rig = openStageRig(stage)
    for (let turn = 0; turn < 150; turn++) {
      const packets = randomFlows(random, 1 + random.below(8), 1 + random.below(200)).map(flowFrame)
      assert.deepEqual(rig.round(packets), plainGro(packets))
    }
    assert.ok(stage.read().made > 150 && stage.read().appended > stage.read().made)
  })

  it('merges only what it is told to', () => {
    rig = openStageRig(gro('udp only', { tcp: false }), gro('tcp only', { udp: false }))
    const datagrams = [0, 1].map((index) => udp({ identification: index }))
    assert.deepEqual(rig.round([tcp(0), tcp(100), ...datagrams].map(flowFrame)).map(payloadBytes), [200, 200])
  })

  it('lets what has been merged by, and nothing is appended to it', () => {
    rig = openStageRig(gro('first'), gro('second'))
    const packets = [tcp(0), tcp(100), tcp(200)].map(flowFrame)
    assert.deepEqual(rig.round(packets), plainGro(packets))
  })

  it('goes on one by one where no large frame is left', () => {
    rig = openStageRig(gro())
    const { bench } = rig
    const all = bench.bundle('all')
    assert.equal(bench.worker.take(all, 96, 65536), 96)
    assert.deepEqual(rig.round([tcp(0), tcp(100)].map(flowFrame)).map(payloadBytes), [100, 100])
    bench.empty(all)
    assert.deepEqual(rig.round([tcp(0), tcp(100)].map(flowFrame)).map(payloadBytes), [200])
  })

  it('appends nothing to a packet that no large frame holds', () => {
    rig = openStageRig(gro())
    const longer = LARGE + 10
    const packets = [tcp(0, { payload: new Uint8Array(longer).fill(5) }), tcp(longer, { identification: 1 })].map(
      flowFrame,
    )
    assert.deepEqual(
      rig.round(packets, 524288).map(({ bytes }) => bytes),
      packets,
    )
    checkLargeFrames()
  })
})

describe('gro, then segment', () => {
  it('gives the packets that came, of any number of flows', (context) => {
    const random = seededRandom(context, 'gro')
    const [merge, cut] = [gro(), segment()]
    rig = openStageRig(merge, cut)
    for (let turn = 0; turn < 40; turn++) {
      const packets = randomFlows(random, 1 + random.below(120), 256).map(flowFrame)
      const out = rig.round(packets)
      assert.ok(out.every(({ segmentBytes }) => segmentBytes === 0))
      assert.deepEqual(sorted(out.map(({ bytes }) => bytes)), sorted(packets))
    }
    assert.deepEqual(cut.read(), { packets: merge.read().made, made: merge.read().made + merge.read().appended })
  })

  it('keeps the time of the first packet for what is merged, and for all that is cut of it', () => {
    const [merged, cut]: [number[][], number[][]] = [[], []]
    const eachPacket = (bundle: number, look: (packet: number, index: number) => void) => {
      const { words } = rig.bench.space
      for (let index = 0; index < words[bundle / 4]!; index++)
        look(words[(bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) / 4]!, index)
    }
    const stamp = observe('stamp', (bundle) =>
      eachPacket(bundle, (packet, index) => {
        const { bytes } = rig.bench.space
        bytes.fill(index + 1, packet - TIME_SECONDS_BEFORE, packet - METADATA_BYTES)
        bytes[packet - METADATA_BYTES + METADATA_VALID] = METADATA_HAS_TIME
      }),
    )
    const note = (name: string, seen: number[][]) =>
      observe(name, (bundle) =>
        eachPacket(bundle, (packet) => {
          const { bytes } = rig.bench.space
          const valid = bytes[packet - METADATA_BYTES + METADATA_VALID]!
          seen.push([valid, ...bytes.slice(packet - TIME_SECONDS_BEFORE, packet - METADATA_BYTES)])
        }),
      )
    rig = openStageRig(stamp, gro(), note('merged', merged), segment(), note('cut', cut))
    rig.round([tcp(0), tcp(100), tcp(200)].map(flowFrame))
    const first = [METADATA_HAS_TIME, ...new Uint8Array(TIME_SECONDS_BEFORE - METADATA_BYTES).fill(1)]
    assert.deepEqual(merged, [first])
    assert.deepEqual(cut, [first, first, first])
  })

  it('cuts segments that no large frame holds', () => {
    const flags = (FLAG_TCP | FLAG_CHECKSUM_MISSING | (34 << FLAGS_TRANSPORT_SHIFT)) >>> 0
    const segmentBytes = LARGE + 10
    const told = observe('told', (bundle) => {
      const at = (bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_FLAGS) / 4
      rig.bench.space.words[at] = flags + segmentBytes * 2 ** FLAGS_SEGMENT_SHIFT
    })
    rig = openStageRig(told, segment())
    const payload = new Uint8Array(segmentBytes + 100).fill(5)
    const parts = [
      tcp(0, { payload: payload.subarray(100) }),
      tcp(segmentBytes, { payload: payload.subarray(0, 100), identification: 1 }),
    ]
    assert.deepEqual(
      rig.round([flowFrame(tcp(0, { payload }))], 524288).map(({ bytes }) => bytes),
      parts.map(flowFrame),
    )
    checkLargeFrames()
  })

  it('keeps the order within a flow', (context) => {
    const random = seededRandom(context, 'gro')
    rig = openStageRig(gro(), segment())
    for (let turn = 0; turn < 20; turn++) {
      const packets = ordinary(random.below(2) === 0 ? 4 : 6, 40, 256).map(flowFrame)
      assert.deepEqual(
        rig
          .round(packets)
          .map(({ bytes }) => bytes)
          .sort(byFlow),
        [...packets].sort(byFlow),
      )
    }
  })
})

describe('the cases of the kernel’s own test', { skip: skipUnless('corpus') }, () => {
  const cases = JSON.parse(readFileSync(`${CORPUS}gro/kernel-gro-cases.json`, 'utf8')).cases as readonly Case[]
  for (const { group, input, expected_payloads: expected } of cases) {
    it(`${group}: ${input}`, () => {
      rig = openStageRig(gro())
      const packets = CASES[input]
      assert.ok(packets, 'a case that this test does not know')
      const wanted = Array.isArray(expected) ? expected : [LARGE - (LARGE % 100), 100]
      assert.deepEqual(
        rig.round(packets().map(flowFrame)).map(payloadBytes).sort(descending),
        [...wanted].sort(descending),
      )
    })
  }
})

interface Case {
  readonly group: string
  readonly input: string
  readonly expected_payloads: readonly number[] | string
}

const PSH = 0x18
const RST = 0x14

/** A segment of 100 bytes at this sequence number. */
function tcp(sequence: number, more: Partial<FlowPacket> = {}): FlowPacket {
  return { family: 4, protocol: 'tcp', payload: new Uint8Array(100), sequence, identification: sequence / 100, ...more }
}

function udp(more: Partial<FlowPacket> = {}): FlowPacket {
  return { family: 4, protocol: 'udp', payload: new Uint8Array(100), ...more }
}

/** Timestamp options with this value, padded in front or behind. */
function stamp(value: number, padding: 'before' | 'behind' = 'before'): number[] {
  const option = [8, 10, 0, 0, 0, value, 0, 0, 0, 0]
  return padding === 'before' ? [1, 1, ...option] : [...option, 1, 1]
}

/** Payload bytes that fit into a large frame behind its headroom of 146 and headers of 54. */
const LARGE = 65_536 - 146 - 54

const CASES: Readonly<Record<string, () => FlowPacket[]>> = {
  'two consecutive 100-byte data segments, same headers': () => [tcp(0), tcp(100)],
  '50-byte then 100-byte segment (larger second)': () => [
    tcp(0, { payload: new Uint8Array(50) }),
    tcp(50, { identification: 1 }),
  ],
  '5 segments, the third has PSH': () => [tcp(0), tcp(100), tcp(200, { flags: PSH }), tcp(300), tcp(400)],
  '2 data, a RST without payload, 2 data': () => [
    tcp(0),
    tcp(100),
    tcp(200, { flags: RST, payload: new Uint8Array(0) }),
    tcp(200),
    tcp(300),
  ],
  'second segment has a wrong TCP checksum': () => [tcp(0), tcp(100, { damage: 'transport checksum' })],
  '5 segments with timestamps: 1,2 equal; 3 differs; 4 differs; 5 as 4 but padded differently': () =>
    [stamp(1), stamp(1), stamp(2), stamp(3), stamp(3, 'behind')].map((options, index) => tcp(index * 100, { options })),
  'second packet differs in ECN': () => [tcp(0), tcp(100, { service: 3 })],
  'second packet differs in TTL': () => [tcp(0), tcp(100, { hops: 63 })],
  'plain then DF|MF fragment': () => [tcp(0), tcp(100, { fragment: 0x6000 })],
  '2 packets with identical destination-options header': () =>
    [0, 100].map((sequence) => tcp(sequence, { family: 6, extension: { type: 60, bytes: [0, 1, 4, 0, 0, 0, 0] } })),
  'segments that together exceed the maximum IP packet (65535): the remainder starts a new packet': () => {
    const payload = new Uint8Array(1400)
    const count = Math.floor(LARGE / 1400)
    const whole = Array.from({ length: count }, (_, index) => tcp(index * 1400, { payload, identification: index }))
    const rest = Math.floor((LARGE - count * 1400) / 100) * 100
    return [
      ...whole,
      tcp(count * 1400, { payload: new Uint8Array(rest), identification: count }),
      tcp(count * 1400 + rest, { identification: count + 1 }),
    ]
  },
}

/** Packets of flows in turn, in which nothing is odd. */
function ordinary(family: 4 | 6, flows: number, count: number): FlowPacket[] {
  return Array.from({ length: count }, (_, index) => {
    const number = Math.floor(index / flows)
    return tcp(number * 100, { family, flow: index % flows, identification: number })
  })
}

function byFlow(one: Uint8Array, other: Uint8Array): number {
  return flowOf(one) - flowOf(other)
}

function flowOf(frame: Uint8Array): number {
  const { transport } = headersOf(frame)
  return (frame[transport]! << 8) | frame[transport + 1]!
}

function payloadBytes({ bytes }: { readonly bytes: Uint8Array }): number {
  return bytes.length - headersOf(bytes).payload
}

function descending(one: number, other: number): number {
  return other - one
}

function sorted(packets: readonly Uint8Array[]): string[] {
  return packets.map((bytes) => Buffer.from(bytes).toString('hex')).sort()
}
