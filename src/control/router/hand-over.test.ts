import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBench } from '../../../test/support/engine.js'
import { heapGrowth } from '../../../test/support/heap-growth.js'
import { seededRandom } from '../../../test/support/random.js'
import type { NetworkNamespace } from '../../kernel/index.js'
import { ETHERTYPE, writeEthernet } from '../../wire/index.js'
import { handOver } from './hand-over.js'

/** The kernel takes nothing by it, and the thread cannot enter: whoever tries either is seen. */
const NO_PROGRAM = -1
const NOWHERE: NetworkNamespace = { fd: -1, path: 'nowhere' }
const CALLS = 10_000

function frame(type: number, isFragment: boolean, mark: number): Uint8Array {
  const bytes = new Uint8Array(80)
  writeEthernet(bytes, bytes.slice(0, 6), bytes.slice(0, 6), type)
  // The offset of IPv4, 8 bytes; the next header of IPv6, a fragment's.
  if (isFragment) bytes.set(type === ETHERTYPE.ipv4 ? [0, 1] : [44], 20)
  bytes[79] = mark
  return bytes
}

function openStage(namespace?: NetworkNamespace) {
  const bench = openBench()
  const { space, code, worker } = bench
  const drops = space.reserve({ name: 'drops', kind: 'counters', bytes: 16 }).offset
  const device = { name: 'none', index: 1, ...(namespace && { namespace }) }
  const { run } = handOver('hand over', device, NO_PROGRAM).start({
    ...{ space, code, pool: worker, outputs: [0], drops, reserve: assert.fail, dropAll: assert.fail },
  })
  const dropped = () => space.counters[drops / 8]! + space.counters[drops / 8 + 1]!
  const tooMany = () => space.counters[drops / 8]!
  return { ...bench, run, dropped, tooMany, input: bench.bundle('input') }
}

test('fragments are taken out, handed over or counted, and the others go on in their order', (context) => {
  const random = seededRandom(context, 'hand-over')
  const { run, dropped, input, ...bench } = openStage()
  for (let turn = 0; turn < 100; turn++) {
    const oneIn = 1 + random.below(5)
    const packets = Array.from({ length: random.below(65) }, (_, mark) => {
      const isFragment = random.below(oneIn) === 0
      const type = random.pick([ETHERTYPE.ipv4, ETHERTYPE.ipv6])
      return { isFragment, bytes: frame(type, isFragment, mark) }
    })
    const others = packets.filter(({ isFragment }) => !isFragment).map(({ bytes }) => bytes)
    const before = dropped()
    bench.fill(
      input,
      packets.map(({ bytes }) => bytes),
    )
    run(input)
    assert.deepEqual(bench.read(input), others)
    assert.equal(dropped() - before, packets.length - others.length)
    bench.empty(input)
  }
  assert.equal(bench.inUse(), 0)
})

test('those that have waited together are handed over together, but not all of a flood', () => {
  const { run, dropped, tooMany, input, ...bench } = openStage()
  bench.fill(
    input,
    Array.from({ length: 256 }, (_, mark) => frame(ETHERTYPE.ipv4, true, mark & 255)),
  )
  run(input)
  assert.deepEqual([dropped(), tooMany()], [256, 192])
  assert.equal(bench.inUse(), 0)
})

test('packets that are no fragments neither enter the namespace nor take memory', () => {
  const { run, input, ...bench } = openStage(NOWHERE)
  const others = Array.from({ length: 64 }, (_, mark) => frame(ETHERTYPE.ipv4, false, mark))
  bench.fill(input, others)
  assert.ok(heapGrowth(CALLS, () => run(input)) < CALLS)
  assert.deepEqual(bench.read(input), others)
  bench.empty(input)
  bench.fill(input, [others[0]!, frame(ETHERTYPE.ipv6, true, 0)])
  assert.throws(() => run(input), { message: /^entering a network namespace/ })
})
