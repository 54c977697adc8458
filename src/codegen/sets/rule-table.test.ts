import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { buildRuleTable, type RuleTable } from './rule-table.js'

/** The look-up as the emitted code does it, in BigInt so that no number is cut by accident. */
function lookUp(table: RuleTable, key: readonly number[]): number | null {
  const view = new DataView(table.image.buffer)
  let hash = 0n
  for (const word of key) {
    const product = (hash ^ BigInt(word)) * BigInt(table.first)
    hash = ((product >> 32n) ^ product) & 0xffffffffn
  }
  const bucket = Number(hash >> BigInt(32 - table.bucketBits))
  const displaced = (hash ^ BigInt(view.getUint16(2 * bucket, true))) * BigInt(table.second)
  const slot = Number((displaced & 0xffffffffn) >> BigInt(32 - table.slotBits))
  const at = table.slotsAt + slot * table.slotBytes
  const isFound = key.every((word, index) => view.getUint32(at + 4 * index, true) === word)
  return isFound ? view.getUint32(at + 4 * key.length, true) : null
}

function assertFinds(keys: readonly (readonly number[])[], absent: readonly (readonly number[])[]): RuleTable {
  const width = keys[0]!.length
  const values = Uint32Array.from(keys, (_, index) => 1000 + index)
  const table = buildRuleTable(Uint32Array.from(keys.flat()), width, values)
  keys.forEach((key, index) => {
    assert.equal(lookUp(table, key), 1000 + index, key.join())
  })
  for (const key of absent) assert.equal(lookUp(table, key), null, key.join())
  return table
}

const numbers = (count: number, key: (number: number) => readonly number[]) =>
  Array.from({ length: count }, (_, number) => key(number))

describe('tables of rules', () => {
  it('find each key and no other', () => {
    assertFinds([[7]], [[0], [8], [0xffffffff]])
    assertFinds(
      numbers(1000, (n) => [n]),
      [[1000], [0x80000000]],
    )
    assertFinds(
      numbers(1000, (n) => [((n << 24) | (n >> 8)) >>> 0]),
      [[4]],
    )
  })

  it('find keys that differ in a few bits of one word of several', () => {
    const spread = (n: number) => [0x20010db8, 0, n & 3, n >>> 2]
    assertFinds(numbers(3000, spread), [
      [0x20010db8, 0, 4, 0],
      [0, 0, 0, 0],
    ])
  })

  it('take a few times the room of their keys', () => {
    const { image } = assertFinds(
      numbers(20_000, (n) => [Math.imul(n, 0x01000193) >>> 0]),
      [],
    )
    assert.ok(image.length < 20_000 * 8 * 3, `${image.length} bytes`)
  })
})
