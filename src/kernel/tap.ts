import { constants } from 'node:fs'
import { closeDescriptor, openDescriptor } from './descriptors.js'
import type { Opened } from './linear-memory.js'
import { type NetworkNamespace, withNamespace } from './namespace.js'
import { closeNetlink } from './netlink.js'
import { findLink, openRoute } from './rtnetlink.js'
import { addressOf, ERRNO, KernelError, syscall, trySyscall } from './syscall.js'

/** TAP devices: linux/if_tun.h, Documentation/networking/tuntap.rst. */

const AT_FDCWD = -100
const TUNSETIFF = 0x400454ca
const TUNSETOFFLOAD = 0x400454d0
const IFF = { tap: 0x2, noPacketInfo: 0x1000, vnetHeader: 0x4000, multiQueue: 0x100 } as const
const IFNAMSIZ = 16
const IFREQ_BYTES = 40

/** TUN_F_*: what may be handed to us; USO came with Linux 6.2. */
const OFFLOAD = { checksum: 0x1, tcp: 0x2 | 0x4 | 0x8, udp: 0x20 | 0x40 } as const

/**
 * struct virtio_net_hdr (linux/virtio_net.h), which stands before each frame:
 * byte offsets of its fields, in the machine's byte order. All zero says that
 * nothing is left to do. A frame at 2 past a multiple of 4, so that its IP
 * header is aligned, has its header at a multiple of 4.
 */
export const VNET_HEADER = {
  /** u8: 1 where the checksum from `checksumStart` on is to be filled in, 2 where it has been checked. */
  flags: 0,
  /** u8: 0 one packet, 1 TCP over IPv4, 4 TCP over IPv6, 5 UDP; with 0x80 where TCP has ECN bits. */
  segmentation: 1,
  /** u16: bytes of all headers, as a hint. */
  headerLength: 2,
  /** u16: payload bytes of each segment. */
  segmentBytes: 4,
  /** u16: where summing begins, and where from there the sum goes. */
  checksumStart: 6,
  checksumOffset: 8,
  bytes: 10,
} as const

/** What a TAP device is to be. */
export interface TapOptions {
  /** At most 15 bytes; `%d` becomes the first free number. By default `tap%d`. */
  readonly name?: string
  /** By default the thread's own. */
  readonly namespace?: NetworkNamespace
  /** By default one. */
  readonly queues?: number
  /**
   * The device may have more queues, each opened by whoever says so under the
   * same name, in any thread: the first makes it, the last that closes takes it away.
   */
  readonly isMultiQueue?: boolean
  /**
   * What the kernel may leave to whoever reads: nothing, checksums, or checksums
   * and the cutting of up to 64 KiB into packets. By default nothing.
   */
  readonly offloads?: 'none' | 'checksum' | 'segmentation'
}

/** A TAP device, as plain numbers. What is written to a queue, the device receives; what is read, it has sent. */
export interface TapSocket {
  /** One non-blocking descriptor for each queue, for `createFrameIo`; each frame has a VNET_HEADER before it. */
  readonly fds: readonly number[]
  readonly name: string
  readonly index: number
  readonly offloads: { readonly checksum: boolean; readonly tcp: boolean; readonly udp: boolean }
  /** The most that one read can bring, header included; with less room a frame is cut. For MTUs up to 9000. */
  readonly mostBytes: number
}

/**
 * Makes a TAP device, which is down and goes when it is closed or the process
 * ends. Throws KernelError: EPERM without CAP_NET_ADMIN, EBUSY where the name
 * is taken (EINVAL where only one of the two has several queues), ENOENT where the machine has no /dev/net/tun.
 */
export function openTap(options: TapOptions = {}): Opened<TapSocket> {
  const { namespace, queues = 1, isMultiQueue = queues > 1, offloads = 'none' } = options
  const fds: number[] = []
  let isOpen = true
  const close = () => {
    if (isOpen) fds.forEach(closeDescriptor)
    isOpen = false
  }
  try {
    let { name = 'tap%d' } = options
    for (let queue = 0; queue < queues; queue++) {
      const fd = namespace ? withNamespace(namespace, openTun) : openTun()
      fds.push(fd)
      name = attach(fd, name, isMultiQueue)
    }
    const route = openRoute(namespace)
    const { index } = findLink(route, name)
    closeNetlink(route)
    const got = setOffloads(fds[0]!, offloads)
    const mostBytes = VNET_HEADER.bytes + (got.tcp ? 65_536 + 14 : 9_000 + 18)
    return { socket: { fds, name, index, offloads: got, mostBytes }, close }
  } catch (error) {
    close()
    throw error
  }
}

/** The device is made in the namespace in which this is opened. */
function openTun(): number {
  const path = new TextEncoder().encode('/dev/net/tun\0')
  const flags = constants.O_RDWR | constants.O_NONBLOCK | 0o2000000
  return openDescriptor('opening /dev/net/tun', 'openat', AT_FDCWD, addressOf(path), flags)
}

/** Makes the device, or adds a queue to it, and gives its name. */
function attach(fd: number, name: string, isMultiQueue: boolean): string {
  const bytes = new TextEncoder().encode(name)
  if (bytes.length >= IFNAMSIZ) throw new RangeError(`"${name}" cannot be a device's name; it has over 15 bytes`)
  const ifreq = new Uint8Array(IFREQ_BYTES)
  ifreq.set(bytes)
  const flags = IFF.tap | IFF.noPacketInfo | IFF.vnetHeader | (isMultiQueue ? IFF.multiQueue : 0)
  new DataView(ifreq.buffer).setUint16(IFNAMSIZ, flags, true)
  syscall(`making the TAP device ${name}`, 'ioctl', fd, TUNSETIFF, addressOf(ifreq))
  return new TextDecoder().decode(ifreq.subarray(0, ifreq.indexOf(0)))
}

/** The most of what is wanted that this kernel has. */
function setOffloads(fd: number, wanted: Required<TapOptions>['offloads']): TapSocket['offloads'] {
  const { checksum, tcp, udp } = OFFLOAD
  const choices = { none: [0], checksum: [checksum], segmentation: [checksum | tcp | udp, checksum | tcp] }[wanted]
  for (const flags of choices) {
    const result = trySyscall('ioctl', fd, TUNSETOFFLOAD, flags)
    if (result === 0) return { checksum: flags > 0, tcp: (flags & tcp) !== 0, udp: (flags & udp) !== 0 }
    if (result !== -ERRNO.EINVAL) throw new KernelError('setting the offloads of a TAP device', -result)
  }
  throw new KernelError('setting the offloads of a TAP device', ERRNO.EINVAL)
}
