import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  RING_CONSUMED,
  RING_PRODUCED,
  RING_SEEN_CONSUMED,
  RING_SEEN_PRODUCED,
} from '../memory/index.js'
import { createRing } from './ring.js'

describe('a ring', () => {
  it('gives what was put into it, in order, and takes no more than it has room for, also where indices wrap', (context) => {
    const random = seededRandom(context, 'ring')
    const { space, code, bundle } = openBench({ 2048: 1 }, false)
    const [from, to] = [bundle('from'), bundle('to')]
    for (const slots of [1, 2, 7, 64, 300]) {
      const ring = createRing(space, code, `ring ${slots}`, slots)
      const begin = 0xffff_ffff - random.below(2 * slots)
      for (const index of [RING_PRODUCED, RING_SEEN_CONSUMED, RING_CONSUMED, RING_SEEN_PRODUCED])
        space.words[(ring.address + index) / 4] = begin
      const twin: string[] = []
      let left: string[] = []
      for (let turn = 0; turn < 2000; turn++) {
        if (random.below(2) === 0) {
          left.push(...appendDescriptors(space.words, from, random, random.below(257 - left.length)))
          const pushed = ring.push(from)
          assert.equal(pushed, Math.min(left.length, ring.slots - twin.length))
          twin.push(...left.slice(0, pushed))
          left = left.slice(pushed)
          assert.deepEqual(readDescriptors(space.words, from), left)
        } else {
          const most = random.below(300)
          const held = random.below(20)
          space.words[to / 4] = held
          const pulled = ring.pull(to, most)
          assert.equal(pulled, Math.min(most, twin.length, 256 - held))
          assert.deepEqual(readDescriptors(space.words, to).slice(held), twin.splice(0, pulled))
        }
        assert.equal(ring.count(), twin.length)
      }
      space.words[from / 4] = 0
      ring.close()
    }
  })
})

function appendDescriptors(words: Uint32Array, bundle: number, random: Random, count: number): string[] {
  const before = words[bundle / 4]!
  for (let word = 0; word < count * 4; word++)
    words[(bundle + BUNDLE_DESCRIPTORS) / 4 + before * 4 + word] = random.word()
  words[bundle / 4] = before + count
  return readDescriptors(words, bundle).slice(before)
}

function readDescriptors(words: Uint32Array, bundle: number): string[] {
  return Array.from({ length: words[bundle / 4]! }, (_, index) => {
    const at = (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) / 4
    return words.slice(at, at + 4).join()
  })
}
