import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { rangesOf } from './v4-ranges.js'

function ranges(...prefixes: readonly (readonly [word: number, length: number])[]): string[] {
  const words = Uint32Array.from(prefixes, ([word]) => word)
  const { firsts, lasts, count } = rangesOf({ words, lengths: Uint8Array.from(prefixes, ([, length]) => length) })
  return Array.from({ length: count }, (_, range) => `${firsts[range]!.toString(16)}-${lasts[range]!.toString(16)}`)
}

describe('ranges of IPv4 prefixes', () => {
  it('ascend, and host bits do not count', () => {
    assert.deepEqual(ranges([0xc0a80101, 16], [0x0a000001, 32]), ['a000001-a000001', 'c0a80000-c0a8ffff'])
  })

  it('are one where prefixes touch, repeat or lie in one another', () => {
    assert.deepEqual(ranges([0x0a000080, 25], [0x0a000000, 25], [0x0a000005, 32]), ['a000000-a0000ff'])
    assert.deepEqual(ranges([0x0a000000, 24], [0x0a000000, 8], [0x0a000000, 24]), ['a000000-affffff'])
  })

  it('reach both ends of the address space', () => {
    assert.deepEqual(ranges([0, 0]), ['0-ffffffff'])
    assert.deepEqual(ranges([0xffffffff, 32], [0, 32], [0xfffffffe, 32]), ['0-0', 'fffffffe-ffffffff'])
    assert.deepEqual(ranges(), [])
  })
})
