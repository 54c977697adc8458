import type { KernelRoute, RouteHop, RoutePlace } from '../../kernel/index.js'

/** RT_TABLE_MAIN and RT_TABLE_LOCAL of linux/rtnetlink.h. */
const MAIN = 254
const LOCAL = 255

/**
 * The kernel's routes by prefix: several may lead to one, of which it uses the
 * one that `best` gives. Held are those of the tables `main` and `local` without
 * a type of service; rules for other tables are the kernel's alone.
 */
export interface RouteBook {
  /** Whether the book has changed: what the kernel tells twice is known already. */
  add(route: KernelRoute, place: RoutePlace): boolean
  remove(route: KernelRoute): boolean
  /** Whether a route leads to the next hop object of that number. */
  usesNextHop(id: number): boolean
  /** Takes out all routes that lead to it; gives the keys of their prefixes. */
  removeNextHop(id: number): string[]
  /** The one that the kernel forwards by; undefined where there is none. */
  best(key: string): KernelRoute | undefined
  keys(): IterableIterator<string>
}

/** An empty book. */
export function openRouteBook(): RouteBook {
  const byPrefix = new Map<string, KernelRoute[]>()
  const usesOf = new Map<number, number>()

  function count({ nextHopId }: KernelRoute, uses: 1 | -1): void {
    if (nextHopId === 0) return
    const left = (usesOf.get(nextHopId) ?? 0) + uses
    if (left > 0) usesOf.set(nextHopId, left)
    else usesOf.delete(nextHopId)
  }

  return {
    add(route, place) {
      if (!isHeld(route)) return false
      const key = prefixKey(route)
      const before = byPrefix.get(key)
      if (before === undefined) {
        byPrefix.set(key, [route])
        count(route, 1)
        return true
      }
      const same =
        place === 'replaced'
          ? replacedBy(before, route)
          : before.findIndex((other) => isEqual(other, route) || isSharedWith(other, route))
      if (same >= 0) {
        const isChanged = !isEqual(before[same]!, route) || isDeadNow(before[same]!) !== isDeadNow(route)
        count(before[same]!, -1)
        count(route, 1)
        before[same] = route
        return isChanged
      }
      if (place === 'first') before.unshift(route)
      else before.push(route)
      count(route, 1)
      return true
    },
    remove(route) {
      const key = prefixKey(route)
      const before = byPrefix.get(key)
      const at = before?.findIndex((other) => isEqual(other, route)) ?? -1
      if (before === undefined) return false
      if (at >= 0) count(before.splice(at, 1)[0]!, -1)
      else if (!takeWays(before, route)) return false
      if (before.length === 0) byPrefix.delete(key)
      return true
    },
    usesNextHop: (id) => usesOf.has(id),
    removeNextHop(id) {
      usesOf.delete(id)
      const keys: string[] = []
      for (const [key, routes] of byPrefix) {
        const left = routes.filter(({ nextHopId }) => nextHopId !== id)
        if (left.length === routes.length) continue
        if (left.length > 0) byPrefix.set(key, left)
        else byPrefix.delete(key)
        keys.push(key)
      }
      return keys
    },
    best: (key) => chooseBest(byPrefix.get(key)),
    keys: () => byPrefix.keys(),
  }
}

/** Address and length in one text, which tells families apart as well. */
export function prefixKey({ destination, lengthBits }: Pick<KernelRoute, 'destination' | 'lengthBits'>): string {
  return `${Buffer.from(destination.buffer, destination.byteOffset, destination.byteLength).toString('latin1')}${lengthBits}`
}

function isHeld({ table, tos, type }: KernelRoute): boolean {
  return (table === MAIN || table === LOCAL) && tos === 0 && type !== 'throw' && type !== 'unspecified'
}

/** Two of which a replacement takes the other's place: the kernel has one of these only, but for appended ones. */
function isRival(one: KernelRoute, other: KernelRoute): boolean {
  return one.table === other.table && one.metric === other.metric
}

/** Which one a replacement replaces: of IPv6 rather one that shares as it does (fib6_add_rt2node of the kernel). */
function replacedBy(before: readonly KernelRoute[], route: KernelRoute): number {
  const alike = before.findIndex((other) => isRival(other, route) && shares(other) === shares(route))
  return alike >= 0 ? alike : before.findIndex((other) => isRival(other, route))
}

/**
 * Whether a route is one whose ways the kernel adds and takes away one by one:
 * IPv6 routes through gateways that have prefix and metric in common. It tells
 * of all of them when one is added, but only of those that go.
 */
function shares({ destination, type, nextHopId, isAdvertised, hops }: KernelRoute): boolean {
  const canShare = destination.length === 16 && type === 'unicast' && nextHopId === 0 && !isAdvertised
  return canShare && hops.every(({ gateway }) => gateway !== null)
}

/** Two that are ways of one to the kernel. */
function isSharedWith(one: KernelRoute, other: KernelRoute): boolean {
  return isRival(one, other) && shares(one) && shares(other)
}

/** Takes the ways of `gone` from the route that shares among them and others. */
function takeWays(routes: KernelRoute[], gone: KernelRoute): boolean {
  const at = routes.findIndex((route) => isSharedWith(route, gone))
  if (at < 0) return false
  const hops = routes[at]!.hops.filter((hop) => !gone.hops.some((other) => isSameWay(hop, other)))
  if (hops.length === routes[at]!.hops.length) return false
  if (hops.length === 0) routes.splice(at, 1)
  else routes[at] = { ...routes[at]!, hops }
  return true
}

function isSameWay(one: RouteHop, other: RouteHop): boolean {
  return one.index === other.index && one.isTunnel === other.isTunnel && isSameAddress(one.gateway, other.gateway)
}

function isEqual(one: KernelRoute, other: KernelRoute): boolean {
  return (
    isRival(one, other) &&
    one.type === other.type &&
    one.mtuBytes === other.mtuBytes &&
    one.nextHopId === other.nextHopId &&
    one.hops.length === other.hops.length &&
    one.hops.every((hop, at) => hop.weight === other.hops[at]!.weight && isSameWay(hop, other.hops[at]!))
  )
}

function isSameAddress(one: Uint8Array | null, other: Uint8Array | null): boolean {
  return one === null || other === null ? one === other : Buffer.compare(one, other) === 0
}

function isDeadNow({ hops }: KernelRoute): string {
  return hops.map(({ isDead }) => (isDead ? '1' : '0')).join('')
}

/** `local` before `main`, then the smallest metric, then the first; one of which no way is alive is passed over. */
function chooseBest(routes: readonly KernelRoute[] | undefined): KernelRoute | undefined {
  let best: KernelRoute | undefined
  for (const route of routes ?? []) {
    if (route.type === 'unicast' && route.hops.every(({ isDead }) => isDead)) continue
    if (best === undefined || rank(route) < rank(best)) best = route
  }
  return best
}

/** Below 2^33: exact. */
function rank({ table, metric }: KernelRoute): number {
  return (table === LOCAL ? 0 : 2 ** 32) + metric
}
