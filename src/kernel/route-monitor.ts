import { closeDescriptor } from './descriptors.js'
import type { NetworkNamespace } from './namespace.js'
import {
  attribute,
  closeNetlink,
  NETLINK_REQUEST,
  type NetlinkSocket,
  openNetlink,
  setOption,
  transact,
  viewOn,
} from './netlink.js'
import { type Watch, watchDescriptor } from './readiness.js'
import {
  type KernelAddress,
  type KernelNeighbour,
  type KernelRoute,
  type RouteChange,
  readAddress,
  readChange,
  readNeighbour,
  readRoute,
  readRuleTable,
} from './route-message.js'
import { addressOf, ERRNO, KernelError, syscall, trySyscall } from './syscall.js'

/** The kernel's routes, neighbours and addresses, and each change of them as it comes: rtnetlink(7). */

const AF_NETLINK = 16
const NETLINK_ROUTE = 0
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const MSG_DONTWAIT = 0x40
/** RTNLGRP_LINK, NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE and NEXTHOP of linux/rtnetlink.h. */
const GROUPS = [1, 3, 5, 7, 9, 11, 32]

const RTM_GETADDR = 22
const RTM_GETROUTE = 26
const RTM_NEWNEIGH = 28
const RTM_GETNEIGH = 30
const RTM_GETRULE = 34
const NTF_USE = 1
const NDA_DST = 1
const AF_INET = 2
const AF_INET6 = 10

const HEADER_BYTES = 16
/** What the kernel may have ready for us while we are busy: some ten thousand changes. */
const SOCKET_BYTES = 32 << 20

/** Changes of routes, neighbours, addresses and links in one namespace. */
export interface RouteMonitor {
  /**
   * Changes that have come, in their order, at most about `most`; none where there are none now.
   * null where the kernel had to leave some out because they were not taken in time: list everything again.
   */
  take(most: number): RouteChange[] | null
  /** Calls from the event loop while there are changes; one watch at a time. */
  watch(onReady: () => void): Watch
  close(): void
}

/** Subscribes; what changes from here on is told. Throws a KernelError. */
export function openRouteMonitor(namespace?: NetworkNamespace): RouteMonitor {
  const socket = openNetlink(NETLINK_ROUTE, namespace)
  try {
    // Without CAP_NET_ADMIN the buffer stays as small as the system's default, and changes are lost sooner.
    // A socket without a port of its own is taken for the kernel, to whom the kernel tells nothing.
    const address = new Uint16Array([AF_NETLINK, ...new Array<number>(5).fill(0)])
    syscall('opening a netlink socket', 'bind', socket.fd, addressOf(address), address.byteLength)
    const bytes = new Uint32Array([SOCKET_BYTES])
    trySyscall('setsockopt', socket.fd, SOL_SOCKET, SO_RCVBUFFORCE, addressOf(bytes), 4)
    for (const group of GROUPS) {
      setOption(
        'subscribing to changes of routes',
        socket.fd,
        SOL_NETLINK,
        NETLINK_ADD_MEMBERSHIP,
        new Uint32Array([group]),
      )
    }
  } catch (error) {
    closeDescriptor(socket.fd)
    throw error
  }
  let watch: Watch | null = null
  return {
    take(most) {
      const changes = takeChanges(socket, most)
      if (changes !== null) return changes
      // The event loop waits no longer for a descriptor at which it has met an error, and this was one.
      watch?.pause()
      watch?.resume()
      return null
    },
    watch(onReady) {
      watch = watchDescriptor(socket.fd, 'readable', onReady)
      return watch
    },
    close: () => closeNetlink(socket),
  }
}

function takeChanges({ fd, received }: NetlinkSocket, most: number): RouteChange[] | null {
  const changes: RouteChange[] = []
  while (changes.length < most) {
    const length = trySyscall('recvfrom', fd, addressOf(received), received.length, MSG_DONTWAIT, 0, 0)
    if (length === -ERRNO.EAGAIN) break
    if (length === -ERRNO.EINTR) continue
    if (length === -ERRNO.ENOBUFS) {
      drain(fd, received)
      return null
    }
    if (length < 0) throw new KernelError('reading changes of routes', -length)
    // What a change holds are views of these bytes, which the next message would overwrite.
    readMessages(received.slice(0, length), changes)
  }
  return changes
}

/** What waits still is older than the list that is to follow: read after it, it would bring back what is no longer so. */
function drain(fd: number, received: Uint8Array): void {
  for (;;) {
    const length = trySyscall('recvfrom', fd, addressOf(received), received.length, MSG_DONTWAIT, 0, 0)
    if (length < 0 && length !== -ERRNO.EINTR && length !== -ERRNO.ENOBUFS) return
  }
}

function readMessages(bytes: Uint8Array, changes: RouteChange[]): void {
  const view = viewOn(bytes)
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = view.getUint32(at, true)
    if (length < HEADER_BYTES) return
    const body = bytes.subarray(at + HEADER_BYTES, at + length)
    const change = readChange(view.getUint16(at + 4, true), view.getUint16(at + 6, true), body)
    if (change !== null) changes.push(change)
    at += (length + 3) & ~3
  }
}

/** Every route of every table of both families, in the order in which the kernel has them. */
export function listRoutes(route: NetlinkSocket): KernelRoute[] {
  return list(route, 'listing routes', RTM_GETROUTE, 12, readRoute)
}

/** Every neighbour of both families that is not a multicast address's. */
export function listNeighbours(route: NetlinkSocket): KernelNeighbour[] {
  return list(route, 'listing neighbours', RTM_GETNEIGH, 12, readNeighbour)
}

/** The tables that rules of both families lead to, a number for each rule; 0 where it is none, or that of a VRF. */
export function listRuleTables(route: NetlinkSocket): number[] {
  return list(route, 'listing rules', RTM_GETRULE, 12, readRuleTable)
}

/** Every address of every device. */
export function listAddresses(route: NetlinkSocket): KernelAddress[] {
  return list(route, 'listing addresses', RTM_GETADDR, 8, readAddress)
}

function list<T>(
  route: NetlinkSocket,
  what: string,
  type: number,
  headerBytes: number,
  read: (body: Uint8Array) => T | null,
): T[] {
  return [AF_INET, AF_INET6].flatMap((family) => {
    const header = new Uint8Array(headerBytes)
    header[0] = family
    return transact(route, what, type, NETLINK_REQUEST.dump, header)
      .map(read)
      .filter((each) => each !== null)
  })
}

/**
 * Tells the kernel that `address` is being sent to on device `index`: it asks the network for the hardware address
 * where it does not know it or is no longer sure (NTF_USE), and tells what it learns as a change.
 */
export function useNeighbour(route: NetlinkSocket, index: number, address: Uint8Array): void {
  const ndmsg = new Uint8Array(12)
  ndmsg[0] = address.length === 4 ? AF_INET : AF_INET6
  ndmsg[10] = NTF_USE
  viewOn(ndmsg).setInt32(4, index, true)
  const flags = NETLINK_REQUEST.create | NETLINK_REQUEST.replace
  transact(route, `asking for a neighbour on device ${index}`, RTM_NEWNEIGH, flags, ndmsg, attribute(NDA_DST, address))
}
