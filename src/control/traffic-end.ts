import { createLink, openPacketDevice, openTapDevice, openXdp } from '../device/index.js'
import type { Device } from '../engine/index.js'
import { KernelError, type Link, listLinks, setLink, withNamespace } from '../kernel/index.js'
import { loadPolicy } from '../loader/index.js'
import type { Code, Space, WorkerPool } from '../memory/index.js'
import { divert, policy } from '../policy/index.js'
import { findDeviceIn } from './device.js'
import { policySource } from './policy-source.js'
import { type DeviceName, openPlace, reachOf, type TrafficPlace } from './traffic-device.js'
import { TrafficError } from './traffic-error.js'
import type { Reach } from './traffic-guard.js'

/** Where traffic leaves or arrives, found and not yet opened, so that its destinations can be checked before. */
export interface TrafficEnd {
  readonly name: DeviceName
  readonly reach: Reach
  /** Null for what is no interface, and for a TAP device, which opening makes. */
  readonly link: Link | null
  readonly place: TrafficPlace | null
  close(): void
}

/** Memory, code and frames that the ends of a run share. */
export interface TrafficBench {
  readonly space: Space
  readonly code: Code
  readonly pool: WorkerPool
}

/** An end at work. */
export interface OpenEnd {
  readonly device: Device
  /** What the operator should know of it, a sentence each. */
  readonly notes: readonly string[]
  close(): void
}

/** Finds the device and says where it leads. Throws TrafficError and DeviceError. */
export function findEnd(name: DeviceName): TrafficEnd {
  if (name.way === 'file' || name.way === 'link') return { name, reach: 'inside', link: null, place: null, close() {} }
  const place = openPlace(name)
  try {
    const isTap = name.way === 'tap'
    const link = isTap ? null : findDeviceIn(place.route, name.name)
    if (isTap) checkTapName(place, name.name)
    if (link?.isUp === false)
      throw new TrafficError(`the device ${name.name} is down; set it up: ip link set ${name.name} up`)
    const reach = link === null ? (place.isInitial ? 'outside' : 'inside') : reachOf(place, link)
    return { name, reach, link, place, close: place.close }
  } catch (error) {
    place.close()
    throw error
  }
}

/** Opening makes a TAP device, or takes one that is there; the kernel's refusal of another device would say less. */
function checkTapName({ route }: TrafficPlace, name: string): void {
  const there = listLinks(route).find((link) => link.name === name)
  if (there === undefined || (there.kind === 'tun' && there.mac !== '')) return
  throw new TrafficError(`${name} is there and is no TAP device; give "tap:" the name of one, or one that is free`)
}

/** AF_XDP rings: at a million packets a second their reader may be 4 ms late. */
const XDP_ENTRIES = 4096
/** 64 blocks of 256 KiB: a packet socket's reader may be late by some ten thousand packets. */
const RING_BLOCKS = 64
/** A block that is not full is handed over after this long, which is the least there is. */
const RETIRE_MS = 1

/** What the kernel asks for to open a device (capabilities(7)). */
const RIGHTS = { packet: 'CAP_NET_RAW', tap: 'CAP_NET_ADMIN', xdp: 'CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF' } as const

/**
 * Opens an end to send at, or to receive at. Throws KernelError, LoadError,
 * LayoutError and CaptureError, and a sentence where rights are missing.
 */
export function openEnd(bench: TrafficBench, end: TrafficEnd, role: 'send' | 'receive'): OpenEnd {
  const { way, name } = end.name
  try {
    return open(bench, end, role)
  } catch (error) {
    if (!(error instanceof KernelError) || (error.code !== 'EPERM' && error.code !== 'EACCES')) throw error
    const rights = way in RIGHTS ? RIGHTS[way as keyof typeof RIGHTS] : 'the capability'
    throw new Error(
      `this process may not ${role} packets at ${name} (${error.message}); run it as root (sudo), or give it ${rights}`,
      { cause: error },
    )
  }
}

function open(bench: TrafficBench, end: TrafficEnd, role: 'send' | 'receive'): OpenEnd {
  switch (end.name.way) {
    case 'xdp':
      return openQueues(bench, end, role)
    case 'tap':
      return openTap(bench, end)
    case 'packet':
      return openSocket(bench, end, role)
    default:
      throw new TrafficError(`${end.name.way}: cannot ${role} packets here; name another device`)
  }
}

/** Both ends of a link in memory: what is sent at one arrives at the other. */
export function openLinkEnds({ space, code, pool }: TrafficBench, name: string): readonly [OpenEnd, OpenEnd] {
  const [near, far] = createLink(space, code, pool, name)
  const end = (device: Device): OpenEnd => ({ device, notes: [], close: () => device.close() })
  return [end(near), end(far)]
}

function openSocket({ space, code, pool }: TrafficBench, end: TrafficEnd, role: 'send' | 'receive'): OpenEnd {
  const device = openPacketDevice(space, code, pool, {
    name: `${role} ${end.name.name}`,
    ...namespaceOf(end),
    interfaceIndex: end.link!.index,
    isPromiscuous: role === 'receive',
    blocks: role === 'receive' ? RING_BLOCKS : 1,
    retireMs: RETIRE_MS,
  })
  return { device, notes: [], close: () => device.close() }
}

function openTap({ space, code, pool }: TrafficBench, end: TrafficEnd): OpenEnd {
  const device = openTapDevice(space, code, pool, { name: end.name.name, ...namespaceOf(end) })
  setLink(end.place!.route, device.interfaceIndex, { up: true })
  return { device, notes: [], close: () => device.close() }
}

/** Only a receiver needs a program at the device, which hands it all packets of the first queue. */
function openQueues({ space, code, pool }: TrafficBench, end: TrafficEnd, role: 'send' | 'receive'): OpenEnd {
  const device = { name: end.link!.name, index: end.link!.index, ...namespaceOf(end) }
  const options = { queues: [0], entries: XDP_ENTRIES }
  if (role === 'send') {
    const xdp = openXdp(space, code, pool, device, { ...options, divert() {} })
    return { device: xdp.queues[0]!, notes: xdp.notes, close: xdp.close }
  }
  const loaded = loadPolicy(policySource(policy(divert('')), { sets: new Map(), interfaceIndex: () => 0 }))
  try {
    const xdp = openXdp(space, code, pool, device, { ...options, divert: loaded.divertTo })
    const attach = () => loaded.attach(device)
    const link = device.namespace === undefined ? attach() : withNamespace(device.namespace, attach)
    const close = () => {
      link.close()
      xdp.close()
      loaded.close()
    }
    return { device: xdp.queues[0]!, notes: xdp.notes, close }
  } catch (error) {
    loaded.close()
    throw error
  }
}

function namespaceOf({ place }: TrafficEnd) {
  return place?.namespace === undefined ? {} : { namespace: place.namespace }
}
