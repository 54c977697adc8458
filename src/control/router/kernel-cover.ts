import type { Prefix } from '../../route/index.js'

/** A prefix that is routed, and whether by the kernel alone: to a device that is no port, in a tunnel, to the machine itself. */
export interface RoutedPrefix {
  readonly prefix: Prefix
  readonly isKernels: boolean
}

/**
 * The fewest prefixes that hold exactly the addresses of a family whose longest
 * prefix is the kernel's; null where there would be more than `most`. A set knows
 * nothing of longer prefixes that are exceptions, so what lies around these is
 * named. `bytes` is the length of an address, 4 or 16.
 */
export function coverKernels(routes: readonly RoutedPrefix[], bytes: 4 | 16, most: number): Prefix[] | null {
  const sorted = routes
    .filter(({ prefix }) => prefix.address.length === bytes)
    .sort(
      (one, other) =>
        Buffer.compare(one.prefix.address, other.prefix.address) || one.prefix.length - other.prefix.length,
    )
  const cover: Prefix[] = []

  /** Covers a prefix, in which the routes `from` to `to` lie; whether it is the kernel's as a whole, and not named yet. */
  function visit(address: Uint8Array, length: number, from: number, to: number, isKernels: boolean): boolean {
    const here = sorted[from]
    if (from < to && here!.prefix.length === length) return visit(address, length, from + 1, to, here!.isKernels)
    if (from === to) return isKernels
    if (cover.length > most) return false
    let middle = from
    while (middle < to && (sorted[middle]!.prefix.address[length >> 3]! & (0x80 >> (length & 7))) === 0) middle++
    const upper = Uint8Array.from(address)
    upper[length >> 3]! |= 0x80 >> (length & 7)
    const [isLow, isHigh] = [
      visit(address, length + 1, from, middle, isKernels),
      visit(upper, length + 1, middle, to, isKernels),
    ]
    if (isLow && isHigh) return true
    if (isLow) cover.push({ address, length: length + 1 })
    if (isHigh) cover.push({ address: upper, length: length + 1 })
    return false
  }

  const all = new Uint8Array(bytes)
  if (visit(all, 0, 0, sorted.length, false)) cover.push({ address: all, length: 0 })
  return cover.length > most ? null : cover
}
