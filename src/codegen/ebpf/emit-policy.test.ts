import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { POLICY_COUNTERS, prepare, RULE_ENDS, type XdpInput } from '../../ebpf/index.js'
import { parseFilter } from '../../filter/index.js'
import { lower, optimizeRules } from '../../ir/index.js'
import type { RuleAction, RuleCode } from './actions/action.js'
import type { PolicyLayout } from './actions/parts.js'
import { FORWARD_DEVICES, STEER_CPUS } from './actions/redirect.js'
import { cutIntoSegments, emitPolicy } from './emit-policy.js'

const [DROP, PASS, REDIRECT] = [1, 2, 4]
const LAYOUT: PolicyLayout = {
  slots: 16,
  limitTable: { entries: 256, whenFull: 'share' },
  sampleBytes: 4096,
  cpus: 4,
  queues: 2,
}

interface TestRule {
  readonly match: string
  readonly action: RuleAction
  readonly isShadow?: boolean
  readonly hasEnd?: boolean
}

/** A machine for the rules; rule `i` has slot `i`, and `now` is its clock in nanoseconds. */
function machineOf(rules: readonly TestRule[], options: { multiBuffer?: boolean } = {}) {
  const codes = rules.map(({ match, action, isShadow = false, hasEnd = false }, slot) => ({
    condition: lower(parseFilter(match).expression),
    code: { slot, action, isShadow, hasEnd } satisfies RuleCode,
  }))
  const segments = cutIntoSegments(codes, ({ code }) => code).map((segment) => ({
    graph: optimizeRules(segment.map(({ condition }) => condition)),
    rules: segment.map(({ code }) => code),
  }))
  const program = emitPolicy(segments, { layout: LAYOUT, ...options })
  const clock = { now: 1e9 }
  const machine = prepare(program, { clock: () => clock.now })
  const key = (slot: number) => new Uint8Array(Uint32Array.of(slot).buffer)
  return {
    program,
    machine,
    clock,
    verdict(frame: Uint8Array, input: XdpInput = {}) {
      const outcome = machine.run(frame, input)
      return outcome.kind === 'return' ? outcome.value : outcome.reason
    },
    /** Packets, bytes, packets over, bytes over. */
    counts(slot: number) {
      const value = machine.maps.get(POLICY_COUNTERS)!.lookup(key(slot))!
      const view = new DataView(value.buffer, value.byteOffset, 32)
      return [0, 8, 16, 24].map((at) => Number(view.getBigUint64(at, true)))
    },
    setEnd(slot: number, at: number) {
      machine.maps.get(RULE_ENDS)!.update(key(slot), new Uint8Array(BigUint64Array.of(BigInt(at)).buffer))
    },
    put(map: string, at: number, value: number) {
      machine.maps.get(map)!.update(key(at), key(value))
    },
  }
}

/** UDP over IPv4 from 10.0.0.`host` port 1000 to port 53. */
function udp(host = 1, length = 60): Uint8Array {
  const frame = new Uint8Array(length)
  frame.set([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, host >> 8, host & 255, 192, 0, 2, 9], 12)
  frame.set([3, 232, 0, 53], 34)
  return frame
}

describe('a policy’s program', () => {
  it('goes on behind count, and ends with the first final rule', () => {
    const run = machineOf([
      { match: 'udp', action: { kind: 'count' } },
      { match: 'tcp', action: { kind: 'drop' } },
      { match: 'port 53', action: { kind: 'count' } },
      { match: 'src host 10.0.0.1', action: { kind: 'drop' } },
      { match: 'ip', action: { kind: 'pass' } },
      { match: '', action: { kind: 'drop' } },
    ])
    assert.deepEqual([run.verdict(udp(1)), run.verdict(udp(2)), run.verdict(new Uint8Array(60))], [DROP, PASS, DROP])
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5].map((slot) => run.counts(slot)[0]),
      [2, 0, 2, 1, 1, 1],
    )
    assert.deepEqual(run.counts(3), [1, 60, 0, 0])
  })

  it('passes what no final rule takes, also where every packet meets a rule', () => {
    const run = machineOf([{ match: '', action: { kind: 'count' } }])
    assert.equal(run.verdict(udp()), PASS)
    assert.deepEqual(run.counts(0), [1, 60, 0, 0])
  })

  it('leaves out what stands behind a final rule for every packet', () => {
    const run = machineOf([
      { match: '', action: { kind: 'drop' } },
      { match: 'udp', action: { kind: 'count' } },
      { match: 'udp', action: { kind: 'pass' } },
    ])
    assert.equal(run.verdict(udp()), DROP)
    assert.ok(run.program.instructions.length < 30)
  })

  it('counts for a shadow rule what it would have done, and does nothing', () => {
    const run = machineOf([
      { match: 'udp', action: { kind: 'drop' }, isShadow: true },
      { match: 'udp', action: { kind: 'forward', interfaceIndex: 3 }, isShadow: true },
      {
        match: 'udp',
        action: { kind: 'limit', key: { kind: 'rule' }, unit: 'packets', perSecond: 1, burst: 2 },
        isShadow: true,
      },
      { match: 'udp', action: { kind: 'count' } },
    ])
    for (let sent = 0; sent < 5; sent++) assert.equal(run.verdict(udp()), PASS)
    assert.deepEqual(
      [0, 1, 2, 3].map((slot) => run.counts(slot)),
      [
        [5, 300, 0, 0],
        [5, 300, 0, 0],
        [5, 300, 3, 180],
        [5, 300, 0, 0],
      ],
    )
  })

  it('is without a rule from its end on, which can be moved while it runs', () => {
    const run = machineOf([
      { match: 'udp', action: { kind: 'drop' }, hasEnd: true },
      { match: 'udp', action: { kind: 'count' } },
    ])
    assert.equal(run.verdict(udp()), DROP, 'without an end it stays')
    run.setEnd(0, 2e9)
    run.clock.now = 2e9 - 1
    assert.equal(run.verdict(udp()), DROP)
    run.clock.now = 2e9
    assert.equal(run.verdict(udp()), PASS)
    assert.deepEqual([run.counts(0)[0], run.counts(1)[0]], [2, 1])
    run.setEnd(0, 3e9)
    assert.equal(run.verdict(udp()), DROP)
  })

  it('hands packets over where there is a target, and passes them where there is none', () => {
    const run = machineOf([
      { match: 'src host 10.0.0.1', action: { kind: 'divert' } },
      { match: 'src host 10.0.0.2', action: { kind: 'steer', cpu: 3 } },
      { match: 'src host 10.0.0.3', action: { kind: 'forward', interfaceIndex: 77 } },
      { match: 'src host 10.0.0.4', action: { kind: 'forward', interfaceIndex: 78 } },
    ])
    const all = () => [1, 2, 3, 4].map((host) => run.verdict(udp(host), { receiveQueue: 1 }))
    assert.deepEqual(all(), [PASS, PASS, PASS, PASS])
    assert.deepEqual(run.program.entries, [
      { map: FORWARD_DEVICES, key: 0, value: 77 },
      { map: FORWARD_DEVICES, key: 1, value: 78 },
      { map: STEER_CPUS, key: 3, value: 2048 },
    ])
    for (const { map, key, value } of run.program.entries) run.put(map, key, value)
    run.put('divert_sockets', 1, 5)
    assert.deepEqual(all(), [REDIRECT, REDIRECT, REDIRECT, REDIRECT])
    assert.equal(run.verdict(udp(1), { receiveQueue: 0 }), PASS)
    assert.deepEqual(
      [0, 1, 2, 3].map((slot) => run.counts(slot)[0]),
      [3, 2, 2, 2],
    )
  })

  it('marks in the metadata, where a later mark replaces an earlier one', () => {
    const run = machineOf([
      { match: 'udp', action: { kind: 'mark', value: 0xdeadbeef } },
      { match: 'port 53', action: { kind: 'mark', value: 7 } },
      { match: 'src host 10.0.0.2', action: { kind: 'drop' } },
    ])
    const markOf = (input: XdpInput, host = 1) => {
      const verdict = run.verdict(udp(host), input)
      const frame = run.machine.frame()
      return [verdict, new DataView(frame.buffer, frame.byteOffset - 4).getUint32(0, true)]
    }
    assert.deepEqual(markOf({}), [PASS, 7])
    assert.deepEqual(markOf({ metadata: new Uint8Array(4).fill(0xff) }), [PASS, 7])
    assert.deepEqual(markOf({}, 2), [DROP, 7])
    assert.deepEqual([run.counts(0)[0], run.counts(1)[0], run.counts(2)[0]], [3, 3, 1])
  })

  it('finds rules of one shape in tables, each with its own counters and action', () => {
    const hosts = Array.from({ length: 14 }, (_, index) => index + 1)
    const actions: RuleAction[] = [
      { kind: 'drop' },
      { kind: 'limit', key: { kind: 'rule' }, unit: 'packets', perSecond: 1, burst: 1 },
      { kind: 'pass' },
    ]
    const run = machineOf([
      ...hosts.map((host) => ({ match: `src host 10.0.0.${host}`, action: actions[host % 3]! })),
      { match: 'udp', action: { kind: 'count' } },
      { match: 'udp', action: { kind: 'drop' } },
    ])
    assert.ok(run.program.maps.some(({ name }) => name === 'rule_tables'))
    const wanted = (host: number) =>
      [
        [DROP, DROP],
        [PASS, DROP],
        [PASS, PASS],
      ][host % 3]
    for (const host of hosts) assert.deepEqual([run.verdict(udp(host)), run.verdict(udp(host))], wanted(host))
    assert.equal(run.verdict(udp(99)), DROP)
    assert.deepEqual(
      [...hosts, 15, 16].map((slot) => run.counts(slot - 1).filter((_, index) => index % 2 === 0)),
      [...hosts.map((host) => (host % 3 === 1 ? [2, 1] : [2, 0])), [1, 0], [1, 0]],
    )
  })

  it('counts lengths of frames in several buffers as a whole, with and without a test of the length', () => {
    for (const match of ['udp', 'greater 5000']) {
      const run = machineOf(
        [
          { match, action: { kind: 'count' } },
          { match, action: { kind: 'drop' } },
        ],
        { multiBuffer: true },
      )
      assert.equal(run.verdict(udp(), { wireLengthBytes: 9000 }), DROP)
      assert.deepEqual(
        [run.counts(0), run.counts(1)],
        [
          [1, 9000, 0, 0],
          [1, 9000, 0, 0],
        ],
      )
    }
  })
})
