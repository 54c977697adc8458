import { createMemory, type LinearMemory, PAGE_BYTES } from '../wasm/index.js'
import { emptyLayout, type Layout, place, type Region, type RegionRequest, remove } from './layout.js'

/** The one linear memory, what lies where in it, and views that never move. */
export interface Space {
  readonly memory: LinearMemory
  readonly bytes: Uint8Array
  /** Word `offset / 4`; addresses below 4 GiB. */
  readonly words: Uint32Array
  /** Counters: number `offset / 8`. They count exactly up to 2^53, and reading them makes no BigInt. */
  readonly counters: Float64Array
  layout(): Layout
  /** A region of zeros. Throws LayoutError where there is no room or the name is taken. */
  reserve(request: RegionRequest): Region
  free(name: string): void
}

const MOST_BYTES = 2 ** 32

/**
 * Shared memory of at least so many bytes, which never grows: growable shared
 * memory is 13 times slower to reach from JavaScript, and the kernel is told
 * its address. Throws RangeError beyond the 4 GiB that WebAssembly can have.
 */
export function createSpace(bytes: number): Space {
  if (!(bytes > 0 && bytes <= MOST_BYTES))
    throw new RangeError(`a memory of ${bytes} bytes is not possible; ask for 1 to ${MOST_BYTES}`)
  const pages = Math.ceil(bytes / PAGE_BYTES)
  return openSpace(createMemory(pages, pages, true), emptyLayout(pages * PAGE_BYTES))
}

/**
 * The part of a memory that one region takes, as a space of its own: what a
 * worker thread reserves in. The region's owner frees all of it at once.
 */
export function openPart(memory: LinearMemory, { offset, bytes }: Pick<Region, 'offset' | 'bytes'>): Space {
  return openSpace(memory, emptyLayout(offset + bytes, offset))
}

function openSpace(memory: LinearMemory, initial: Layout): Space {
  let layout = initial
  const all = new Uint8Array(memory.buffer)
  return {
    memory,
    bytes: all,
    words: new Uint32Array(memory.buffer),
    counters: new Float64Array(memory.buffer),
    layout: () => layout,
    reserve(request) {
      const placed = place(layout, request)
      layout = placed.layout
      const { offset, bytes } = placed.region
      // Memory that nobody has used yet is zeros, and stays untouched: pages are given when they are written.
      if (request.kind !== 'frames') all.fill(0, offset, offset + bytes)
      return placed.region
    },
    free(name) {
      layout = remove(layout, name)
    },
  }
}
