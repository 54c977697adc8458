import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../test/support/random.js'
import { coverKernels, type RoutedPrefix } from './kernel-cover.js'

const holds = ({ address, length }: RoutedPrefix['prefix'], other: Uint8Array) => {
  for (let bit = 0; bit < length; bit++) {
    const mask = 0x80 >> (bit & 7)
    if ((address[bit >> 3]! & mask) !== (other[bit >> 3]! & mask)) return false
  }
  return true
}

test('exactly the addresses are covered whose longest prefix is the kernel’s', (context) => {
  const random = seededRandom(context, 'kernel-cover')
  for (let turn = 0; turn < 300; turn++) {
    const bytes = random.pick([4, 16] as const)
    // All in the last byte and the first, so that prefixes meet.
    const address = () => new Uint8Array(bytes).map((_, at) => (at === 0 || at === bytes - 1 ? random.below(256) : 0))
    const routes = new Map<string, RoutedPrefix>()
    for (let count = random.below(24); count > 0; count--) {
      const length = random.pick([0, 1, 3, 6, 8, bytes * 8 - 6, bytes * 8 - 2, bytes * 8])
      const masked = address().map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, length - at * 8))) & 0xff)
      routes.set(`${masked} ${length}`, { prefix: { address: masked, length }, isKernels: random.below(2) === 0 })
    }
    const cover = coverKernels([...routes.values()], bytes, 10_000)!
    for (const [at, one] of cover.entries())
      assert(!cover.some((other, index) => index !== at && holds(one, other.address) && other.length >= one.length))
    for (let count = 0; count < 100; count++) {
      const asked = address()
      const longest = [...routes.values()]
        .filter(({ prefix }) => holds(prefix, asked))
        .sort((one, other) => other.prefix.length - one.prefix.length)[0]
      assert.equal(
        cover.some((prefix) => holds(prefix, asked)),
        longest?.isKernels ?? false,
      )
    }
  }
})

test('one that would be too large is none', () => {
  const host = { prefix: { address: Uint8Array.of(10, 0, 0, 1), length: 32 }, isKernels: false }
  const all = { prefix: { address: new Uint8Array(4), length: 0 }, isKernels: true }
  assert.equal(coverKernels([all, host], 4, 32)!.length, 32)
  assert.equal(coverKernels([all, host], 4, 31), null)
})
