import type { Graph } from '../../ir/index.js'
import { type Judge, type JudgePlace, loadJudge, type Space } from '../../memory/index.js'
import type { SetContents } from '../../policy/index.js'
import { encodeModule, PAGE_BYTES } from '../../wasm/index.js'
import { contentsOf, type SetsByName, setImage } from '../ebpf/set-maps.js'
import { emitMatcher } from './emit-matcher.js'
import type { MatcherImage } from './lookups.js'

/** A matcher in the engine's memory, with the sets that it looks into. */
export interface PlacedMatcher {
  readonly judge: Judge
  /** For other threads over the same memory. */
  readonly place: JudgePlace
  /**
   * Puts other contents into a set, seen by the next bundle. The old image is
   * freed with the change after this one, when no thread can be in the middle
   * of a bundle any more. Throws LayoutError where the memory has no room.
   */
  replaceSet(name: string, contents: SetContents): void
  close(): void
}

/**
 * Compiles the graph for the engine and puts its tables and sets into the
 * memory, under region names that begin with `name`. Throws LayoutError, and
 * UnsupportedError for a set that `sets` does not have.
 */
export function placeMatcher(space: Space, name: string, graph: Graph, sets: SetsByName = new Map()): PlacedMatcher {
  const memory = { shared: true, maximumPages: space.bytes.length / PAGE_BYTES }
  const matcher = emitMatcher(graph, { memory })
  const { images } = matcher
  const list = space.reserve({ name: `${name} images`, kind: 'table', bytes: Math.max(1, images.length) * 4 })
  const placed: { readonly now: string; readonly before: string | null }[] = []
  let generation = 0

  const put = (index: number, image: Uint8Array) => {
    const region = space.reserve({
      name: `${name} ${titleOf(images[index]!, index)} ${generation++}`,
      kind: 'table',
      bytes: image.length,
    })
    space.bytes.set(image, region.offset)
    Atomics.store(space.words, list.offset / 4 + index, region.offset)
    const last = placed[index]
    if (last?.before != null) space.free(last.before)
    placed[index] = { now: region.name, before: last?.now ?? null }
  }
  const close = () => {
    space.free(list.name)
    for (const { now, before } of placed) for (const region of [now, before]) if (region !== null) space.free(region)
  }
  try {
    images.forEach((image, index) => {
      put(index, image.kind === 'table' ? image.image : setImage(contentsOf(image.set, sets), image.family))
    })
  } catch (error) {
    close()
    throw error
  }
  const judgePlace = { module: encodeModule(matcher.module), images: list.offset }
  return {
    judge: loadJudge(judgePlace, space.memory),
    place: judgePlace,
    replaceSet(set, contents) {
      images.forEach((image, index) => {
        if (image.kind === 'set' && image.set === set) put(index, setImage(contents, image.family))
      })
    },
    close,
  }
}

function titleOf(image: MatcherImage, index: number): string {
  return image.kind === 'set' ? `set ${image.set}/${image.family}` : `table ${index}`
}
