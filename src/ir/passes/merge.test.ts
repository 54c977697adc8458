import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { all, any, type Condition, compare, not } from '../condition.js'
import { binary } from '../fold.js'
import { buildGraph, type Graph, type Lookup } from '../graph.js'
import { interpret } from '../interpret.js'
import { printGraph } from '../print.js'
import { constant, load } from '../value.js'
import { mergeRules } from './merge.js'

const at = (offset: number, size: 1 | 2 | 4 = 1) => load({ base: null, offset }, 0, size)
const is = (offset: number, value: number) => compare(at(offset), '=', constant(value))
const ip = is(2, 8)
const ip6 = is(2, 6)

/** Every packet of up to `longest` bytes, each byte one of `values`, must end as in the list as it stands. */
function assertSame(rules: readonly Condition[], values: readonly number[], longest: number): Graph {
  const plain = buildGraph(rules)
  const merged = mergeRules(rules)
  for (let length = 0; length <= longest; length++) {
    for (let number = 0; number < values.length ** length; number++) {
      const bytes = Uint8Array.from(
        { length },
        (_, place) => values[Math.floor(number / values.length ** place) % values.length]!,
      )
      const packet = { bytes, wireLength: length }
      assert.equal(interpret(merged, packet), interpret(plain, packet), `[${bytes.join()}] of ${printGraph(merged)}`)
    }
  }
  return merged
}

function timesAsked({ nodes }: Graph, key: string): number {
  return nodes.filter((node) => node.kind === 'decision' && node.test.key === key).length
}

function lookupsOf({ nodes }: Graph): Lookup[] {
  return nodes.filter((node): node is Lookup => node.kind === 'lookup')
}

describe('merging of rules', () => {
  it('asks once what all rules ask, in whatever order they ask it', () => {
    const merged = assertSame(
      [all(ip, is(0, 1)), all(is(1, 2), ip), all(ip6, is(0, 2)), all(ip, is(0, 3))],
      [1, 2, 3, 6, 8],
      4,
    )
    assert.equal(timesAsked(merged, '[2:1] = 8'), 1)
    assert.equal(timesAsked(merged, '[2:1] = 6'), 1)
  })

  it('goes on with the next rule where a packet is too short for one', () => {
    assertSame([all(is(3, 1), is(0, 1)), all(is(2, 1), is(0, 1)), is(0, 2), all(is(0, 1), not(is(1, 1)))], [1, 2], 5)
    assertSame([not(all(is(0, 1), is(3, 1))), all(is(0, 1), is(1, 1))], [1, 2], 5)
  })

  it('goes on with the next rule where a divisor is zero', () => {
    const quotient = binary('/', constant(6), at(1))
    assertSame(
      [
        all(is(0, 2), compare(quotient, '=', constant(3))),
        all(is(0, 2), is(1, 0)),
        compare(quotient, '>', constant(1)),
      ],
      [0, 2],
      3,
    )
  })

  it('keeps the reads of a test whose answer is known', () => {
    assertSame([all(is(0, 1), compare(at(3), '>=', constant(0))), is(0, 1)], [1, 2], 5)
    assertSame([any(all(is(0, 1), is(3, 9)), is(0, 1)), is(1, 1)], [1, 2, 9], 5)
  })

  it('drops rules behind one that takes every packet', () => {
    assert.equal(mergeRules([all(), is(0, 1)]).nodes.length, 1)
    assert.equal(mergeRules([]).nodes.length, 1)
  })

  it('asks a rule of too many ways as it stands', () => {
    const either = (offset: number) => any(is(offset, 1), is(offset, 2))
    const rule = all(either(0), either(1), either(2), either(3), not(all(either(0), is(3, 2))))
    const wide = all(...[4, 5, 6, 7].map((offset) => any(is(offset, 1), is(offset, 2), is(offset, 3))))
    assertSame([rule, all(is(0, 1), is(3, 2)), wide], [1, 2, 3], 4)
  })
})

describe('rules of one shape', () => {
  const COUNT = 20
  const listed = (rule: (number: number) => Condition) => Array.from({ length: COUNT }, (_, number) => rule(number))

  it('become one look-up, with the rule as its answer', () => {
    const merged = assertSame(
      listed((number) => all(ip, is(0, number))),
      [0, 3, 8, 19, 20],
      4,
    )
    const [lookup, ...others] = lookupsOf(merged)
    assert.equal(lookup?.table.rules.length, COUNT)
    assert.deepEqual(others, [])
  })

  it('become one for each way to a match', () => {
    const merged = assertSame(
      listed((number) => any(all(ip, is(0, number)), all(ip6, is(1, number)))),
      [0, 3, 6, 8, 19],
      4,
    )
    assert.equal(lookupsOf(merged).length, 2)
  })

  for (const [name, first, second] of [
    ['reads less far', 0, 1],
    ['reads further', 1, 0],
  ] as const)
    it(`become one for each of two places for a number, of which the first ${name}`, () => {
      const merged = assertSame(
        listed((number) => all(ip, any(is(first, number), is(second, number)))),
        [0, 3, 8, 19, 20],
        4,
      )
      assert.equal(lookupsOf(merged).length, 2)
      assert.equal(merged.nodes.filter(({ kind }) => kind === 'decision').length <= 2, true)
    })

  it('are looked up by all the numbers in which they differ', () => {
    const merged = assertSame(
      listed((number) => all(is(0, number), is(1, number % 3), is(2, 8))),
      [0, 1, 2, 8, 19],
      4,
    )
    assert.equal(lookupsOf(merged)[0]?.values.length, 2)
  })

  it('keep their places among other rules', () => {
    const rules = listed((number) => (number % 3 === 0 ? is(1, number) : is(0, number % 7)))
    const more = listed((number) => all(is(1, number), is(2, number % 2)))
    assertSame([...rules, ...more, is(2, 1), ...listed((number) => is(2, number))], [0, 1, 2, 3, 6, 18], 4)
  })

  it('are looked up in bits under a mask', () => {
    const masked = (number: number) => compare(binary('&', at(0), constant(0xf0)), '=', constant(number * 16))
    const merged = assertSame(listed(masked), [0, 0x17, 0xf0, 0xff], 2)
    // 16 to 19 have more bits than the mask.
    assert.equal(lookupsOf(merged)[0]?.table.rules.length, 16)
  })

  it('stay as they are where they ask that a number is not one of the table', () => {
    assert.deepEqual(
      lookupsOf(
        assertSame(
          listed((number) => all(ip, not(is(0, number)))),
          [0, 1, 8],
          4,
        ),
      ),
      [],
    )
  })
})
