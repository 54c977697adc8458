import {
  KernelError,
  type NetworkNamespace,
  readChannels,
  readFeatures,
  readXdpFeatures,
  type XskOptions,
} from '../kernel/index.js'
import type { Code, Space, WorkerPool } from '../memory/index.js'
import { openXdpQueue, type XdpQueue } from './xdp-queue.js'

/** A network device of the kernel. */
export interface NetworkDevice {
  readonly name: string
  readonly index: number
  /** By default the thread's own. */
  readonly namespace?: NetworkNamespace
}

export interface XdpDeviceOptions {
  /**
   * Lets an XDP program hand the packets of a receive queue to a socket, or to
   * nobody (null): `LoadedPolicy.divertTo`.
   */
  divert(queue: number, socketFd: number | null): void
  /** What its queues are called in front of their number; the device's name where nothing is said, which another namespace may have too. */
  readonly title?: string
  /** Receive queues to open; all of the device where nothing is said. */
  readonly queues?: readonly number[]
  /**
   * Entries of each ring and frames that a queue receives into, a power of
   * two; 4096 where nothing is said: at two million packets a second a reader
   * may be 2 ms late.
   */
  readonly entries?: number
  /** `try` takes copy mode where the driver has no zero-copy, `require` throws there. By default `try`. */
  readonly zeroCopy?: XskOptions['zeroCopy']
  /** Wakes the kernel only where it asks for it. By default true. */
  readonly needWakeup?: boolean
  /**
   * Whether headers lie at addresses that differ by cache lines from frame to
   * frame. By default they do, except where the driver has zero-copy: there a
   * chunk may not begin in the page before its frame.
   */
  readonly stagger?: boolean
  /**
   * Address of the counters of a queue, TRAFFIC_BYTES of zeros or of what it has counted before, for other threads to
   * read (XDP_REASONS). Each queue reserves its own where it is not said.
   */
  readonly counters?: (queue: number) => number
}

/** The opened queues of a network device, which share the frames. */
export interface XdpDevice {
  /** A device each, for a worker each or for one. */
  readonly queues: readonly XdpQueue[]
  /** Whether the driver puts packets into the frames itself. */
  readonly isZeroCopy: boolean
  /** What the operator should know of it, a sentence each. */
  readonly notes: readonly string[]
  close(): void
}

const ENTRIES = 4096

/**
 * Opens queues of a network device as devices of the engine (AF_XDP): rings
 * and frames are in the linear memory, and the kernel gets `entries` frames of
 * the pool for each queue. Throws KernelError: EBUSY where a queue has a socket
 * already, EPERM without CAP_NET_RAW, EOPNOTSUPP without the zero-copy that is
 * required; LayoutError; and what `divert` throws. Nothing stays behind then.
 */
export function openXdp(
  space: Space,
  code: Code,
  pool: WorkerPool,
  device: NetworkDevice,
  options: XdpDeviceOptions,
): XdpDevice {
  const { namespace, name } = device
  const { zeroCopy = 'try', entries = ENTRIES, needWakeup = true, divert } = options
  const hasZeroCopy = zeroCopy !== 'never' && offersZeroCopy(device)
  const isStaggered = options.stagger ?? !hasZeroCopy
  const queues: XdpQueue[] = []
  const close = () => {
    // The first one last: it has registered the frames.
    for (const queue of queues.toReversed()) queue.close()
  }
  try {
    for (const queue of options.queues ?? receiveQueues(device)) {
      const shared = {
        device: options.title ?? name,
        interfaceIndex: device.index,
        ...(namespace === undefined ? {} : { namespace }),
      }
      const sharesWith = queues[0]?.socket ?? null
      const counters = options.counters === undefined ? {} : { counters: options.counters(queue) }
      const settings = { queue, entries, isStaggered, zeroCopy, needWakeup, sharesWith, divert, ...counters }
      queues.push(openXdpQueue(space, code, pool, { ...shared, ...settings }))
    }
  } catch (error) {
    close()
    throw error
  }
  const isZeroCopy = queues.every(({ socket }) => socket.isZeroCopy)
  const notes = [...(isZeroCopy ? [] : [copyNote(name, zeroCopy)]), ...vlanNotes(device)]
  return { queues, isZeroCopy, notes, close }
}

/** What there will be to know of a device whose sockets somebody else opens: the `notes` of its XdpDevice. */
export function xdpNotes(device: NetworkDevice): readonly string[] {
  return [...(offersZeroCopy(device) ? [] : [copyNote(device.name, 'try')]), ...vlanNotes(device)]
}

/** A tag that the device has taken off is lost: nothing of it is in the frame, nor in the descriptor of the ring. */
function vlanNotes({ name, namespace }: NetworkDevice): readonly string[] {
  if (readFeatures(name, namespace).get('rx-vlan-hw-parse')?.isOn !== true) return []
  return [
    `${name} takes VLAN tags off before its packets are here, so those of a VLAN look like others; where there are any: "ethtool -K ${name} rxvlan off"`,
  ]
}

function copyNote(name: string, zeroCopy: XskOptions['zeroCopy']): string {
  return zeroCopy === 'never'
    ? `${name} copies each packet once, as asked`
    : `${name} copies each packet once, because its driver has no zero-copy for AF_XDP; drivers of most server network cards have it`
}

function offersZeroCopy({ index, namespace }: NetworkDevice): boolean {
  try {
    return readXdpFeatures(index, namespace).zeroCopy
  } catch (error) {
    // Before Linux 6.3 nobody tells; drivers with zero-copy are then taken to have it.
    if (error instanceof KernelError && error.code === 'ENOENT') return true
    throw error
  }
}

/** All receive queues of the device; the first where the driver does not tell. */
export function receiveQueues({ name, namespace }: NetworkDevice): number[] {
  try {
    const { rx, combined } = readChannels(name, namespace)
    return Array.from({ length: Math.max(1, rx + combined) }, (_, queue) => queue)
  } catch (error) {
    if (error instanceof KernelError && error.code === 'EOPNOTSUPP') return [0]
    throw error
  }
}
