import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type EngineTracker, openEngineTracker } from '../../test/support/engine-tracker.js'
import type { Verdict } from '../../test/support/kernel-tracker.js'
import { seededRandom } from '../../test/support/random.js'
import { casesOf, errorAbout, KERNEL_CASES, type TrackedCase } from '../../test/support/tracked-cases.js'
import type { TrackedPacket } from '../../test/support/tracked-packet.js'
import type { FlowsOptions } from './flows.js'

/** A tracker with a clock that a test sets. */
function openAt(options: FlowsOptions = {}): EngineTracker & { later(seconds: number): void } {
  let now = 0
  const tracker = openEngineTracker({ ...options, now: () => now })
  return {
    ...tracker,
    later(seconds) {
      now += seconds * 1000
      tracker.flows.tick()
    },
  }
}

const syn = (port: number): TrackedPacket => ({ from: 'client', port, flags: 'S', sequence: 100 })
const answer = (port: number): TrackedPacket => ({
  from: 'server',
  port,
  flags: 'S.',
  sequence: 500,
  acknowledged: 101,
})
const acknowledge = (port: number): TrackedPacket => ({
  from: 'client',
  port,
  flags: '.',
  sequence: 101,
  acknowledged: 501,
})

function assertSaid(tracker: EngineTracker, packets: readonly (readonly [TrackedPacket, Verdict])[]): void {
  packets.forEach(([packet, verdict], index) => {
    assert.equal(tracker.judge(packet), verdict, `packet ${index} of ${packets.length}`)
  })
}

function connect(tracker: EngineTracker, port: number): void {
  assertSaid(tracker, [
    [syn(port), 'new'],
    [answer(port), 'established'],
    [acknowledge(port), 'established'],
  ])
}

describe('what a packet is to the table of flows', () => {
  const cases: readonly TrackedCase[] = [...KERNEL_CASES, ...casesOf(4), ...casesOf(6)]
  for (const { name, packets } of cases) {
    it(name, () => {
      const tracker = openAt({ checksums: 'verify' })
      assertSaid(tracker, packets)
      tracker.close()
    })
  }

  it('a connection whose begin was not seen is picked up, unless the table is told not to', () => {
    const strict = openAt({ loose: false })
    assertSaid(strict, [[acknowledge(1), 'invalid']])
    strict.close()
    const loose = openAt()
    assertSaid(loose, [[acknowledge(1), 'new']])
    loose.close()
  })

  it('a liberal table lets pass what is out of the window, but no RST before what is acknowledged', () => {
    const beyond: TrackedPacket = { ...acknowledge(1), sequence: 10_000_000 }
    const reset: TrackedPacket = { from: 'server', port: 1, flags: 'R', sequence: 1 }
    for (const liberal of [false, true]) {
      const tracker = openAt({ liberal })
      connect(tracker, 1)
      assertSaid(tracker, [
        [beyond, liberal ? 'established' : 'invalid'],
        [reset, 'invalid'],
      ])
      tracker.close()
    }
  })

  it('fragments are not tracked where the table is told so', () => {
    const tracker = openAt({ fragments: { datagrams: 0 } })
    assertSaid(tracker, [
      [{ ...syn(1), fragment: 0x2000 }, 'untracked'],
      [{ ...syn(1), fragment: 0x0010 }, 'untracked'],
    ])
    assert.equal(tracker.flows.statistics().fragments, 2)
    assert.equal(tracker.flows.statistics().active, 0)
    tracker.close()
  })

  it('errors about fragments go where fragments went: who sends them must hear that they are too big', () => {
    const tracker = openAt({ fragments: { datagrams: 0 } })
    const [v4, v6] = [
      { ...syn(1), fragment: 0x2000 },
      { ...syn(1), family: 6 as const, extensions: [60, 44] },
    ]
    assertSaid(tracker, [
      [errorAbout(v4, { code: 4 }), 'untracked'],
      [v6, 'untracked'],
      [errorAbout(v6, { type: 2, code: 0 }), 'untracked'],
      // A router does not tell of a later one of IPv4 (RFC 1812, 4.3.2.7); and what was whole here, may have been cut behind.
      [errorAbout({ ...syn(1), fragment: 0x2010 }), 'invalid'],
      [syn(1), 'new'],
      [errorAbout(v4, { type: 11, code: 0 }), 'related'],
    ])
    assert.equal(tracker.flows.statistics().fragments, 3)
    tracker.close()
  })

  it('more extension headers than are walked are invalid, so that none is walked beyond the packet', () => {
    const tracker = openAt()
    for (const type of [60, 0, 43]) {
      const packet = { ...syn(1), family: 6 as const, extensions: new Array<number>(9).fill(type) }
      assertSaid(tracker, [
        [packet, 'invalid'],
        [errorAbout(packet), 'invalid'],
      ])
    }
    tracker.close()
  })
})

describe('a table of flows', () => {
  it('forgets what has expired, without a packet that asks for it', () => {
    const tracker = openAt({ flows: 1000 })
    for (let port = 1; port <= 1000; port++) assert.equal(tracker.judge(syn(port)), 'new')
    connect(tracker, 1)
    for (let tick = 0; tick < 130; tick++) tracker.later(1)
    const { active, expired } = tracker.flows.statistics()
    assert.deepEqual({ active, expired }, { active: 1, expired: 999 })
    assert.deepEqual(
      tracker.flows.list().map(({ state, isAssured, original }) => ({ state, isAssured, port: original.sourcePort })),
      [{ state: 'established', isAssured: true, port: 1 }],
    )
    assert.equal(tracker.judge(answer(500)), 'invalid')
    tracker.close()
  })

  it('that is full refuses new flows, or forgets some that are not assured; never one that is', () => {
    for (const whenFull of ['refuse new', 'drop unreplied'] as const) {
      const tracker = openAt({ flows: 64, whenFull })
      for (let port = 1; port <= 32; port++) connect(tracker, port)
      const flood = Array.from({ length: 5000 }, (_, index) => tracker.judge(syn(1000 + index)))
      const { active, refused, evicted } = tracker.flows.statistics()
      assert.equal(active, 64)
      assert.equal(flood.filter((verdict) => verdict === 'new').length, whenFull === 'refuse new' ? 32 : 5000 - refused)
      if (whenFull === 'refuse new') assert.deepEqual({ refused, evicted }, { refused: 5000 - 32, evicted: 0 })
      else assert.ok(evicted > 4900, `${evicted} were forgotten, ${refused} refused`)
      for (let port = 1; port <= 32; port++) assert.equal(tracker.judge(acknowledge(port)), 'established')
      // While the flood goes on, somebody else connects.
      if (whenFull === 'drop unreplied') connect(tracker, 40_000)
      tracker.close()
    }
  })

  it('takes as many flows as it has room for, and finds each from both sides', (context) => {
    const random = seededRandom(context, 'track')
    const tracker = openAt({ flows: 20_000 })
    const ports = new Set<number>()
    while (ports.size < 20_000) ports.add(1 + random.below(65_535))
    for (const port of ports) assert.equal(tracker.judge(syn(port)), 'new')
    assert.equal(tracker.flows.statistics().active, 20_000)
    for (const port of ports) assert.equal(tracker.judge(answer(port)), 'established')
    tracker.close()
  })
})
