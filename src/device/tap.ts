import type { Device } from '../engine/index.js'
import { createFrameIo, ERRNO, openTap, type TapOptions, VNET_HEADER } from '../kernel/index.js'
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
import { createSender, REFUSED, TOO_LONG } from './sender.js'
import { createSleep } from './sleep.js'
import { openStock } from './stock.js'
import { openTraffic } from './traffic.js'

export interface TapDeviceOptions extends Pick<TapOptions, 'name' | 'namespace' | 'offloads' | 'isMultiQueue'> {
  /** Of a device with several: the number by which the engine calls this one, `tap0 queue 1`. */
  readonly queue?: number
  /**
   * The class that packets are read into: 2048 is enough for an MTU of 1500,
   * 4096 for one of 3400. By default 2048, and 65536 where the kernel may leave
   * the cutting into segments to us.
   */
  readonly frameBytes?: FrameClass
}

/** A TAP device, or one of its queues, as the engine sees it; the kernel's side is an interface. */
export interface TapDevice extends Device {
  readonly interfaceIndex: number
  readonly interfaceName: string
}

/**
 * Makes a TAP device, which is down: what is sent to it, the kernel receives
 * there, and what the kernel sends there, it receives. Each packet is copied
 * once by the kernel, and is counted so. Packets may be sent with
 * FLAG_CHECKSUM_MISSING and with segments to be cut, and are received so where
 * `offloads` allows it (tuntap.rst, linux/virtio_net.h). Throws KernelError as `openTap` does, and LayoutError.
 */
export function openTapDevice(space: Space, code: Code, pool: WorkerPool, options: TapDeviceOptions = {}): TapDevice {
  const { words, counters } = space
  const { frameBytes = options.offloads === 'segmentation' ? 65536 : 2048 } = options
  const opened = openTap(options)
  const { index: interfaceIndex, fds } = opened.socket
  const name = options.queue === undefined ? opened.socket.name : `${opened.socket.name} queue ${options.queue}`
  const fd = fds[0]!
  const io = createFrameIo(space.memory)
  const traffic = openTraffic(space, `tap ${name}`, [TOO_LONG, REFUSED])
  const stock = openStock(space, pool, `tap ${name} stock`, frameBytes)
  const sleep = createSleep(fd)
  const state = openInterfaceState(interfaceIndex, options.namespace)
  const arrived = code.find('tapArrived')
  let isOpen = true
  let isGone = false

  /** Reads a packet into the last frame of the stock; false where there is none. */
  function receiveOne(bundle: number): boolean {
    const left = stock.fill()
    if (left === 0) return false
    const descriptor = stock.bundle + BUNDLE_DESCRIPTORS + (left - 1) * DESCRIPTOR_BYTES
    const at = words[(descriptor + DESCRIPTOR_ADDRESS) >>> 2]!
    const room = pool.room(at)
    const result = io.read(fd, at - VNET_HEADER.bytes, room + VNET_HEADER.bytes)
    if (result <= VNET_HEADER.bytes) {
      isGone = result === -ERRNO.EBADFD
      return false
    }
    // What fills the frame may have been cut.
    if (result === room + VNET_HEADER.bytes) {
      counters[traffic.drops(0) >>> 3]! += 1
      return true
    }
    words[stock.bundle >>> 2] = left - 1
    arrived(descriptor, result - VNET_HEADER.bytes, bundle, traffic.address)
    return true
  }

  const send = createSender(space, code, pool, traffic, traffic.drops(1), (bundle) => {
    const count = words[bundle >>> 2]!
    for (let index = 0; index < count; index++) {
      const word = (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) >>> 2
      const at = words[word + DESCRIPTOR_ADDRESS / 4]! - VNET_HEADER.bytes
      const result = io.write(fd, at, words[word + DESCRIPTOR_CAPTURED / 4]! + VNET_HEADER.bytes)
      if (result < 0) return index || result
    }
    return count
  })
  return {
    name,
    interfaceIndex,
    interfaceName: opened.socket.name,
    descriptor: fd,
    receive(bundle, most) {
      if (!isOpen) return 0
      const before = words[bundle >>> 2]!
      const until = Math.min(MOST_IN_BUNDLE, before + most)
      while (words[bundle >>> 2]! < until && receiveOne(bundle)) {}
      return words[bundle >>> 2]! - before
    },
    send: (bundle) => (isOpen ? send(bundle) : 0),
    flush() {},
    isReady: () => isOpen && !isGone && sleep.isReady(),
    wait: (timeoutMs) => (isOpen ? sleep.wait(timeoutMs, isGone) : Promise.resolve()),
    statistics: traffic.statistics,
    state: state.read,
    close() {
      if (!isOpen) return
      isOpen = false
      sleep.close()
      state.close()
      opened.close()
      stock.close()
      traffic.close()
    },
  }
}

export interface TapQueuesOptions extends Omit<TapDeviceOptions, 'isMultiQueue' | 'queue'> {
  readonly queues: number
}

/**
 * Makes a TAP device with several queues (IFF_MULTI_QUEUE), a device of the
 * engine each: the kernel shares flows out to them, and answers a flow at the
 * queue that it came from last. Whatever is sent to one of them, the kernel
 * receives at the one interface. It goes with the last queue. Throws as `openTapDevice` does.
 */
export function openTapQueues(
  space: Space,
  code: Code,
  pool: WorkerPool,
  { queues, ...options }: TapQueuesOptions,
): readonly TapDevice[] {
  const opened: TapDevice[] = []
  try {
    for (let queue = 0; queue < queues; queue++) {
      const name = opened[0]?.interfaceName ?? options.name
      const named = name === undefined ? {} : { name }
      opened.push(openTapDevice(space, code, pool, { ...options, ...named, isMultiQueue: true, queue }))
    }
    return opened
  } catch (error) {
    for (const device of opened) device.close()
    throw error
  }
}
