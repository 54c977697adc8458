import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { seededRandom } from '../../../../test/support/random.js'
import { POLICY_STATE, prepare, STATE } from '../../../ebpf/index.js'
import { buildGraph, optimize } from '../../../ir/index.js'
import { emitPolicy } from '../emit-policy.js'
import type { LimitAction } from './action.js'
import type { LimitTable } from './parts.js'

const PASS = 2
const SECOND = 1e9
const WHOLE = { ipv4Bits: 32, ipv6Bits: 128 } as const
/** Eight entries, so that nine keys do not fit. */
const SMALLEST: LimitTable = { entries: 8, whenFull: 'share' }

/** A machine for one limit on all packets; `send` says whether a frame passes, `now` is in nanoseconds. */
function limiter(limit: Omit<LimitAction, 'kind'>, table: LimitTable = { entries: 4096, whenFull: 'share' }) {
  const graph = optimize(buildGraph([{ kind: 'always', value: true }]))
  const rule = { slot: 3, action: { kind: 'limit', ...limit } as const, isShadow: false, hasEnd: false }
  const layout = { slots: 4, limitTable: table, sampleBytes: 4096, cpus: 1, queues: 1 }
  const clock = { now: 5 * SECOND }
  const machine = prepare(emitPolicy([{ graph, rules: [rule] }], { layout }), { clock: () => clock.now })
  return {
    clock,
    send(frame: Uint8Array): boolean {
      const outcome = machine.run(frame)
      assert.equal(outcome.kind, 'return', outcome.kind === 'fault' ? outcome.reason : '')
      return outcome.kind === 'return' && outcome.value === PASS
    },
    tableFull() {
      const value = machine.maps.get(POLICY_STATE)!.lookup(new Uint8Array(4))!
      return Number(new DataView(value.buffer, value.byteOffset).getBigUint64(STATE.tableFull, true))
    },
    setSeed(seed: bigint) {
      const value = machine.maps.get(POLICY_STATE)!.lookup(new Uint8Array(4))!
      new DataView(value.buffer, value.byteOffset).setBigUint64(STATE.seed, seed, true)
    },
  }
}

interface Flow {
  readonly source?: number
  readonly destination?: number
  readonly ports?: number
  readonly protocol?: number
  readonly fragment?: number
  readonly tags?: number
  readonly bytes?: number
}

/** An IPv4 packet behind `tags` VLAN tags; addresses are 32-bit numbers. */
function ipv4(flow: Flow = {}): Uint8Array {
  const { source = 0x0a000001, destination = 0xc0000209, ports = 0x03e80035, protocol = 17, fragment = 0 } = flow
  const at = 14 + 4 * (flow.tags ?? 0)
  const frame = new Uint8Array(Math.max(flow.bytes ?? 60, at + 46))
  const view = new DataView(frame.buffer)
  for (let tag = 12; tag < at - 2; tag += 4) view.setUint32(tag, tag === 12 && at > 18 ? 0x88a80005 : 0x81000006)
  view.setUint16(at - 2, 0x0800)
  frame.set([0x45, 0, 0, 46, 0, 0, fragment >> 8, fragment & 255, 64, protocol], at)
  view.setUint32(at + 12, source)
  view.setUint32(at + 16, destination)
  view.setUint32(at + 20, ports)
  return frame
}

/** UDP over IPv6; `source` are the four words of the address. */
function ipv6(source: readonly number[], ports = 0x03e80035): Uint8Array {
  const frame = new Uint8Array(80)
  const view = new DataView(frame.buffer)
  frame.set([0x86, 0xdd, 0x60, 0, 0, 0, 0, 26, 17, 64], 12)
  for (const [index, word] of source.entries()) view.setUint32(22 + 4 * index, word)
  view.setUint32(38, 0x20010db8)
  view.setUint32(54, ports)
  return frame
}

/** Which of the frames share a bucket with the first: a bucket holds one packet, and only the first finds it full. */
function sharing(key: LimitAction['key'], frames: readonly Uint8Array[]): boolean[] {
  return frames.map((frame) => {
    const { send } = limiter({ key, unit: 'packets', perSecond: 1, burst: 1 })
    assert.ok(send(frames[0]!))
    return !send(frame)
  })
}

describe('a limit', () => {
  it('lets through burst + rate x time, at two to five times the limit', () => {
    for (const [perSecond, times] of [
      [1000, 2],
      [1000, 5],
      [33_333, 3],
    ] as const) {
      const { clock, send } = limiter({ key: { kind: 'rule' }, unit: 'packets', perSecond, burst: 50 })
      const [start, seconds] = [clock.now, 10]
      const offered = perSecond * times * seconds
      let passed = 0
      for (let sent = 0; sent < offered; sent++) {
        clock.now = start + Math.floor((sent * seconds * SECOND) / offered)
        if (send(ipv4())) passed++
      }
      const wanted = perSecond * seconds + 50
      assert.ok(passed <= wanted && passed > wanted * 0.999, `${passed} of ${wanted} at ${times} times the limit`)
    }
  })

  it('counts bytes of frames of mixed lengths', (context) => {
    const random = seededRandom(context, 'limit')
    const [perSecond, burst, seconds] = [125_000, 3000, 10]
    const { clock, send } = limiter({ key: { kind: 'rule' }, unit: 'bytes', perSecond, burst })
    const start = clock.now
    let passed = 0
    while (clock.now < start + seconds * SECOND) {
      clock.now += 1 + random.below(4_000_000)
      const bytes = 60 + random.below(1455)
      if (send(ipv4({ bytes }))) passed += bytes
    }
    // The last packet came a little after the ten seconds.
    const wanted = perSecond * ((clock.now - start) / SECOND) + burst
    assert.ok(passed <= wanted && passed > wanted * 0.98, `${passed} of ${wanted} bytes`)
  })

  it('judges each packet of a thousand sources as a plain bucket of its own does', (context) => {
    const random = seededRandom(context, 'limit')
    const [sources, perSecond, burst] = [1000, 10, 5]
    const key = { kind: 'source', ...WHOLE } as const
    const { clock, send, tableFull } = limiter({ key, unit: 'packets', perSecond, burst })
    const token = SECOND / perSecond
    const buckets = Array.from({ length: sources }, () => ({ credit: burst * token, at: 0 }))
    let passed = 0
    for (let sent = 0; sent < 100_000; sent++) {
      clock.now += random.below(60_000)
      const source = random.below(sources)
      const bucket = buckets[source]!
      bucket.credit = Math.min(burst * token, bucket.credit + clock.now - bucket.at)
      bucket.at = clock.now
      const isWithin = bucket.credit >= token
      if (isWithin) bucket.credit -= token
      if (isWithin) passed++
      assert.equal(send(ipv4({ source: 0x0a000000 + source })), isWithin)
    }
    assert.equal(tableFull(), 0)
    // Three seconds at three times the limit: most of what came is over it.
    assert.ok(passed > 30_000 && passed <= sources * (3.1 * perSecond + burst), `${passed}`)
  })

  it('is full again after a pause, and not fuller than its burst', () => {
    const { clock, send } = limiter({ key: { kind: 'rule' }, unit: 'packets', perSecond: 1, burst: 3 })
    const passing = () => Array.from({ length: 5 }, () => send(ipv4())).filter(Boolean).length
    assert.equal(passing(), 3)
    clock.now += SECOND - 1
    assert.equal(passing(), 0)
    clock.now += 1
    assert.equal(passing(), 1)
    clock.now += 3600 * SECOND
    assert.equal(passing(), 3)
  })

  it('refuses figures that no clock can keep', () => {
    for (const [perSecond, burst] of [
      [0, 1],
      [-1, 1],
      [1, 0],
      [1, 1e12],
      [Number.NaN, 1],
    ] as const)
      assert.throws(() => limiter({ key: { kind: 'rule' }, unit: 'packets', perSecond, burst }), /cannot be kept/)
  })
})

describe('what shares a bucket', () => {
  it('is a source, behind up to two VLAN tags', () => {
    const frames = [ipv4(), ipv4({ ports: 7 }), ipv4({ tags: 1 }), ipv4({ tags: 2 }), ipv4({ source: 0x0a000002 })]
    assert.deepEqual(sharing({ kind: 'source', ...WHOLE }, frames), [true, true, true, true, false])
  })

  it('is a destination', () => {
    const frames = [ipv4(), ipv4({ source: 9 }), ipv4({ destination: 9 })]
    assert.deepEqual(sharing({ kind: 'destination', ...WHOLE }, frames), [true, true, false])
  })

  it('is a prefix of any length, of IPv4 and IPv6', () => {
    const bit = (bits: number) => 0x0a000000 ^ (1 << (32 - bits))
    for (const ipv4Bits of [1, 7, 8, 9, 20, 24, 31, 32]) {
      const frames = [ipv4({ source: 0x0a000000 }), ipv4({ source: bit(ipv4Bits) >>> 0 })]
      if (ipv4Bits < 32) frames.push(ipv4({ source: bit(ipv4Bits + 1) >>> 0 }))
      assert.deepEqual(
        sharing({ kind: 'source', ipv4Bits, ipv6Bits: 64 }, frames),
        [true, false, true].slice(0, frames.length),
      )
    }
    for (const ipv6Bits of [1, 33, 48, 56, 64, 65, 96, 127, 128]) {
      const address = (flipped: number) =>
        [0x20010db8, 0, 0, 1].map(
          (word, index) => (word ^ (flipped >> 5 === index ? 1 << (31 - (flipped & 31)) : 0)) >>> 0,
        )
      const frames = [ipv6(address(128)), ipv6(address(ipv6Bits - 1)), ipv6(address(ipv6Bits))]
      assert.deepEqual(sharing({ kind: 'source', ipv4Bits: 24, ipv6Bits }, frames), [true, false, true])
    }
  })

  it('is a flow: addresses, protocol and ports; fragments without ports share one', () => {
    const frames = [ipv4(), ipv4({ ports: 0x03e90035 }), ipv4({ protocol: 6 }), ipv4({ source: 2 }), ipv4({ tags: 1 })]
    assert.deepEqual(sharing({ kind: 'flow' }, frames), [true, false, false, false, true])
    const fragments = [ipv4({ fragment: 7 }), ipv4({ fragment: 8, ports: 9 }), ipv4()]
    assert.deepEqual(sharing({ kind: 'flow' }, fragments), [true, true, false])
    const address = [0x20010db8, 0, 0, 1]
    const six = [ipv6(address), ipv6(address, 9), ipv6([0x20010db8, 0, 0, 2])]
    assert.deepEqual(sharing({ kind: 'flow' }, six), [true, false, false])
  })

  it('is one bucket for all packets without addresses, however short', () => {
    const arp = new Uint8Array(60)
    arp.set([8, 6], 12)
    const frames = [arp, new Uint8Array(14), ipv4().subarray(0, 33), new Uint8Array(1), ipv4()]
    assert.deepEqual(sharing({ kind: 'source', ...WHOLE }, frames), [true, true, true, true, false])
  })
})

describe('a full table of buckets', () => {
  const from = (source: number) => ipv4({ source })
  const limit = { key: { kind: 'source', ...WHOLE }, unit: 'packets', perSecond: 1, burst: 10 } as const
  /** Makes sources established until one finds no entry; gives those that have one. */
  function fill(run: ReturnType<typeof limiter>): number[] {
    const established: number[] = []
    for (let source = 1; ; source++) {
      run.send(from(source))
      if (run.tableFull() > 0) return established
      established.push(source)
    }
  }
  const passing = (run: ReturnType<typeof limiter>, frame: () => Uint8Array, packets = 40) =>
    Array.from({ length: packets }, () => run.send(frame())).filter(Boolean).length

  it('leaves every key that has a bucket as it is; all others of the rule share one', () => {
    const run = limiter(limit, SMALLEST)
    const established = fill(run)
    let newcomer = 1000
    assert.equal(
      passing(run, () => from(newcomer++)),
      9,
      'one went to fill the table',
    )
    for (const source of established)
      assert.equal(
        passing(run, () => from(source)),
        9,
      )
  })

  for (const whenFull of ['share', 'drop'] as const) {
    it(`judges for ten seconds who has a bucket by it alone, and everyone else by "${whenFull}"`, (context) => {
      const random = seededRandom(context, 'limit')
      const run = limiter(limit, { ...SMALLEST, whenFull })
      const plain = () => ({ credit: 10 * SECOND, at: run.clock.now })
      /** Whether a plain bucket has a token, which it then gives. */
      const take = (bucket: ReturnType<typeof plain>) => {
        bucket.credit = Math.min(10 * SECOND, bucket.credit + run.clock.now - bucket.at)
        bucket.at = run.clock.now
        if (bucket.credit < SECOND) return false
        bucket.credit -= SECOND
        return true
      }
      const shared = plain()
      const newcomer = () => whenFull === 'share' && take(shared)
      const established = new Map<number, ReturnType<typeof plain>>()
      for (let source = 1; source <= 200; source++) {
        const [full, bucket] = [run.tableFull(), plain()]
        const passes = run.send(from(source))
        if (run.tableFull() === full) established.set(source, bucket)
        assert.equal(passes, run.tableFull() === full ? take(bucket) : newcomer())
      }
      assert.equal(established.size, SMALLEST.entries)
      // Those with a bucket send four times as much as they may, so that it is never full and nobody else's.
      const sources = [...established.keys()]
      const end = run.clock.now + 10 * SECOND
      for (let turn = 0; run.clock.now < end; turn++) {
        run.clock.now += 1 + random.below(2 * SECOND) / (4 * 8)
        const source = sources[turn % sources.length]!
        assert.equal(run.send(from(source)), take(established.get(source)!), `source ${source}`)
        for (let others = 0; others < 5; others++) assert.equal(run.send(from(1000 + random.word())), newcomer())
      }
    })
  }

  it('gives entries to others once their buckets are full', () => {
    const run = limiter(limit, SMALLEST)
    fill(run)
    const full = run.tableFull()
    run.clock.now += SECOND
    assert.equal(
      passing(run, () => from(5000)),
      10,
    )
    assert.equal(run.tableFull(), full)
  })

  it('drops newcomers where that was chosen', () => {
    const run = limiter(limit, { ...SMALLEST, whenFull: 'drop' })
    const established = fill(run)
    assert.equal(
      passing(run, () => from(5000)),
      0,
    )
    assert.equal(
      passing(run, () => from(established[0]!)),
      9,
    )
  })

  it('gives newcomers the bucket of another where that was chosen', () => {
    const run = limiter(limit, { ...SMALLEST, whenFull: 'replace' })
    const established = fill(run)
    assert.equal(
      passing(run, () => from(5000)),
      10,
      'a newcomer is limited, by a bucket of its own',
    )
    let newcomer = 6000
    assert.equal(
      passing(run, () => from(newcomer++)),
      40,
    )
    assert.equal(
      passing(run, () => from(established[0]!)),
      10,
      'who was replaced starts anew',
    )
  })

  it('is not filled by choosing addresses: which share a line depends on the seed', () => {
    const collisions = (seed: bigint) => {
      const run = limiter(limit, { entries: 64, whenFull: 'share' })
      run.setSeed(seed)
      return fill(run).length
    }
    assert.ok(new Set([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n].map(collisions)).size > 1)
  })
})
