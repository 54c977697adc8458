import { doubleBuffer, type MapSpec } from '../../ebpf/index.js'
import { type Graph, type Membership, UnsupportedError } from '../../ir/index.js'
import type { PrefixList, SetContents } from '../../policy/index.js'
import { buildV4Table } from '../sets/v4-table.js'
import { buildV6Table } from '../sets/v6-table.js'
import { halfBytesForV4 } from './lookup-v4.js'
import { halfBytesForV6 } from './lookup-v6.js'

/** Named sets with what they hold now. */
export type SetsByName = ReadonlyMap<string, SetContents>

type Family = Membership['family']

/** The name of the map that holds the set's addresses of one family. */
export function setMapName(set: string, family: Family): string {
  return `set${family}_${set}`
}

/** Built once for each list: a policy is compiled again for each change, and to find a rule that the kernel refuses. */
const images = { 4: new WeakMap<PrefixList, Uint8Array>(), 6: new WeakMap<PrefixList, Uint8Array>() }

/** What half of that map has to hold. A set is replaced by handing this to the loader's `replaceContents`. */
export function setImage({ v4, v6 }: SetContents, family: Family): Uint8Array {
  const list = family === 4 ? v4 : v6
  let image = images[family].get(list)
  if (image === undefined) {
    image = family === 4 ? buildV4Table(list) : buildV6Table(list)
    images[family].set(list, image)
  }
  return image
}

/** One map for each set and family that the graph asks for, by name. Throws UnsupportedError for an unknown set. */
export function setMapsOf({ nodes }: Graph, sets: SetsByName): ReadonlyMap<string, MapSpec> {
  const maps = new Map<string, MapSpec>()
  for (const node of nodes) {
    if (node.kind !== 'decision' || node.test.operator !== 'in') continue
    const { set, family } = node.test
    const name = setMapName(set, family)
    if (!maps.has(name)) maps.set(name, setMapOf(name, family, contentsOf(set, sets)))
  }
  return maps
}

/** Throws UnsupportedError for a set that nobody has described. */
export function contentsOf(set: string, sets: SetsByName): SetContents {
  const contents = sets.get(set)
  if (contents !== undefined) return contents
  const message = `@${set}: nothing says what this set holds; hand its contents to the compiler`
  throw new UnsupportedError(message, { start: 0, end: 0 })
}

function setMapOf(name: string, family: Family, contents: SetContents): MapSpec {
  const image = setImage(contents, family)
  return doubleBuffer(name, image, family === 4 ? halfBytesForV4(image.length) : halfBytesForV6(image.length))
}
