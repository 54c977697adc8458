import type { Prefix } from '../../route/index.js'
import { coverKernels, type RoutedPrefix } from './kernel-cover.js'
import { prefixKey } from './route-book.js'

/** Which routes are the kernel's alone, followed while they change, and told as the fewest prefixes. */
export interface KernelShare {
  /** A prefix is the kernel's now, or the router's, or has no route. */
  changed(key: string, prefix: Prefix, isKernels: boolean): void
  /** Tells what holds exactly these, if it may have changed; `routes` are all prefixes that have a route. */
  tell(routes: ReadonlyMap<string, { readonly prefix: Prefix }>): void
}

/** Prefixes of a family that are told at most, and routes that they are made of. */
const MOST_PREFIXES = 1 << 18
/** With more routes than these it may take milliseconds, and the share of its time that a thread may spend on it is one in `TIME_SHARE`. */
const FEW_ROUTES = 1024
const TIME_SHARE = 20

/** `hear` is told; undefined: nobody. `warn` hears once where it would be too many prefixes: those of the family are not told then. */
export function openKernelShare(
  hear: ((prefixes: readonly Prefix[]) => void) | undefined,
  warn: (sentence: string) => void,
): KernelShare {
  const theirs = new Map<string, Prefix>()
  /** How many have each length, by the address's bytes and the length. */
  const lengths = new Map<string, readonly [bytes: number, length: number, count: number]>()
  let [isChanged, hasWarned, restsUntil] = [true, false, 0]

  function count({ address: { length: bytes }, length }: Prefix, difference: 1 | -1): void {
    const key = `${bytes} ${length}`
    const left = (lengths.get(key)?.[2] ?? 0) + difference
    if (left === 0) lengths.delete(key)
    else lengths.set(key, [bytes, length, left])
  }

  /** Whether it lies in one that is the kernel's. */
  function isInside({ address, length }: Prefix): boolean {
    for (const [bytes, shorter] of lengths.values()) {
      if (bytes !== address.length || shorter >= length) continue
      const destination = address.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, shorter - at * 8))))
      if (theirs.has(prefixKey({ destination, lengthBits: shorter }))) return true
    }
    return false
  }

  /** The prefixes of a family that are the kernel's, and those of the router's that lie inside; null for too many. */
  function met(routes: ReadonlyMap<string, { readonly prefix: Prefix }>, bytes: 4 | 16): RoutedPrefix[] | null {
    const all = [...theirs.values()].map((prefix): RoutedPrefix => ({ prefix, isKernels: true }))
    for (const [key, { prefix }] of routes) {
      if (prefix.address.length !== bytes || theirs.has(key) || !isInside(prefix)) continue
      if (all.length >= MOST_PREFIXES) return null
      all.push({ prefix, isKernels: false })
    }
    return all
  }

  function cover(routes: ReadonlyMap<string, { readonly prefix: Prefix }>, bytes: 4 | 16): Prefix[] {
    const all = met(routes, bytes)
    const found = all === null ? null : coverKernels(all, bytes, MOST_PREFIXES)
    if (found === null && !hasWarned) {
      hasWarned = true
      warn(
        `too many routes lie inside others by devices that are no ports of the router to leave these to the kernel (more than ${MOST_PREFIXES} prefixes): packets by them are dropped; make those devices ports`,
      )
    }
    return found ?? []
  }

  return {
    changed(key, prefix, isKernels) {
      if (hear === undefined) return
      if (isKernels !== theirs.has(key)) {
        isChanged = true
        if (isKernels) theirs.set(key, prefix)
        else theirs.delete(key)
        count(prefix, isKernels ? 1 : -1)
      } else if (!isKernels) isChanged ||= isInside(prefix)
    },
    tell(routes) {
      const startedAt = performance.now()
      if (hear === undefined || !isChanged || startedAt < restsUntil) return
      isChanged = false
      hear([...cover(routes, 4), ...cover(routes, 16)])
      if (routes.size + theirs.size <= FEW_ROUTES) return
      const endedAt = performance.now()
      restsUntil = endedAt + TIME_SHARE * (endedAt - startedAt)
    },
  }
}
