import { readAttributes, readU32, viewOn } from './netlink.js'

/** What rtnetlink(7) says of routes, neighbours and addresses, read: linux/rtnetlink.h, neighbour.h, if_addr.h. */

const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_NEWADDR = 20
const RTM_DELADDR = 21
const RTM_NEWROUTE = 24
const RTM_DELROUTE = 25
const RTM_NEWNEIGH = 28
const RTM_DELNEIGH = 29
const RTM_NEWNEXTHOP = 104
const RTM_DELNEXTHOP = 105

const RTMSG_BYTES = 12
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_METRICS = 8
const RTA_MULTIPATH = 9
const RTA_TABLE = 15
const RTA_VIA = 18
const RTA_ENCAP_TYPE = 21
const RTA_NH_ID = 30
const RTAX_MTU = 2
const RTPROT_RA = 9
const RTM_F_CLONED = 0x200
const RTNH_BYTES = 8
const RTNH_F_DEAD = 1
const RTNH_F_LINKDOWN = 16

const NDMSG_BYTES = 12
const NDA_DST = 1
const NDA_LLADDR = 2
/** NUD_REACHABLE, STALE, DELAY, PROBE, NOARP and PERMANENT: states in which the kernel itself would send. */
const NUD_USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
const NUD_STALE = 0x04
const NUD_FAILED = 0x20

const IFADDRMSG_BYTES = 8
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_BROADCAST = 4

const NHMSG_BYTES = 8
const NHA_ID = 1

const FIB_RULE_BYTES = 12
const FRA_TABLE = 15

const AF_INET = 2
const AF_INET6 = 10
const NLM_F_REPLACE = 0x100
const NLM_F_APPEND = 0x800
/** In each address family as many bytes as an address has. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = { [AF_INET]: 4, [AF_INET6]: 16 }

/** RTN_* of linux/rtnetlink.h, in its order. */
const ROUTE_TYPES = [
  'unspecified',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
] as const

/** One way of a route: through a gateway (which may be of the other family), or to whom the device leads. */
export interface RouteHop {
  readonly gateway: Uint8Array | null
  /** Index of the device; 0 where the route leads to none. */
  readonly index: number
  /** 1 and more: the share among several ways. */
  readonly weight: number
  /** Its device is down, or has no carrier. */
  readonly isDead: boolean
  /** It puts something around the packet or before it: a tunnel, labels, segments. */
  readonly isTunnel: boolean
}

/** A route of the kernel's tables. Its prefix, `metric` and `tos` tell it from others in a table. */
export interface KernelRoute {
  readonly table: number
  /** 4 or 16 bytes, in network order; bits behind the prefix are 0. */
  readonly destination: Uint8Array
  readonly lengthBits: number
  readonly type: (typeof ROUTE_TYPES)[number]
  /** Of several routes to one prefix, the smallest is used. */
  readonly metric: number
  readonly tos: number
  /** 0 where the device's is meant. */
  readonly mtuBytes: number
  /** Learned from a router's advertisement: of two such each stays a route of its own. */
  readonly isAdvertised: boolean
  /** Of the next hop object that it leads to (`ip nexthop`), which may change without it; 0 for none. */
  readonly nextHopId: number
  readonly hops: readonly RouteHop[]
}

/** Which hardware address answers to an address, as far as the kernel knows. */
export interface KernelNeighbour {
  readonly index: number
  readonly address: Uint8Array
  /** 6 bytes; null while the kernel does not know it. */
  readonly mac: Uint8Array | null
  /** `stale`: usable, and asked again when the kernel is told that it is used. */
  readonly state: 'usable' | 'stale' | 'incomplete' | 'failed'
}

/** An address of a device. */
export interface KernelAddress {
  readonly index: number
  /** The device's own; of a point-to-point link not the peer's. */
  readonly address: Uint8Array
  readonly lengthBits: number
  readonly broadcast: Uint8Array | null
}

/** Where a route stands among those of its prefix and metric: instead of the first, before them, or behind them. */
export type RoutePlace = 'replaced' | 'first' | 'last'

/** A change, as the kernel tells it. `link` only says that something about that device has changed. */
export type RouteChange =
  | { readonly what: 'route'; readonly isGone: boolean; readonly place: RoutePlace; readonly route: KernelRoute }
  | { readonly what: 'neighbour'; readonly isGone: boolean; readonly neighbour: KernelNeighbour }
  | { readonly what: 'address'; readonly isGone: boolean; readonly address: KernelAddress }
  /** A next hop object; of routes that go with it, and of a group that has lost a member, the kernel tells no more than this. */
  | { readonly what: 'next hop'; readonly isGone: boolean; readonly id: number }
  | { readonly what: 'link'; readonly isGone: boolean; readonly index: number }

/** The change that a message tells; null for one of another kind, or of another family than IPv4 and IPv6. */
export function readChange(type: number, flags: number, body: Uint8Array): RouteChange | null {
  switch (type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = readRoute(body)
      return route && { what: 'route', isGone: type === RTM_DELROUTE, place: placeOf(flags, route), route }
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      const neighbour = readNeighbour(body)
      return neighbour && { what: 'neighbour', isGone: type === RTM_DELNEIGH, neighbour }
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = readAddress(body)
      return address && { what: 'address', isGone: type === RTM_DELADDR, address }
    }
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP: {
      const id = readU32(readAttributes(body, NHMSG_BYTES).get(NHA_ID))
      return { what: 'next hop', isGone: type === RTM_DELNEXTHOP, id }
    }
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return { what: 'link', isGone: type === RTM_DELLINK, index: viewOn(body).getInt32(4, true) }
    default:
      return null
  }
}

/** The kernel puts an IPv4 route first that it was not asked to append (ip route prepend). */
function placeOf(flags: number, { destination }: KernelRoute): RoutePlace {
  if ((flags & NLM_F_REPLACE) !== 0) return 'replaced'
  return destination.length === 4 && (flags & NLM_F_APPEND) === 0 ? 'first' : 'last'
}

/** struct rtmsg and its attributes; null for what is no route of a table, such as a cached exception. */
export function readRoute(body: Uint8Array): KernelRoute | null {
  const [family, lengthBits, , tos, shortTable, protocol, , type] = body as unknown as number[]
  const bytes = ADDRESS_BYTES[family!]
  if (bytes === undefined || viewOn(body).getUint32(8, true) & RTM_F_CLONED) return null
  const attributes = readAttributes(body, RTMSG_BYTES)
  const multipath = attributes.get(RTA_MULTIPATH)
  return {
    table: readU32(attributes.get(RTA_TABLE)) || shortTable!,
    destination: attributes.get(RTA_DST) ?? new Uint8Array(bytes),
    lengthBits: lengthBits!,
    type: ROUTE_TYPES[type!] ?? 'unspecified',
    metric: readU32(attributes.get(RTA_PRIORITY)),
    tos: tos!,
    mtuBytes: readMtu(attributes.get(RTA_METRICS)),
    isAdvertised: protocol === RTPROT_RA,
    nextHopId: readU32(attributes.get(RTA_NH_ID)),
    hops: multipath
      ? readHops(multipath)
      : [readHop(attributes, readU32(attributes.get(RTA_OIF)), 1, viewOn(body).getUint32(8, true))],
  }
}

function readMtu(metrics: Uint8Array | undefined): number {
  return metrics === undefined ? 0 : readU32(readAttributes(metrics).get(RTAX_MTU))
}

/** struct rtnexthop, each with attributes of its own: length, flags, weight less 1, index. */
function readHops(multipath: Uint8Array): RouteHop[] {
  const hops: RouteHop[] = []
  const view = viewOn(multipath)
  for (let at = 0; at + RTNH_BYTES <= multipath.length; ) {
    const length = view.getUint16(at, true)
    if (length < RTNH_BYTES) break
    const attributes = readAttributes(multipath.subarray(at, at + length), RTNH_BYTES)
    hops.push(readHop(attributes, view.getInt32(at + 4, true), multipath[at + 3]! + 1, multipath[at + 2]!))
    at += (length + 3) & ~3
  }
  return hops
}

function readHop(attributes: ReadonlyMap<number, Uint8Array>, index: number, weight: number, flags: number): RouteHop {
  // RTA_VIA: the family in two bytes, then the address.
  const gateway = attributes.get(RTA_GATEWAY) ?? attributes.get(RTA_VIA)?.subarray(2) ?? null
  const isDead = (flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) !== 0
  return { gateway, index, weight, isDead, isTunnel: attributes.has(RTA_ENCAP_TYPE) }
}

/** struct ndmsg and its attributes. */
export function readNeighbour(body: Uint8Array): KernelNeighbour | null {
  if (ADDRESS_BYTES[body[0]!] === undefined) return null
  const view = viewOn(body)
  const state = view.getUint16(8, true)
  const attributes = readAttributes(body, NDMSG_BYTES)
  const address = attributes.get(NDA_DST)
  if (address === undefined) return null
  const mac = attributes.get(NDA_LLADDR)
  return {
    index: view.getInt32(4, true),
    address,
    mac: (state & NUD_USABLE) !== 0 && mac?.length === 6 ? mac : null,
    state:
      (state & NUD_STALE) !== 0
        ? 'stale'
        : (state & NUD_USABLE) !== 0
          ? 'usable'
          : (state & NUD_FAILED) !== 0
            ? 'failed'
            : 'incomplete',
  }
}

/** struct ifaddrmsg and its attributes. */
export function readAddress(body: Uint8Array): KernelAddress | null {
  if (ADDRESS_BYTES[body[0]!] === undefined) return null
  const attributes = readAttributes(body, IFADDRMSG_BYTES)
  const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)
  if (address === undefined) return null
  return {
    index: viewOn(body).getUint32(4, true),
    address,
    lengthBits: body[1]!,
    broadcast: attributes.get(IFA_BROADCAST) ?? null,
  }
}

/** The table that a rule leads to (struct fib_rule_hdr); 0 for one that leads to none, or to that of a device's VRF. */
export function readRuleTable(body: Uint8Array): number {
  return readU32(readAttributes(body, FIB_RULE_BYTES).get(FRA_TABLE)) || body[4]!
}
