import type { Code } from './code.js'
import { CACHE_BYTES, CACHE_COUNT, CACHE_STACK, HELD_BY_KERNEL, SHARED_LOCK } from './formats.js'
import type { PooledClass } from './frame-class.js'
import type { Space } from './space.js'

/**
 * Gives what an ended worker held back to the shared pool: frames whose holder
 * it is, those of its closed sockets, and those in its caches, less those that
 * are under way in a ring. The worker's own caches do it, so none other is
 * disturbed. Or leaves them to the kernel. Gives the frames.
 */
export function reclaimFrames(
  space: Space,
  code: Code,
  classes: readonly PooledClass[],
  caches: number,
  worker: number,
  underWay: Iterable<number>,
  to: 'pool' | 'kernel',
): number[] {
  const { words, bytes } = space
  const give = code.find('poolReclaim')
  const away = new Set<number>()
  for (const address of underWay) away.add(frameOf(classes, address))
  const reclaimed: number[] = []
  classes.forEach(({ frameBytes, frames, count, shared, holders }, index) => {
    // Nothing can end a thread that has the lock; if it did, everybody else would wait for ever.
    Atomics.compareExchange(words, (shared + SHARED_LOCK) / 4, worker, 0)
    const cache = caches + index * CACHE_BYTES
    const stack = words[(cache + CACHE_STACK) / 4]! / 4
    const held = words[(cache + CACHE_COUNT) / 4]!
    for (const frame of words.subarray(stack, stack + held))
      bytes[holders + (frame - frames.offset) / frameBytes] = worker
    words[(cache + CACHE_COUNT) / 4] = 0
    for (let frame = 0; frame < count; frame++) {
      const address = frames.offset + frame * frameBytes
      if ((bytes[holders + frame]! & ~HELD_BY_KERNEL) !== worker || away.has(address)) continue
      if (to === 'pool') give(cache, address)
      else bytes[holders + frame] = HELD_BY_KERNEL
      reclaimed.push(address)
    }
  })
  return reclaimed
}

/** The frame that an address lies in. */
function frameOf(classes: readonly PooledClass[], address: number): number {
  const found = classes.find(({ frames }) => address >= frames.offset && address < frames.offset + frames.bytes)
  return found === undefined ? address : address - ((address - found.frames.offset) % found.frameBytes)
}
