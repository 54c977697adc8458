import { closeDescriptor, openDescriptor } from './descriptors.js'
import {
  checkRange,
  coverOver,
  type LinearMemory,
  type MemoryRange,
  mapOver,
  memoryAddress,
  type Opened,
  wholePages,
} from './linear-memory.js'
import { type NetworkNamespace, withNamespace } from './namespace.js'
import { addressOf, ERRNO, KernelError, syscall, trySyscall } from './syscall.js'

/**
 * AF_XDP sockets (linux/if_xdp.h, Documentation/networking/af_xdp.rst) whose
 * frames and rings lie in one linear memory. Producer and consumer of a ring
 * count up and wrap at 2^32; entry `n` is at `n % entries`. Each side writes
 * its own: we produce to `fill` and `transmit`, and consume the others.
 *
 *     fill, completion     u64 address in the UMEM
 *     receive, transmit    u64 address | u32 length | u32 options
 */

const AF_XDP = 44
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0x80000
const SOL_XDP = 283

const XDP_MMAP_OFFSETS = 1
const XDP_UMEM_REG = 4
const XDP_STATISTICS = 7
const XDP_OPTIONS = 8
const XDP_OPTIONS_ZEROCOPY = 1
const XDP_UMEM_UNALIGNED_CHUNK_FLAG = 1

const BIND = { sharedUmem: 1, copy: 2, zeroCopy: 4, needWakeup: 8 } as const
const MSG_DONTWAIT = 0x40

export type XskRing = 'fill' | 'completion' | 'receive' | 'transmit'

/** The option that makes a ring, where it is mapped from, where its struct xdp_ring_offset is, and bytes of an entry. */
const RINGS: Readonly<Record<XskRing, { option: number; page: number; offsetsAt: number; entryBytes: number }>> = {
  receive: { option: 2, page: 0, offsetsAt: 0, entryBytes: 16 },
  transmit: { option: 3, page: 0x80000000, offsetsAt: 32, entryBytes: 16 },
  fill: { option: 5, page: 0x100000000, offsetsAt: 64, entryBytes: 8 },
  completion: { option: 6, page: 0x180000000, offsetsAt: 96, entryBytes: 8 },
}
/** Producer, consumer, flags and padding before the entries: six cache lines, less than this. */
const RING_HEADER_BYTES = 512

/** A queue that was just let go of is free again when the kernel has finished with it, about 45 ms later. */
const BUSY_MS = 500
const BUSY_STEP_MS = 5

/**
 * The frames: a part of the memory that starts on a page. Addresses in rings
 * count from `at`, so with 0 they are addresses in the memory.
 */
export interface XskUmem extends MemoryRange {
  /** 2048 or 4096; with `isUnaligned` any number from 2048 to a page. */
  readonly chunkBytes: number
  /** Bytes that stay free before each packet, beside the 256 that the kernel leaves. */
  readonly headroomBytes: number
  /**
   * Chunks may begin anywhere, so that headers can be staggered. A received
   * descriptor then has the chunk's address in its low 48 bits, and in the
   * high 16 what has to be added for the packet's.
   */
  readonly isUnaligned?: boolean
}

/** Where a ring is to be mapped: a page's start, with room for `xskRingBytes`. `entries` is a power of two. */
export interface XskRingPlace {
  readonly at: number
  readonly entries: number
}

/** Byte offsets in the linear memory of a ring's 32-bit words and of its first entry. */
export interface XskRingOffsets {
  readonly producer: number
  readonly consumer: number
  /** Bit 0 is set where the kernel wants to be woken (XDP_RING_NEED_WAKEUP). */
  readonly flags: number
  readonly descriptors: number
  readonly entries: number
}

/** What an AF_XDP socket is to be. */
export interface XskOptions {
  readonly memory: LinearMemory
  /** The device's; by default the thread's own. */
  readonly namespace?: NetworkNamespace
  readonly interfaceIndex: number
  /** What errors call the device; its number where it is not said. */
  readonly device?: string
  readonly queue: number
  /** New frames, or an open socket whose frames (and copy mode, and wake-ups) this one shares. */
  readonly umem: XskUmem | XskSocket
  /** At least one of receive and transmit. */
  readonly rings: {
    readonly fill: XskRingPlace
    readonly completion: XskRingPlace
    readonly receive?: XskRingPlace
    readonly transmit?: XskRingPlace
  }
  /** `try` takes copy mode where the driver has no zero-copy, and `require` throws there. By default `try`. */
  readonly zeroCopy?: 'never' | 'try' | 'require'
  /** The kernel says in a ring's flags when it wants to be woken, instead of being woken each time. By default true. */
  readonly needWakeup?: boolean
}

/** A bound socket, as plain numbers: any thread with the memory can work on it. */
export interface XskSocket {
  readonly fd: number
  readonly interfaceIndex: number
  readonly queue: number
  readonly umem: XskUmem
  /** Whether the driver puts packets into the frames itself; false: the kernel copies them. */
  readonly isZeroCopy: boolean
  readonly needsWakeup: boolean
  readonly fill: XskRingOffsets
  readonly completion: XskRingOffsets
  readonly receive: XskRingOffsets | null
  readonly transmit: XskRingOffsets | null
}

/** What the kernel counted (struct xdp_statistics); packets but for `transmitEmpty`. */
export interface XskStatistics {
  readonly receiveDropped: number
  readonly receiveInvalid: number
  readonly transmitInvalid: number
  /** Lost because the receive ring was full. */
  readonly receiveRingFull: number
  /** Lost because the fill ring had no frame. */
  readonly fillRingEmpty: number
  /** How often the kernel looked for something to send and found nothing. */
  readonly transmitEmpty: number
}

/** Bytes to keep free for a ring, whole pages. */
export function xskRingBytes(ring: XskRing, entries: number): number {
  return wholePages(RING_HEADER_BYTES + entries * RINGS[ring].entryBytes)
}

/**
 * Opens a socket and binds it to a queue of a device; packets come once its
 * `fd` is in an XSKMAP and frames in `fill`. A queue that was let go of a
 * moment ago is waited for, at most half a second. Throws RangeError for places
 * that do not fit, and KernelError: EBUSY where the queue has a socket already,
 * EINVAL where the device has no such queue, ENOBUFS where the frames are more
 * than may be locked (ulimit -l), EOPNOTSUPP without zero-copy where it is required.
 */
export function openXsk(options: XskOptions): Opened<XskSocket> {
  const { memory, namespace, umem } = options
  const places = Object.entries(options.rings) as [XskRing, XskRingPlace][]
  checkPlaces(options, places)
  const fd = namespace ? withNamespace(namespace, openXskSocket) : openXskSocket()
  const mapped: MemoryRange[] = []
  let isOpen = true
  const close = () => {
    if (!isOpen) return
    isOpen = false
    // A ring that is mapped holds the socket open, and with it the queue.
    for (const range of mapped) coverOver(memory, range)
    closeDescriptor(fd)
  }
  try {
    if (!('fd' in umem)) registerXskUmem(fd, memory, umem)
    const rings = mapRings(fd, memory, places, mapped)
    bind(fd, options)
    return { socket: describe(fd, options, rings), close }
  } catch (error) {
    close()
    throw error
  }
}

/** An AF_XDP socket in the thread's namespace that is nothing yet. Throws KernelError. */
export function openXskSocket(): number {
  return openDescriptor('opening an AF_XDP socket', 'socket', AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)
}

function checkPlaces({ memory, umem }: XskOptions, places: readonly [XskRing, XskRingPlace][]): void {
  const frames = 'fd' in umem ? umem.umem : umem
  checkRange('the UMEM', memory, frames)
  const taken: MemoryRange[] = [frames]
  for (const [ring, { at, entries }] of places) {
    if (!Number.isInteger(Math.log2(entries)))
      throw new RangeError(`the ${ring} ring cannot have ${entries} entries: give it a power of two`)
    const range = { at, lengthBytes: xskRingBytes(ring, entries) }
    checkRange(`the ${ring} ring`, memory, range)
    if (taken.some((other) => at < other.at + other.lengthBytes && other.at < at + range.lengthBytes))
      throw new RangeError(`the ${ring} ring at byte ${at} lies over the UMEM or another ring: move it`)
    taken.push(range)
  }
}

/**
 * Registers frames. Throws KernelError.
 *
 * struct xdp_umem_reg: u64 address, u64 length, u32 chunk, u32 headroom, u32 flags, u32 length of transmit metadata.
 */
export function registerXskUmem(fd: number, memory: LinearMemory, umem: XskUmem): void {
  const view = new DataView(new ArrayBuffer(32))
  view.setBigUint64(0, BigInt(memoryAddress(memory) + umem.at), true)
  view.setBigUint64(8, BigInt(umem.lengthBytes), true)
  view.setUint32(16, umem.chunkBytes, true)
  view.setUint32(20, umem.headroomBytes, true)
  view.setUint32(24, umem.isUnaligned === true ? XDP_UMEM_UNALIGNED_CHUNK_FLAG : 0, true)
  setOption(fd, `registering ${umem.lengthBytes} bytes of frames of ${umem.chunkBytes} bytes`, XDP_UMEM_REG, view)
}

function mapRings(
  fd: number,
  memory: LinearMemory,
  places: readonly [XskRing, XskRingPlace][],
  mapped: MemoryRange[],
): Partial<Record<XskRing, XskRingOffsets>> {
  for (const [ring, { entries }] of places) makeXskRing(fd, ring, entries)
  const offsets = getOption(fd, 'asking for the layout of rings', XDP_MMAP_OFFSETS, 128)
  const rings: Partial<Record<XskRing, XskRingOffsets>> = {}
  for (const [ring, { at, entries }] of places) {
    const { page, offsetsAt, entryBytes } = RINGS[ring]
    // struct xdp_ring_offset: u64 producer, consumer, descriptors, flags.
    const [producer, consumer, descriptors, flags] = [0, 8, 16, 24].map((n) => offsets.getUint32(offsetsAt + n, true))
    const range = { at, lengthBytes: descriptors + entries * entryBytes }
    if (range.lengthBytes > xskRingBytes(ring, entries))
      throw new RangeError(
        `this kernel lays the ${ring} ring out in ${range.lengthBytes} bytes, more than was kept free`,
      )
    mapOver(`mapping the ${ring} ring into memory`, memory, range, fd, page)
    mapped.push(range)
    rings[ring] = {
      producer: at + producer,
      consumer: at + consumer,
      flags: at + flags,
      descriptors: at + descriptors,
      entries,
    }
  }
  return rings
}

/** Makes a ring of so many entries, a power of two. Throws KernelError. */
export function makeXskRing(fd: number, ring: XskRing, entries: number): void {
  setOption(fd, `making a ${ring} ring of ${entries} entries`, RINGS[ring].option, new Uint32Array([entries]))
}

/**
 * Binds a socket to a queue; gives 0 or `-errno`.
 *
 * struct sockaddr_xdp: u16 family, u16 flags, u32 interface, u32 queue, u32 descriptor of the socket to share with.
 */
export function tryBindXsk(
  fd: number,
  options: Pick<XskOptions, 'interfaceIndex' | 'queue' | 'zeroCopy' | 'needWakeup'>,
  sharedWithFd: number | null = null,
): number {
  const { interfaceIndex, queue, zeroCopy = 'try', needWakeup = true } = options
  const copyFlag = { never: BIND.copy, try: 0, require: BIND.zeroCopy }[zeroCopy]
  const flags = sharedWithFd === null ? copyFlag | (needWakeup ? BIND.needWakeup : 0) : BIND.sharedUmem
  const address = new DataView(new ArrayBuffer(16))
  address.setUint16(0, AF_XDP, true)
  address.setUint16(2, flags, true)
  address.setUint32(4, interfaceIndex, true)
  address.setUint32(8, queue, true)
  address.setUint32(12, sharedWithFd ?? 0, true)
  return trySyscall('bind', fd, addressOf(address), address.byteLength)
}

function bind(fd: number, options: XskOptions): void {
  const { interfaceIndex, queue, umem, device = `device ${interfaceIndex}` } = options
  const deadline = performance.now() + BUSY_MS
  for (;;) {
    const result = tryBindXsk(fd, options, 'fd' in umem ? umem.fd : null)
    if (result === 0) return
    if (result !== -ERRNO.EBUSY || performance.now() > deadline)
      throw new KernelError(`binding an AF_XDP socket to queue ${queue} of ${device}`, -result)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_STEP_MS)
  }
}

function describe(fd: number, options: XskOptions, rings: Partial<Record<XskRing, XskRingOffsets>>): XskSocket {
  const { interfaceIndex, queue, umem, needWakeup = true } = options
  const got = getOption(fd, 'asking for the mode of an AF_XDP socket', XDP_OPTIONS, 4).getUint32(0, true)
  return {
    fd,
    interfaceIndex,
    queue,
    umem: 'fd' in umem ? umem.umem : umem,
    isZeroCopy: (got & XDP_OPTIONS_ZEROCOPY) !== 0,
    needsWakeup: 'fd' in umem ? umem.needsWakeup : needWakeup,
    fill: rings.fill!,
    completion: rings.completion!,
    receive: rings.receive ?? null,
    transmit: rings.transmit ?? null,
  }
}

/**
 * Has the driver take new frames from the fill ring, where the ring's flags
 * ask for it. Gives 0 or `-errno`, and allocates nothing.
 */
export function wakeXskReceive(fd: number): number {
  return trySyscall('recvfrom', fd, 0, 0, MSG_DONTWAIT, 0, 0)
}

/**
 * Has the kernel send what is in the transmit ring; in copy mode this sends a
 * burst itself, and EAGAIN says that there is more. Gives 0 or `-errno`: EAGAIN,
 * EBUSY and ENOBUFS mean again later, ENETDOWN and ENXIO that the device is
 * down or gone. Allocates nothing.
 */
export function wakeXskTransmit(fd: number): number {
  return trySyscall('sendto', fd, 0, 0, MSG_DONTWAIT, 0, 0)
}

/** What the kernel has counted since the socket was opened. Throws KernelError. */
export function readXskStatistics(fd: number): XskStatistics {
  const view = getOption(fd, 'asking for the statistics of an AF_XDP socket', XDP_STATISTICS, 48)
  const count = (index: number) => Number(view.getBigUint64(index * 8, true))
  return {
    receiveDropped: count(0),
    receiveInvalid: count(1),
    transmitInvalid: count(2),
    receiveRingFull: count(3),
    fillRingEmpty: count(4),
    transmitEmpty: count(5),
  }
}

function setOption(fd: number, what: string, option: number, value: ArrayBufferView): void {
  syscall(what, 'setsockopt', fd, SOL_XDP, option, addressOf(value), value.byteLength)
}

function getOption(fd: number, what: string, option: number, lengthBytes: number): DataView {
  // The length that getsockopt(2) reads and writes stands behind the value.
  const value = new DataView(new ArrayBuffer(lengthBytes + 4))
  value.setUint32(lengthBytes, lengthBytes, true)
  const address = addressOf(value)
  syscall(what, 'getsockopt', fd, SOL_XDP, option, address, address + BigInt(lengthBytes))
  return value
}
