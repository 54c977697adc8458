import type { Device, DeviceStatistics } from '../engine/index.js'
import {
  createFrameIo,
  createPacketSender,
  type NetworkNamespace,
  openPacketSocket,
  type PacketOptions,
  readPacketStatistics,
  VNET_HEADER,
} from '../kernel/index.js'
import {
  BUNDLE_DESCRIPTORS,
  type Code,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  type FrameClass,
  MOST_IN_BUNDLE,
  type Space,
  type WorkerPool,
} from '../memory/index.js'
import { openInterfaceState } from './interface-state.js'
import {
  PACKET_RING_AT,
  PACKET_RING_BLOCK_BYTES,
  PACKET_RING_BLOCKS,
  PACKET_RING_BYTES,
  PACKET_RING_SCRATCH,
} from './packet-formats.js'
import { createSender, REFUSED, TOO_LONG } from './sender.js'
import { createSleep } from './sleep.js'
import { openStock } from './stock.js'
import { openTraffic } from './traffic.js'

export interface PacketDeviceOptions
  extends Pick<PacketOptions, 'interfaceIndex' | 'isPromiscuous' | 'fanout' | 'retireMs'> {
  /** What the engine calls it. */
  readonly name: string
  readonly namespace?: NetworkNamespace
  /** The receive ring: 16 blocks of 256 KiB where it is not said; a block's size is a power of two, 64 KiB or more. */
  readonly blocks?: number
  readonly blockBytes?: number
  /** The class that packets are copied into; by default 2048. */
  readonly frameBytes?: FrameClass
}

/** Packets that the kernel had no block for. */
const KERNEL_FULL = 'kernel ring full'
/** Blocks are mapped page by page. */
const PAGE_ALIGNMENT = 4096

/**
 * A packet socket at an interface: it receives what enters the kernel there,
 * also what the kernel then takes, from a TPACKET_V3 ring in the linear memory,
 * and sends past the queueing discipline. Each packet is copied once by the
 * kernel and, when received, once more into a frame; it is counted as copied.
 * VLAN tags that the kernel takes out are put back. Throws KernelError as
 * `openPacketSocket` does, and LayoutError.
 */
export function openPacketDevice(space: Space, code: Code, pool: WorkerPool, options: PacketDeviceOptions): Device {
  const { name, blocks = 16, blockBytes = 1 << 18, frameBytes = 2048, ...rest } = options
  const { words } = space
  const ring = openRing(space, name, blocks, blockBytes)
  const opened = openOver(ring, () =>
    openPacketSocket({ ...rest, memory: space.memory, ring: ring.place, hasVirtioHeader: true }),
  )
  const { fd, interfaceIndex } = opened.socket
  const io = createFrameIo(space.memory)
  const socket = { close: () => closeAll(opened, ring) }
  const state = openOver(socket, () => openInterfaceState(interfaceIndex, options.namespace))
  const withState = { close: () => closeAll(state, socket) }
  const traffic = openOver(withState, () => openTraffic(space, `packet ${name}`, [TOO_LONG, REFUSED]))
  const withTraffic = { close: () => closeAll(traffic, withState) }
  const stock = openOver(withTraffic, () => openStock(space, pool, `packet ${name} stock`, frameBytes))
  const sleep = createSleep(fd)
  const sender = createPacketSender(space.memory, fd, MOST_IN_BUNDLE)
  const [ready, receive] = [code.find('packetReady'), code.find('packetReceive')]
  const kernel = kernelDrops(fd)
  let isOpen = true

  const send = createSender(space, code, pool, traffic, traffic.drops(1), (bundle) => {
    const count = words[bundle >>> 2]!
    for (let index = 0; index < count; index++) {
      const word = (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) >>> 2
      const at = words[word + DESCRIPTOR_ADDRESS / 4]! - VNET_HEADER.bytes
      sender.set(index, at, words[word + DESCRIPTOR_CAPTURED / 4]! + VNET_HEADER.bytes)
    }
    return sender.send(count)
  })
  return {
    name,
    descriptor: fd,
    receive(bundle, most) {
      if (!isOpen) return 0
      const before = words[bundle >>> 2]!
      const wanted = Math.min(most, MOST_IN_BUNDLE - before)
      for (let done = 0; done < wanted && (ready(ring.address) as number) > 0 && stock.fill() > 0; ) {
        const left = wanted - done
        done += receive(
          ring.address,
          stock.bundle,
          frameBytes,
          bundle,
          left,
          traffic.address,
          traffic.drops(0),
        ) as number
      }
      return words[bundle >>> 2]! - before
    },
    send: (bundle) => (isOpen ? send(bundle) : 0),
    flush() {},
    isReady: () => isOpen && (ready(ring.address) as number) > 0,
    wait(timeoutMs) {
      if (!isOpen || (ready(ring.address) as number) > 0) return Promise.resolve()
      // An interface that went down leaves an error, which makes the socket look readable until it is read.
      io.read(fd, ring.address + PACKET_RING_SCRATCH, 1)
      return sleep.wait(timeoutMs)
    },
    state: state.read,
    statistics(): DeviceStatistics {
      const counted = traffic.statistics()
      return { ...counted, drops: { ...counted.drops, [KERNEL_FULL]: kernel.read() } }
    },
    close() {
      if (!isOpen) return
      kernel.close()
      isOpen = false
      sleep.close()
      state.close()
      opened.close()
      ring.close()
      stock.close()
      traffic.close()
    },
  }
}

/** Memory for the ring's blocks, and for where the device is in it. */
function openRing(space: Space, name: string, blocks: number, blockBytes: number) {
  const bytes = blocks * blockBytes
  const region = space.reserve({ name: `packet ${name} ring`, kind: 'ring', bytes, alignment: PAGE_ALIGNMENT })
  const state = space.reserve({ name: `packet ${name} place`, kind: 'state', bytes: PACKET_RING_BYTES })
  const { offset: address } = state
  space.words[(address + PACKET_RING_AT) / 4] = region.offset
  space.words[(address + PACKET_RING_BLOCKS) / 4] = blocks
  space.words[(address + PACKET_RING_BLOCK_BYTES) / 4] = blockBytes
  return {
    address,
    place: { at: region.offset, blocks, blockBytes },
    close() {
      space.free(region.name)
      space.free(state.name)
    },
  }
}

/** The kernel counts from one reading to the next, this from the begin. */
function kernelDrops(fd: number) {
  let drops = 0
  let isOpen = true
  const read = () => {
    if (isOpen) drops += readPacketStatistics(fd).drops
    return drops
  }
  return {
    read,
    close() {
      read()
      isOpen = false
    },
  }
}

/** What `open` opens on top of `below`, which is closed where that fails. */
function openOver<Result>(below: { close(): void }, open: () => Result): Result {
  try {
    return open()
  } catch (error) {
    below.close()
    throw error
  }
}

function closeAll(...parts: readonly { close(): void }[]): void {
  for (const part of parts) part.close()
}
