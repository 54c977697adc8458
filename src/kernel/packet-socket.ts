import { closeDescriptor, openDescriptor } from './descriptors.js'
import { checkRange, coverOver, type LinearMemory, mapOver, memoryAddress, type Opened } from './linear-memory.js'
import { type NetworkNamespace, withNamespace } from './namespace.js'
import { addressOf, ERRNO, syscall, trySyscall } from './syscall.js'

/**
 * Packet sockets (packet(7)) with a TPACKET_V3 receive ring in a linear memory
 * (linux/if_packet.h, Documentation/networking/packet_mmap.rst). The ring is a
 * row of blocks; the kernel fills one with packets of any length, and hands it
 * over when it is full or old enough:
 *
 *     block    header | packet | packet | …
 *     packet   header | padding | frame
 */

const AF_PACKET = 17
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0x80000
const SOCK_NONBLOCK = 0x800
const SOL_PACKET = 263
const ETH_P_ALL = 3
const TPACKET_V3 = 2
const OPTION = {
  addMembership: 1,
  receiveRing: 5,
  statistics: 6,
  version: 10,
  virtioHeader: 15,
  fanout: 18,
  qdiscBypass: 20,
  ignoreOutgoing: 23,
} as const
const PACKET_MR_PROMISC = 1
const FANOUT = { hash: 0, 'round-robin': 1, cpu: 2, random: 4, queue: 5 } as const
/** The kernel wants a size of frames too, though V3 has none; any divisor of the block does. */
const FRAME_BYTES = 2048

/** Byte offsets in the header of a block (struct tpacket_block_desc); each field is a u32. */
export const PACKET_BLOCK = {
  /** 0: the kernel's; bit 0 set: ours. We write 0 when we are done. */
  status: 8,
  packets: 12,
  /** From the block's start to its first packet. */
  firstPacket: 16,
} as const

/** Byte offsets in the header of a packet (struct tpacket3_hdr); u32 unless said. */
export const PACKET_HEADER = {
  /** To the next packet from this one. */
  next: 0,
  seconds: 4,
  nanoseconds: 8,
  captured: 12,
  /** Length on the wire, without a VLAN tag that was taken out. */
  length: 16,
  /** 0x8: the checksum is not filled in yet; 0x10: a VLAN tag was taken out, and stands in `vlan` and `vlanType`. */
  status: 20,
  /** u16: from this header to the frame, which begins at 2 past a multiple of 8. */
  frame: 24,
  flowHash: 28,
  /** u16 each; in the machine's byte order. */
  vlan: 32,
  vlanType: 36,
} as const

/** What a packet socket is to be. */
export interface PacketOptions {
  readonly memory: LinearMemory
  /** By default the thread's own. */
  readonly namespace?: NetworkNamespace
  readonly interfaceIndex: number
  /** Where blocks lie: on a page, each a power of two of whole pages. Without it the socket only sends. */
  readonly ring?: { readonly at: number; readonly blocks: number; readonly blockBytes: number }
  /** The kernel hands a block with a packet over after so long, also when it has room. By default 8. */
  readonly retireMs?: number
  /** What is sent goes past the device's queueing discipline. By default true. */
  readonly bypassesQueueing?: boolean
  /**
   * Each frame has a VNET_HEADER before it: those that are received have room
   * for it, those that are sent begin with it.
   */
  readonly hasVirtioHeader?: boolean
  /** Receives what is sent to other MAC addresses too. */
  readonly isPromiscuous?: boolean
  /** Shares the device's packets among all sockets that name this group (a u16). */
  readonly fanout?: { readonly group: number; readonly mode: keyof typeof FANOUT }
}

/** A bound packet socket, as plain numbers. */
export interface PacketSocket {
  readonly fd: number
  readonly interfaceIndex: number
  readonly ring: Required<PacketOptions>['ring'] | null
}

/** Packets since the last reading. */
export interface PacketStatistics {
  /** Those that came, lost ones among them. */
  readonly packets: number
  /** Lost because no block was free. */
  readonly drops: number
  /** How often the kernel had to stop because no block was free. */
  readonly freezes: number
}

/**
 * Opens a packet socket at a device: it receives each packet that enters the
 * kernel there (and not what leaves), and sends.
 * Throws RangeError for a ring that does not fit, and KernelError: EPERM
 * without CAP_NET_RAW, ENODEV.
 */
export function openPacketSocket(options: PacketOptions): Opened<PacketSocket> {
  const { memory, namespace, interfaceIndex, ring = null } = options
  const range = ring && { at: ring.at, lengthBytes: ring.blocks * ring.blockBytes }
  if (range) checkRange('the ring of a packet socket', memory, range)
  // Protocol 0 receives nothing until it is bound: otherwise packets of other devices would come first.
  const open = () =>
    openDescriptor('opening a packet socket', 'socket', AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
  const fd = namespace ? withNamespace(namespace, open) : open()
  let isMapped = false
  let isOpen = true
  const close = () => {
    if (!isOpen) return
    isOpen = false
    if (range && isMapped) coverOver(memory, range)
    closeDescriptor(fd)
  }
  try {
    if (options.bypassesQueueing ?? true) setOption(fd, 'sending past the queueing discipline', OPTION.qdiscBypass, 1)
    if (options.hasVirtioHeader === true) setOption(fd, 'a header before each frame', OPTION.virtioHeader, 1)
    if (ring && range) {
      makeRing(fd, ring, options.retireMs ?? 8)
      mapOver('mapping the ring of a packet socket into memory', memory, range, fd, 0)
      isMapped = true
    }
    bind(fd, interfaceIndex, ring ? ETH_P_ALL : 0)
    join(fd, options)
    return { socket: { fd, interfaceIndex, ring }, close }
  } catch (error) {
    close()
    throw error
  }
}

/** struct tpacket_req3: block bytes, blocks, frame bytes, frames, retire time in ms, private bytes, features. */
function makeRing(fd: number, { blocks, blockBytes }: Required<PacketOptions>['ring'], retireMs: number): void {
  setOption(fd, 'choosing TPACKET_V3', OPTION.version, TPACKET_V3)
  setOption(fd, 'not receiving what this machine sends', OPTION.ignoreOutgoing, 1)
  const frames = (blocks * blockBytes) / FRAME_BYTES
  const what = `making a ring of ${blocks} blocks of ${blockBytes} bytes`
  setOption(fd, what, OPTION.receiveRing, blockBytes, blocks, FRAME_BYTES, frames, retireMs, 0, 0)
}

/** struct sockaddr_ll: u16 family, u16 protocol in network order, i32 interface, 12 bytes for other uses. */
function bind(fd: number, interfaceIndex: number, protocol: number): void {
  const address = new DataView(new ArrayBuffer(20))
  address.setUint16(0, AF_PACKET, true)
  address.setUint16(2, protocol, false)
  address.setInt32(4, interfaceIndex, true)
  const what = `binding a packet socket to device ${interfaceIndex}`
  syscall(what, 'bind', fd, addressOf(address), address.byteLength)
}

function join(fd: number, { interfaceIndex, isPromiscuous, fanout }: PacketOptions): void {
  // struct packet_mreq: i32 interface, u16 type, u16 length of an address, 8 bytes of it.
  if (isPromiscuous === true)
    setOption(fd, 'receiving every MAC address', OPTION.addMembership, interfaceIndex, PACKET_MR_PROMISC, 0, 0)
  if (fanout !== undefined)
    setOption(fd, `joining fanout group ${fanout.group}`, OPTION.fanout, fanout.group | (FANOUT[fanout.mode] << 16))
}

/** What the kernel has counted since this was last asked (struct tpacket_stats_v3). Throws KernelError. */
export function readPacketStatistics(fd: number): PacketStatistics {
  // The length that getsockopt(2) reads and writes stands behind the value.
  const value = new Uint32Array([0, 0, 0, 12])
  const address = addressOf(value)
  const what = 'asking for the statistics of a packet socket'
  syscall(what, 'getsockopt', fd, SOL_PACKET, OPTION.statistics, address, address + 12n)
  return { packets: value[0]!, drops: value[1]!, freezes: value[2]! }
}

const MSG_DONTWAIT = 0x40
/** struct mmsghdr: struct msghdr of 56 bytes, with the iovec's address at 16 and their number at 24; u32 sent, padding. */
const MMSGHDR_BYTES = 64
const IOVEC_BYTES = 16

/** Sends many frames of a linear memory with one call. */
export interface PacketSender {
  /** Makes the frame at byte `at` the one to be sent as number `index`. EFAULT as `-errno` where it is not in the memory. */
  set(index: number, at: number, lengthBytes: number): number
  /**
   * Sends the first `count` frames and gives how many went, or `-errno` where
   * none did: ENOBUFS or EAGAIN where there is no room, ENETDOWN. Allocates nothing.
   */
  send(count: number): number
}

/** A sender for bundles of at most `most` frames through a packet socket: sendmmsg(2). */
export function createPacketSender(memory: LinearMemory, fd: number, most: number): PacketSender {
  const base = memoryAddress(memory)
  // Held, so that the memory stays where the vectors point while the sender lives.
  const bytes = new Uint8Array(memory.buffer)
  const messages = new BigUint64Array((most * MMSGHDR_BYTES) / 8)
  const vectors = new Uint32Array((most * IOVEC_BYTES) / 4)
  const [messagesAt, vectorsAt] = [addressOf(messages), addressOf(vectors)]
  for (let index = 0; index < most; index++) {
    messages[index * 8 + 2] = vectorsAt + BigInt(index * IOVEC_BYTES)
    messages[index * 8 + 3] = 1n
  }
  const address = Number(messagesAt)
  return {
    set(index, at, lengthBytes) {
      if (!(at >= 0 && lengthBytes >= 0 && at + lengthBytes <= bytes.length)) return -ERRNO.EFAULT
      const start = base + at
      vectors[index * 4] = start
      vectors[index * 4 + 1] = start / 2 ** 32
      vectors[index * 4 + 2] = lengthBytes
      return 0
    },
    send: (count) => trySyscall('sendmmsg', fd, address, Math.min(count, messages.length / 8), MSG_DONTWAIT),
  }
}

function setOption(fd: number, what: string, option: number, ...words: number[]): void {
  const value = new Int32Array(words)
  syscall(what, 'setsockopt', fd, SOL_PACKET, option, addressOf(value), value.byteLength)
}
