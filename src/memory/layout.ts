/** What a region of the linear memory holds. */
export type RegionKind = 'frames' | 'stack' | 'owners' | 'worker' | 'ring' | 'bundle' | 'counters' | 'state' | 'table'

/** A named piece of the linear memory. Offsets and sizes are in bytes. */
export interface Region {
  readonly name: string
  readonly kind: RegionKind
  readonly offset: number
  readonly bytes: number
  /** A power of two; `offset` is a multiple of it. */
  readonly alignment: number
}

/** Which regions there are, by ascending offset: a plain value, which tells what the whole memory is used for. */
export interface Layout {
  /** Nothing has a place before it. */
  readonly first: number
  /** Where the memory ends, or the part of it that is laid out. */
  readonly bytes: number
  readonly regions: readonly Region[]
}

/** A region without its place. */
export interface RegionRequest {
  readonly name: string
  readonly kind: RegionKind
  readonly bytes: number
  /** 64, a cache line, where it is not said. */
  readonly alignment?: number
  /** It is to lie behind this offset; anywhere where it is not said. */
  readonly from?: number
}

/** The memory has no gap that is large enough, or the name is taken: a sentence with the name and the sizes. */
export class LayoutError extends Error {
  override name = 'LayoutError'
}

const LINE_BYTES = 64

/** Address 0 means "none", so the first page belongs to nobody. */
export const FIRST_OFFSET = 4096

/** A memory of so many bytes in which nothing has a place yet; `first` where only what lies behind it is free. */
export function emptyLayout(bytes: number, first = FIRST_OFFSET): Layout {
  return { first, bytes, regions: [] }
}

/** The layout with one region more, in the first gap that takes it. Throws LayoutError. */
export function place(layout: Layout, request: RegionRequest): { readonly layout: Layout; readonly region: Region } {
  const { name, kind, bytes, alignment = LINE_BYTES, from = 0 } = request
  if (layout.regions.some((region) => region.name === name)) {
    throw new LayoutError(`the memory has a region ${name} already; give the new one another name`)
  }
  let index = 0
  let offset = alignUp(Math.max(layout.first, from), alignment)
  for (const { offset: taken, bytes: length } of layout.regions) {
    if (offset + bytes <= taken) break
    offset = Math.max(offset, alignUp(taken + length, alignment))
    index++
  }
  if (offset + bytes > layout.bytes) {
    throw new LayoutError(
      `the memory has no room for ${name} (${bytes} bytes, ${layout.bytes} in all); make it larger or ask for less`,
    )
  }
  const region = { name, kind, offset, bytes, alignment }
  return { layout: { ...layout, regions: layout.regions.toSpliced(index, 0, region) }, region }
}

/** The layout without the region of that name; what it took is free for another. */
export function remove(layout: Layout, name: string): Layout {
  return { ...layout, regions: layout.regions.filter((region) => region.name !== name) }
}

/**
 * One line a region, of those that have bytes, and one for each gap of a page or more:
 *
 *     0x00001000     8.0 KiB  stack     pool 2048 free
 */
export function printLayout({ bytes, regions }: Layout): string {
  const lines: string[] = []
  let end = 0
  const gapUntil = (next: number) => {
    if (next - end >= FIRST_OFFSET) lines.push(line(end, next - end, 'free', ''))
  }
  for (const { name, kind, offset, bytes: length } of regions) {
    gapUntil(offset)
    if (length > 0) lines.push(line(offset, length, kind, name))
    end = offset + length
  }
  gapUntil(bytes)
  return lines.map((text) => `${text.trimEnd()}\n`).join('')
}

function line(offset: number, bytes: number, kind: string, name: string): string {
  return `0x${offset.toString(16).padStart(8, '0')}  ${sizeOf(bytes).padStart(10)}  ${kind.padEnd(8)}  ${name}`
}

function sizeOf(bytes: number): string {
  if (bytes < 1 << 10) return `${bytes} B  `
  return bytes < 1 << 20 ? `${(bytes / (1 << 10)).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`
}

function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment
}
