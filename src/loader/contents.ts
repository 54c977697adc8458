import { HALVES_AT, halfBytesOf, type MapSpec } from '../ebpf/index.js'
import { waitForRunningPrograms, withMapMemory } from '../kernel/index.js'
import type { LoadedMap } from './load.js'

/** Writes what the map holds when its program starts. Throws KernelError. */
export function fillMap(fd: number, { contents }: Pick<MapSpec, 'contents'>): void {
  if (contents === undefined) return
  withMapMemory(fd, contents.at + contents.bytes.length, (memory) =>
    new Uint8Array(memory, contents.at).set(contents.bytes),
  )
}

/**
 * Replaces what a double buffer holds, a set for example, while programs read
 * it: each look-up sees all of the old image or all of the new one. It takes the
 * writing and about 10 ms, in which those that still read the half that is
 * written to come to their end. Throws RangeError where the image is larger
 * than half the map; then the program has to be compiled again and swapped.
 */
export function replaceContents({ fd, spec }: LoadedMap, image: Uint8Array): void {
  const halfBytes = halfBytesOf(spec)
  if (image.length > halfBytes) {
    throw new RangeError(
      `${spec.name} has room for ${halfBytes} bytes, and ${image.length} are needed: load the program again with the new contents`,
    )
  }
  waitForRunningPrograms()
  withMapMemory(fd, spec.valueBytes, (memory) => {
    const live = new Uint32Array(memory, 0, 1)
    const other = live[0] === 0 ? halfBytes : 0
    new Uint8Array(memory, HALVES_AT + other).set(image)
    // The image is there before whoever reads the number can follow it.
    Atomics.store(live, 0, other)
  })
}
