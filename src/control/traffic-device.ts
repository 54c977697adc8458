import { readFileSync } from 'node:fs'
import {
  closeNamespace,
  closeNetlink,
  isInitialNamespace,
  KernelError,
  type Link,
  type NetlinkSocket,
  type NetworkNamespace,
  namespaceId,
  openInitialNamespace,
  openNamespace,
  openRoute,
  withNamespace,
} from '../kernel/index.js'
import { gatewaysTowards } from './gateways.js'
import { TrafficError } from './traffic-error.js'
import type { Reach } from './traffic-guard.js'

/** How frames get to a device, or where else they go. */
export type TrafficWay = 'packet' | 'xdp' | 'tap' | 'live' | 'file' | 'link'

/** A device as the operator names it: `[WAY:][NAMESPACE/]DEVICE`, or a capture file. */
export interface DeviceName {
  readonly way: TrafficWay
  /** Path of a network namespace; null for this thread's own. */
  readonly namespacePath: string | null
  readonly name: string
}

const WAYS: readonly TrafficWay[] = ['packet', 'xdp', 'tap', 'live', 'file', 'link']
/** IFNAMSIZ of linux/if.h, without the zero byte. */
const MOST_NAME_BYTES = 15
const CAPTURE_FILE = /\.(?:pcap|pcapng|cap)(?:\.gz)?$/i
/** Where `ip netns` keeps its namespaces. */
const NAMED_NAMESPACES = '/run/netns'

/**
 * Reads `veth0`, `lab/veth0`, `xdp:lab/veth0`, `tap:lab/tap0`, `live:veth0`,
 * `out.pcap` or `link:`. A namespace is a name of `ip netns`, or a path.
 */
export function parseDeviceName(text: string): DeviceName {
  const colon = text.indexOf(':')
  const prefix = text.slice(0, Math.max(0, colon))
  const way = WAYS.find((each) => each === prefix)
  const rest = way === undefined ? text : text.slice(colon + 1)
  if (way === 'link') return { way, namespacePath: null, name: rest || 'link' }
  if (way === 'file' || (way === undefined && CAPTURE_FILE.test(rest)))
    return { way: 'file', namespacePath: null, name: pathOf(rest) }
  const slash = rest.lastIndexOf('/')
  const namespace = rest.slice(0, Math.max(0, slash))
  const name = rest.slice(slash + 1)
  if (name === '') throw new TrafficError(`"${text}" names no device; write it as veth0, lab/veth0 or xdp:lab/veth0`)
  if (Buffer.byteLength(name) > MOST_NAME_BYTES)
    throw new TrafficError(`"${name}" cannot be a device's name; use 1 to ${MOST_NAME_BYTES} bytes`)
  const path = namespace.startsWith('/') ? namespace : `${NAMED_NAMESPACES}/${namespace}`
  return { way: way ?? 'packet', namespacePath: slash < 0 ? null : path, name }
}

function pathOf(text: string): string {
  if (text !== '') return text
  throw new TrafficError('"file:" names no file; write it as file:PATH, or a path that ends in .pcap or .pcapng')
}

/** A place that devices of the kernel are in. */
export interface TrafficPlace {
  readonly namespace: NetworkNamespace | undefined
  readonly isInitial: boolean
  readonly route: NetlinkSocket
  close(): void
}

/** Goes to the namespace of a device. Throws TrafficError where there is none of that name. */
export function openPlace({ namespacePath }: DeviceName): TrafficPlace {
  const namespace = namespacePath === null ? undefined : namespaceAt(namespacePath)
  try {
    const route = openRoute(namespace)
    return {
      namespace,
      isInitial: isInitialNamespace(namespace),
      route,
      close() {
        closeNetlink(route)
        if (namespace !== undefined) closeNamespace(namespace)
      },
    }
  } catch (error) {
    if (namespace !== undefined) closeNamespace(namespace)
    throw error
  }
}

function namespaceAt(path: string): NetworkNamespace {
  try {
    return openNamespace(path)
  } catch (error) {
    if (!(error instanceof KernelError) || error.code === 'EACCES') throw error
    throw new TrafficError(`there is no network namespace ${path} (${error.code}); see ip netns list, or give its path`)
  }
}

const IFF_LOOPBACK = 0x8
/** Devices that end in the kernel or at another such device; all others may lead to a wire. */
const VIRTUAL_KINDS = new Set(['veth', 'tun', 'dummy', 'bridge', 'ifb'])

/** Where frames that are sent at a device can get to. */
export function reachOf(place: TrafficPlace, link: Link): Reach {
  const isLoopback = (link.flags & IFF_LOOPBACK) !== 0
  if (place.isInitial) return isLoopback ? 'loopback' : 'outside'
  if (isLoopback) return 'inside'
  return VIRTUAL_KINDS.has(link.kind) && !leadsToInitial(place, link) ? 'inside' : 'outside'
}

/** Whether the other end of a veth is in the initial namespace, which may hand on to anybody. */
function leadsToInitial({ route }: TrafficPlace, { peerNamespaceId }: Link): boolean {
  if (peerNamespaceId === null) return false
  const initial = openInitialNamespace()
  if (initial === null) return true
  try {
    return namespaceId(route, initial) === peerNamespaceId
  } finally {
    closeNamespace(initial)
  }
}

const NEIGHBOUR_COMPLETE = 0x2
const NO_MAC = '00:00:00:00:00:00'

/**
 * The Ethernet address behind which an IPv4 address is, as the kernel knows it
 * (/proc/net/arp, proc(5)): its own, or its router's. Throws TrafficError where
 * it knows none.
 */
export function neighbourMac(place: TrafficPlace, link: Link, address: string): string {
  if ((link.flags & IFF_LOOPBACK) !== 0) return NO_MAC
  const look = () => {
    const table = readFileSync('/proc/thread-self/net/arp', 'utf8').split('\n').slice(1)
    const rows = table.map((line) => line.split(/\s+/)).filter(([, , , , , device]) => device === link.name)
    const known = new Map(
      rows.filter(([, , flags]) => (Number(flags) & NEIGHBOUR_COMPLETE) !== 0).map((row) => [row[0]!, row[3]!]),
    )
    return [address, ...gatewaysTowards(address)].map((each) => known.get(each)).find((mac) => mac !== undefined)
  }
  const mac = place.namespace === undefined ? look() : withNamespace(place.namespace, look)
  if (mac !== undefined) return mac
  throw new TrafficError(
    `the kernel knows no Ethernet address for ${address} at ${link.name}; ping it once there, or give --to-mac`,
  )
}
