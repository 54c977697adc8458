import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compare, type Test } from './condition.js'
import { decide, learn, meet, NO_FACTS } from './facts.js'
import { binary } from './fold.js'
import { constant, load, type Value } from './value.js'

const type = load({ base: null, offset: 12 }, 0, 2)
const flags = load({ base: null, offset: 47 }, 0, 1)
const masked = (value: Value, mask: number) => binary('&', value, constant(mask))

/** The test alone, where `compare` did not turn it around. */
function test(left: Value, operator: '=' | '>', right: number): Test {
  const condition = compare(left, operator, constant(right))
  assert.equal(condition.kind, 'test')
  return (condition as { test: Test }).test
}

describe('facts', () => {
  it('of an equality decide every other equality and order of that value', () => {
    const facts = learn(NO_FACTS, test(type, '=', 0x800), true)
    assert.equal(decide(facts, test(type, '=', 0x800)), true)
    assert.equal(decide(facts, test(type, '=', 0x86dd)), false)
    assert.equal(decide(facts, test(type, '>', 1500)), true)
    assert.equal(decide(facts, test(masked(type, 0xff00), '=', 0x800)), true)
    assert.equal(decide(facts, test(masked(type, 0xff00), '=', 0x600)), false)
  })

  it('of an inequality exclude that number alone', () => {
    const facts = learn(NO_FACTS, test(type, '=', 0x800), false)
    assert.equal(decide(facts, test(type, '=', 0x800)), false)
    assert.equal(decide(facts, test(type, '=', 0x806)), null)
    assert.equal(decide(facts, test(masked(type, 0xff00), '=', 0x800)), null)
  })

  it('of a masked exclusion reach the numbers under the mask', () => {
    const facts = learn(NO_FACTS, test(masked(type, 0xff00), '=', 0x800), false)
    assert.equal(decide(facts, test(type, '=', 0x806)), false)
    assert.equal(decide(facts, test(type, '=', 0x906)), null)
  })

  it('of single bits add up', () => {
    const noSyn = learn(NO_FACTS, test(masked(flags, 2), '=', 0), true)
    const noSynButAck = learn(noSyn, test(masked(flags, 0x10), '=', 0), false)
    assert.equal(decide(noSynButAck, test(masked(flags, 0x12), '=', 0x10)), true)
    assert.equal(decide(noSynButAck, test(masked(flags, 0x12), '=', 0x02)), false)
    assert.equal(decide(noSynButAck, test(flags, '=', 0x18)), null)
  })

  it('of a masked number that cannot come out say nothing', () => {
    const impossible: Test = { ...test(masked(flags, 2), '=', 0), right: constant(1), key: 'flags & 2 = 1' } as Test
    const facts = learn(NO_FACTS, impossible, false)
    assert.equal(decide(facts, test(masked(flags, 2), '=', 0)), null)
  })

  it('of a range decide what lies outside', () => {
    const facts = learn(learn(NO_FACTS, test(type, '>', 99), true), test(type, '>', 200), false)
    assert.equal(decide(facts, test(type, '=', 99)), false)
    assert.equal(decide(facts, test(type, '=', 201)), false)
    assert.equal(decide(facts, test(type, '>', 50)), true)
    assert.equal(decide(facts, test(type, '=', 150)), null)
  })

  it('say nothing about a value that was not read', () => {
    assert.equal(decide(NO_FACTS, test(type, '>', 0xffff)), null)
  })

  it('keep only what both ways agree on where they meet', () => {
    const ip = learn(NO_FACTS, test(type, '=', 0x800), true)
    const arp = learn(NO_FACTS, test(type, '=', 0x806), true)
    const either = meet(ip, arp)
    assert.equal(decide(either, test(type, '=', 0x86dd)), false)
    assert.equal(decide(either, test(type, '=', 0x800)), null)
    assert.equal(decide(either, test(masked(type, 0xff00), '=', 0x800)), true)
    assert.equal(decide(meet(ip, NO_FACTS), test(type, '=', 0x800)), null)
  })
})
