import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { assignSlots, startSlots } from './policy-slots.js'

describe('slots of rules', () => {
  it('stay with their rules, and are not given to another one', () => {
    const first = assignSlots(startSlots(4), ['a', 'b'])!
    const second = assignSlots(first, ['c', 'b'])!
    assert.deepEqual(
      [...second.byIdentity],
      [
        ['c', 2],
        ['b', 1],
      ],
    )
    const third = assignSlots(second, ['a', 'b'])!
    assert.deepEqual(
      [...third.byIdentity],
      [
        ['a', 3],
        ['b', 1],
      ],
    )
    assert.equal(assignSlots(third, ['a', 'b', 'd']), null)
  })

  it('are free again in new maps, where rules that stay keep theirs', () => {
    const before = assignSlots(startSlots(4), ['a', 'b', 'c'])!
    const anew = startSlots(4, new Map([['b', before.byIdentity.get('b')!]]))
    assert.deepEqual([...assignSlots(anew, ['x', 'b', 'y', 'z'])!.byIdentity.values()], [0, 1, 2, 3])
  })
})
