import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { all, any, type Condition, compare, matchesMask, not } from '../condition.js'
import { binary } from '../fold.js'
import { buildGraph, type Check, type Graph } from '../graph.js'
import { interpret } from '../interpret.js'
import { constant, load } from '../value.js'
import { placeBoundsChecks } from './bounds.js'

const at = (offset: number, size: 1 | 2 | 4 = 1) => load({ base: null, offset }, 0, size)
const is = (offset: number, value: number) => compare(at(offset), '=', constant(value))

function checksOf({ nodes }: Graph): [string, number][] {
  const checks = nodes.filter((node): node is Check => node.kind === 'check')
  return checks.reverse().map(({ base, bytes }) => [base?.key ?? 'start', bytes])
}

/** Every length of a packet of ascending bytes must give the same answer with checks as without. */
function assertSame(rules: readonly Condition[], longest: number): Graph {
  const plain = buildGraph(rules)
  const checked = placeBoundsChecks(plain)
  for (const first of [0, 1, 2, 9]) {
    for (let length = 0; length <= longest; length++) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index === 0 ? first : index))
      const packet = { bytes, wireLength: longest }
      assert.equal(interpret(checked, packet), interpret(plain, packet), `${length} bytes from ${first}`)
    }
  }
  return checked
}

describe('bounds checks', () => {
  it('ask at once for what a run of tests reads', () => {
    const checked = assertSame([all(is(12, 12), is(23, 23), compare(at(26, 4), '=', constant(0x1a1b1c1d)))], 40)
    assert.deepEqual(checksOf(checked), [['start', 30]])
  })

  it('ask at first only for what the shortest way to a match reads', () => {
    const checked = assertSame([any(is(4, 4), is(30, 30))], 40)
    assert.deepEqual(checksOf(checked), [
      ['start', 5],
      ['start', 31],
    ])
  })

  it('do not ask for what a match by `not` never reads', () => {
    const checked = assertSame([not(all(is(0, 1), is(20, 20)))], 30)
    assert.deepEqual(checksOf(checked), [
      ['start', 1],
      ['start', 21],
    ])
  })

  it('ask for each variable base by itself, once its address can be computed', () => {
    const length = binary('<<', binary('&', at(0), constant(15)), constant(2))
    const behind = (offset: number) => load({ base: length, offset }, 0, 2)
    const ports = all(compare(behind(0), '>', constant(0)), compare(behind(2), '>', constant(1)))
    const checked = assertSame([all(is(6, 6), ports)], 60)
    assert.deepEqual(checksOf(checked), [
      ['start', 7],
      [length.key, 4],
    ])
  })

  it('send a packet that is too short for one rule to the next', () => {
    const checked = assertSame([is(20, 20), is(3, 3), all()], 30)
    assert.equal(interpret(checked, { bytes: new Uint8Array(4).fill(3), wireLength: 4 }), 1)
    assert.equal(interpret(checked, { bytes: new Uint8Array(0), wireLength: 4 }), 2)
  })

  it('keep the reads of a test whose answer does not matter', () => {
    const checked = assertSame([all(compare(at(9), '>=', constant(0)), is(0, 1))], 20)
    assert.equal(checked.nodes.filter(({ kind }) => kind === 'decision').length, 1)
    assert.deepEqual(checksOf(checked), [['start', 10]])
  })

  it('leave a division by zero to the test', () => {
    const quotient = binary('/', constant(100), at(0))
    assertSame([compare(quotient, '=', constant(100)), matchesMask(at(1), 1, 1)], 10)
  })
})
