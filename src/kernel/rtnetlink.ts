import { formatMac, parseAddress, parseMac, parsePrefix } from './address.js'
import type { NetworkNamespace } from './namespace.js'
import {
  attribute,
  attributeNest,
  attributeString,
  attributeU32,
  concat,
  NETLINK_REQUEST,
  type NetlinkSocket,
  openNetlink,
  readAttributes,
  readString,
  readU32,
  transact,
  viewOn,
} from './netlink.js'

/** Links, addresses, routes and neighbours over rtnetlink(7): linux/rtnetlink.h, if_link.h, veth.h. */

const NETLINK_ROUTE = 0
const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_GETLINK = 18
const RTM_NEWADDR = 20
const RTM_NEWROUTE = 24
const RTM_NEWNEIGH = 28
const RTM_GETNSID = 90

const IFLA_ADDRESS = 1
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const IFLA_LINKINFO = 18
const IFLA_NET_NS_FD = 28
const IFLA_NUM_TX_QUEUES = 31
const IFLA_NUM_RX_QUEUES = 32
const IFLA_LINK_NETNSID = 37
const IFLA_XDP = 43
const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1
const NETNSA_NSID = 1
const NETNSA_FD = 3
const IFLA_XDP_ATTACHED = 2
const IFLA_XDP_PROG_ID = 4

const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_F_NODAD = 0x02
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RT_TABLE_MAIN = 254
const RTPROT_STATIC = 4
const RTN_UNICAST = 1
const NDA_DST = 1
const NDA_LLADDR = 2
const NUD_PERMANENT = 0x80

const AF_INET = 2
const AF_INET6 = 10
const IFF_UP = 1
const IFNAMSIZ = 16
const IFINFOMSG_BYTES = 16

/** In the order of the kernel's XDP_ATTACHED_*. */
const XDP_MODES = ['none', 'native', 'generic', 'hardware', 'several'] as const

/** A network device, as the kernel describes it. */
export interface Link {
  readonly index: number
  readonly name: string
  /** Six bytes as `02:00:00:00:00:01`; empty for a device without one. */
  readonly mac: string
  readonly mtuBytes: number
  /** IFF_* of linux/if.h. */
  readonly flags: number
  readonly isUp: boolean
  /** `veth`, `bridge`, … as `ip link add type` takes it; empty for hardware and for `lo`. */
  readonly kind: string
  readonly rxQueues: number
  readonly txQueues: number
  /** The socket's number for the namespace that the other end is in, as of a veth; null where that is this one. */
  readonly peerNamespaceId: number | null
  /** Where an XDP program is attached, and the program's id (0 when attached in several modes). */
  readonly xdp: { readonly mode: (typeof XDP_MODES)[number]; readonly programId: number }
}

/** One end of a veth pair to be made. */
export interface VethEnd {
  /** At most 15 bytes. */
  readonly name: string
  readonly mac?: string
  readonly mtuBytes?: number
  /** Receive queues, and as many transmit queues; by default one. */
  readonly queues?: number
}

/** A socket for the calls below, in `namespace` or in the thread's own; close it with closeNetlink. */
export function openRoute(namespace?: NetworkNamespace): NetlinkSocket {
  return openNetlink(NETLINK_ROUTE, namespace)
}

/** Makes a veth pair: `end` in the socket's namespace, `peer` in `peerNamespace`. Both are down. */
export function createVeth(route: NetlinkSocket, end: VethEnd, peer: VethEnd, peerNamespace: NetworkNamespace): void {
  const peerAttributes = [...describeEnd(peer), attributeU32(IFLA_NET_NS_FD, peerNamespace.fd)]
  transact(
    route,
    `creating the veth pair ${end.name} and ${peer.name}`,
    RTM_NEWLINK,
    NETLINK_REQUEST.create | NETLINK_REQUEST.exclusive,
    ifinfomsg(),
    ...describeEnd(end),
    attributeNest(
      IFLA_LINKINFO,
      attributeString(IFLA_INFO_KIND, 'veth'),
      attributeNest(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, concat(ifinfomsg(), ...peerAttributes))),
    ),
  )
}

/** Removes a device; of a veth pair, both ends. */
export function deleteLink(route: NetlinkSocket, name: string): void {
  transact(route, `removing ${name}`, RTM_DELLINK, 0, ifinfomsg(), attributeString(IFLA_IFNAME, checkName(name)))
}

/** Sets what is given and leaves the rest: up or down, MTU, hardware address. */
export function setLink(
  route: NetlinkSocket,
  index: number,
  change: { readonly up?: boolean; readonly mtuBytes?: number; readonly mac?: string },
): void {
  const header =
    change.up === undefined ? ifinfomsg({ index }) : ifinfomsg({ index, flags: change.up ? IFF_UP : 0, change: IFF_UP })
  const attributes = []
  if (change.mtuBytes !== undefined) attributes.push(attributeU32(IFLA_MTU, change.mtuBytes))
  if (change.mac !== undefined) attributes.push(attribute(IFLA_ADDRESS, parseMac(change.mac)))
  transact(route, `changing device ${index}`, RTM_NEWLINK, 0, header, ...attributes)
}

/** Every device of the socket's namespace. */
export function listLinks(route: NetlinkSocket): Link[] {
  return transact(route, 'listing devices', RTM_GETLINK, NETLINK_REQUEST.dump, ifinfomsg()).map(readLink)
}

/** The device of that name or index. Throws a KernelError (ENODEV) where there is none. */
export function findLink(route: NetlinkSocket, nameOrIndex: string | number): Link {
  const request =
    typeof nameOrIndex === 'number'
      ? [ifinfomsg({ index: nameOrIndex })]
      : [ifinfomsg(), attributeString(IFLA_IFNAME, checkName(nameOrIndex))]
  const [answer] = transact(route, `looking up device ${nameOrIndex}`, RTM_GETLINK, 0, ...request)
  return readLink(answer)
}

/**
 * Gives device `index` an address such as `192.0.2.1/24`, with the route to its
 * prefix. An IPv6 address is usable at once: duplicate detection is skipped.
 */
export function addAddress(route: NetlinkSocket, index: number, prefix: string): void {
  const { address, lengthBits } = parsePrefix(prefix)
  const ifaddrmsg = new Uint8Array(8)
  ifaddrmsg[0] = familyOf(address)
  ifaddrmsg[1] = lengthBits
  ifaddrmsg[2] = address.length === 16 ? IFA_F_NODAD : 0
  new DataView(ifaddrmsg.buffer).setUint32(4, index, true)
  const attributes = [attribute(IFA_LOCAL, address), attribute(IFA_ADDRESS, address)]
  const flags = NETLINK_REQUEST.create | NETLINK_REQUEST.exclusive
  transact(route, `adding ${prefix} to device ${index}`, RTM_NEWADDR, flags, ifaddrmsg, ...attributes)
}

/** A route to `destination` (a prefix, or `default` for all of the gateway's family) by way of `via`. */
export function addRoute(route: NetlinkSocket, destination: string, via: string, index?: number): void {
  const gateway = parseAddress(via)
  const prefix = destination === 'default' ? undefined : parsePrefix(destination)
  if (prefix && prefix.address.length !== gateway.length) {
    throw new RangeError(`${destination} and ${via} are of two families; give both as IPv4 or both as IPv6`)
  }
  const rtmsg = new Uint8Array(12)
  rtmsg[0] = familyOf(gateway)
  rtmsg[1] = prefix?.lengthBits ?? 0
  rtmsg[4] = RT_TABLE_MAIN
  rtmsg[5] = RTPROT_STATIC
  rtmsg[7] = RTN_UNICAST
  const attributes = [attribute(RTA_GATEWAY, gateway)]
  if (prefix) attributes.push(attribute(RTA_DST, prefix.address))
  if (index !== undefined) attributes.push(attributeU32(RTA_OIF, index))
  const flags = NETLINK_REQUEST.create | NETLINK_REQUEST.exclusive
  transact(route, `adding the route ${destination} via ${via}`, RTM_NEWROUTE, flags, rtmsg, ...attributes)
}

/** Says for good which MAC address answers to `address` on device `index`, so that nobody has to ask. */
export function addNeighbour(route: NetlinkSocket, index: number, address: string, mac: string): void {
  const bytes = parseAddress(address)
  const ndmsg = new Uint8Array(12)
  const view = new DataView(ndmsg.buffer)
  ndmsg[0] = familyOf(bytes)
  view.setInt32(4, index, true)
  view.setUint16(8, NUD_PERMANENT, true)
  const attributes = [attribute(NDA_DST, bytes), attribute(NDA_LLADDR, parseMac(mac))]
  const flags = NETLINK_REQUEST.create | NETLINK_REQUEST.replace
  transact(route, `adding the neighbour ${address} to device ${index}`, RTM_NEWNEIGH, flags, ndmsg, ...attributes)
}

/** The socket's number for `namespace`, as links tell it; null where it has given none. */
export function namespaceId(route: NetlinkSocket, namespace: NetworkNamespace): number | null {
  const request = [new Uint8Array(4), attributeU32(NETNSA_FD, namespace.fd)]
  const [answer] = transact(route, 'asking for the number of a network namespace', RTM_GETNSID, 0, ...request)
  const id = answer === undefined ? NO_NAMESPACE : readU32(readAttributes(answer, 4).get(NETNSA_NSID))
  return id === NO_NAMESPACE ? null : id
}

/** NETNSA_NSID_NOT_ASSIGNED, -1. */
const NO_NAMESPACE = 0xffffffff

function readLink(body: Uint8Array): Link {
  const view = viewOn(body)
  const attributes = readAttributes(body, IFINFOMSG_BYTES)
  const nested = (type: number) => readAttributes(attributes.get(type) ?? new Uint8Array())
  const flags = view.getUint32(8, true)
  const xdp = nested(IFLA_XDP)
  return {
    index: view.getInt32(4, true),
    name: readString(attributes.get(IFLA_IFNAME) ?? new Uint8Array()),
    mac: formatMac(attributes.get(IFLA_ADDRESS) ?? new Uint8Array()),
    mtuBytes: readU32(attributes.get(IFLA_MTU)),
    flags,
    isUp: (flags & IFF_UP) !== 0,
    kind: readString(nested(IFLA_LINKINFO).get(IFLA_INFO_KIND) ?? new Uint8Array()),
    rxQueues: readU32(attributes.get(IFLA_NUM_RX_QUEUES)),
    txQueues: readU32(attributes.get(IFLA_NUM_TX_QUEUES)),
    peerNamespaceId: attributes.has(IFLA_LINK_NETNSID) ? readU32(attributes.get(IFLA_LINK_NETNSID)) : null,
    xdp: { mode: XDP_MODES[xdp.get(IFLA_XDP_ATTACHED)?.[0] ?? 0], programId: readU32(xdp.get(IFLA_XDP_PROG_ID)) },
  }
}

function describeEnd(end: VethEnd): Uint8Array[] {
  const queues = end.queues ?? 1
  return [
    attributeString(IFLA_IFNAME, checkName(end.name)),
    attributeU32(IFLA_NUM_RX_QUEUES, queues),
    attributeU32(IFLA_NUM_TX_QUEUES, queues),
    ...(end.mac === undefined ? [] : [attribute(IFLA_ADDRESS, parseMac(end.mac))]),
    ...(end.mtuBytes === undefined ? [] : [attributeU32(IFLA_MTU, end.mtuBytes)]),
  ]
}

/** struct ifinfomsg: family, type, index, flags, and the mask of the flags to change. */
function ifinfomsg(fields: { index?: number; flags?: number; change?: number } = {}): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG_BYTES)
  const view = new DataView(bytes.buffer)
  view.setInt32(4, fields.index ?? 0, true)
  view.setUint32(8, fields.flags ?? 0, true)
  view.setUint32(12, fields.change ?? 0, true)
  return bytes
}

/** Too long a name gets only ERANGE or EINVAL from the kernel. */
function checkName(name: string): string {
  const length = Buffer.byteLength(name)
  if (length === 0 || length >= IFNAMSIZ) {
    throw new RangeError(`"${name}" cannot be a device's name; use 1 to ${IFNAMSIZ - 1} bytes`)
  }
  return name
}

function familyOf(address: Uint8Array): number {
  return address.length === 4 ? AF_INET : AF_INET6
}
