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
export function replaceContents(map: LoadedMap, image: Uint8Array): void {
  replaceAllContents([{ map, image }])
}

/** A map of two halves and what it is to hold. */
export interface Replacement {
  readonly map: LoadedMap
  readonly image: Uint8Array
}

/** Whether the image has room in half of the map. */
export function fitsInto({ spec }: LoadedMap, image: Uint8Array): boolean {
  return image.length <= halfBytesOf(spec)
}

/** The same for several maps after one wait: all of them are replaced, or none where it throws. */
export function replaceAllContents(replacements: readonly Replacement[]): void {
  for (const { map, image } of replacements) {
    if (fitsInto(map, image)) continue
    throw new RangeError(
      `${map.spec.name} has room for ${halfBytesOf(map.spec)} bytes, and ${image.length} are needed: load the program again with the new contents`,
    )
  }
  waitForRunningPrograms()
  writeAll(replacements, () => undefined)
}

/** Writes each image into the half that nobody reads; only when all are there they go live. */
function writeAll([first, ...others]: readonly Replacement[], goLive: () => void): void {
  if (first === undefined) {
    goLive()
    return
  }
  const { spec, fd } = first.map
  withMapMemory(fd, spec.valueBytes, (memory) => {
    const live = new Uint32Array(memory, 0, 1)
    const other = live[0] === 0 ? halfBytesOf(spec) : 0
    new Uint8Array(memory, HALVES_AT + other).set(first.image)
    writeAll(others, () => {
      goLive()
      // The image is there before whoever reads the number can follow it.
      Atomics.store(live, 0, other)
    })
  })
}
