import type { Device, DeviceState } from '../engine/index.js'
import {
  ERRNO,
  type Opened,
  openXsk,
  openXskClaim,
  waitForGrants,
  wakeXskReceive,
  wakeXskTransmit,
  type XskClaim,
  type XskOptions,
  type XskRing,
  type XskRingOffsets,
  type XskRingPlace,
  type XskSocket,
  xskRingBytes,
} from '../kernel/index.js'
import { BUNDLE_BYTES, type Code, type Region, type Space, type WorkerPool } from '../memory/index.js'
import { createSleep } from './sleep.js'
import { openTraffic, type Traffic } from './traffic.js'
import {
  GIVEN_TO_RECEIVE,
  GIVEN_TO_SEND,
  XDP_BACK,
  XDP_BYTES,
  XDP_COMPLETION,
  XDP_COPIES,
  XDP_FILL,
  XDP_FRAME_BYTES,
  XDP_FRESH,
  XDP_GIVEN,
  XDP_OWED,
  XDP_PLACE_MASK,
  XDP_PLACE_OFFSET,
  XDP_POOL,
  XDP_RECEIVE,
  XDP_RING_CONSUMER,
  XDP_RING_ENTRIES,
  XDP_RING_INDEX,
  XDP_RING_MASK,
  XDP_RING_PRODUCER,
  XDP_RING_SEEN,
  XDP_SEND_BYTES,
  XDP_SEND_MASK,
  XDP_TRAFFIC,
  XDP_TRANSMIT,
  XDP_UNDER_WAY,
  XDP_UNIT_SHIFT,
} from './xdp-formats.js'
import { KERNEL_REASONS, openKernelLosses } from './xdp-losses.js'

/** One queue of a network device as the engine sees it. */
export interface XdpQueue extends Device {
  readonly queue: number
  /** What another queue shares the frames through; plain numbers. */
  readonly socket: XskSocket
  state(): DeviceState
}

/** What a queue is to be, with everything decided. */
export interface XdpQueueOptions
  extends Pick<XskOptions, 'interfaceIndex' | 'queue' | 'zeroCopy' | 'needWakeup'>,
    Partial<Pick<XskOptions, 'namespace'>> {
  readonly device: string
  /** Entries of each ring, a power of two, and frames that the kernel has to receive into. */
  readonly entries: number
  /** Whether packets begin at addresses that differ by cache lines, from frame to frame (unaligned mode). */
  readonly isStaggered: boolean
  /** The socket of another queue of the device; null for the first. */
  readonly sharesWith: XskSocket | null
  divert(queue: number, socketFd: number | null): void
  /** Where its counters lie, TRAFFIC_BYTES, when it is not to reserve some of its own. */
  readonly counters?: number
}

/** The kernel's own headroom before each packet (XDP_PACKET_HEADROOM). */
const KERNEL_HEADROOM = 256
/**
 * Added to it. Staggered: a chunk of 2048 bytes begins so far before the place
 * at which the pool puts the packet that the last of four staggers ends with
 * the frame; what lies before the frame is headroom, into which copy mode
 * writes nothing but metadata. Otherwise: 18 behind a line's begin, as the pool.
 */
const HEADROOM = { staggered: 82, aligned: 18 } as const

const RINGS = { fill: XDP_FILL, completion: XDP_COMPLETION, receive: XDP_RECEIVE, transmit: XDP_TRANSMIT } as const
/** Why a queue loses packets itself, in the order in which its counters stand behind TRAFFIC_DROPS (xdp.as.ts). */
const OWN_REASONS = ['too long', 'too short', 'unfinished'] as const
/** All that are counted there. */
export const XDP_REASONS = [...OWN_REASONS, ...KERNEL_REASONS] as const
/** Packets that the kernel sends a call in copy mode (TX_BATCH_SIZE of net/xdp/xsk.c). */
const PACKETS_A_WAKE = 32
const NEED_WAKEUP = 1
/** How long what lacks frames waits before it looks for some. */
const RETRY_MS = 2

/**
 * Opens a queue: its rings in the memory, its socket in the program's map, its
 * frames with the kernel. Throws KernelError as `openXsk` does, LayoutError,
 * and what `divert` throws; nothing stays behind then.
 */
export function openXdpQueue(space: Space, code: Code, pool: WorkerPool, options: XdpQueueOptions): XdpQueue {
  const { device, queue, divert } = options
  const name = `${device} queue ${queue}`
  const regions: string[] = []
  const reserve = (what: string, kind: Region['kind'], bytes: number, { alignment = 64, from = 0 } = {}) => {
    const region = space.reserve({ name: `xdp ${name} ${what}`, kind, bytes, alignment, from })
    regions.push(region.name)
    return region.offset
  }
  // The UMEM, from 0 on, holds the frames of all classes, so that each of them can be sent.
  const frames = Math.ceil(pool.framesEnd / PAGE_BYTES) * PAGE_BYTES
  let claim: XskClaim | null = null
  let opened: Opened<XskSocket> | null = null
  let traffic: Traffic | null = null
  try {
    claim = openXskClaim(space.memory, options)
    opened = openXsk(socketOptions(space, options, frames, reserve))
    traffic = openTraffic(space, `xdp ${name}`, XDP_REASONS, options.counters)
    const units = frames >>> XDP_UNIT_SHIFT
    const state = reserve('state', 'state', XDP_BYTES)
    const fields = {
      [XDP_POOL]: pool.address,
      [XDP_FRESH]: reserve('fresh', 'bundle', BUNDLE_BYTES),
      [XDP_GIVEN]: reserve('given', 'owners', units),
      [XDP_TRAFFIC]: traffic.address,
    }
    writeState(space, state, fields, opened.socket, options)
    divert(queue, opened.socket.fd)
    return runQueue(space, code, pool, { name, options, claim, opened, traffic, state, units, regions })
  } catch (error) {
    opened?.close()
    claim?.close()
    traffic?.close()
    for (const region of regions) space.free(region)
    throw error
  }
}

interface QueueParts {
  readonly name: string
  readonly options: XdpQueueOptions
  readonly claim: XskClaim
  readonly opened: Opened<XskSocket>
  readonly traffic: Traffic
  readonly state: number
  readonly units: number
  readonly regions: readonly string[]
}

function runQueue(space: Space, code: Code, pool: WorkerPool, parts: QueueParts): XdpQueue {
  const { name, options, opened, traffic, state, regions } = parts
  const { words } = space
  const { socket } = opened
  const { fd } = socket
  const [receive, send, reap] = [code.find('xdpReceive'), code.find('xdpSend'), code.find('xdpReap')]
  const provide = code.find('xdpProvide')
  const sleep = createSleep(fd)
  const underWay = (state + XDP_UNDER_WAY) / 4
  const [fillFlags, sendFlags] = [socket.fill.flags / 4, socket.transmit!.flags / 4]
  const produced = socket.receive!.producer / 4
  const consumed = (state + XDP_RECEIVE + XDP_RING_INDEX) / 4
  const owed = (state + XDP_OWED) / 4
  const [provided, filled] = [(state + XDP_FILL + XDP_RING_INDEX) / 4, socket.fill.consumer / 4]
  let isOpen = true
  let isGone = false
  /** Whether the device was down, or gone, at the last `flush`: then to try again soon is vain. */
  let isDown = false
  let last: ReturnType<typeof statistics> | null = null
  const losses = openKernelLosses(space, fd, traffic.drops(OWN_REASONS.length))
  const statistics = () => {
    losses.look()
    return traffic.statistics()
  }
  /** Whoever found the fill ring empty does not look again by himself. */
  const wakeForFrames = () => {
    if ((words[fillFlags]! & NEED_WAKEUP) === 0 || Atomics.load(words, filled) === words[provided]) return
    wakeXskReceive(fd)
  }
  /** Whether the kernel lacks frames that the pool has by now. */
  const canProvide = () => words[owed]! > 0 && pool.hasFree(XDP_FRAME_BYTES)
  const [queued, taken] = [(state + XDP_TRANSMIT + XDP_RING_INDEX) / 4, socket.transmit!.consumer / 4]
  const wantsWake = () => !socket.needsWakeup || (words[sendFlags]! & NEED_WAKEUP) !== 0
  while ((provide(state) as number) > 0) {}
  return {
    name,
    queue: options.queue,
    socket,
    descriptor: fd,
    receive(bundle, most) {
      if (!isOpen) return 0
      const count = receive(state, bundle, most) as number
      wakeForFrames()
      losses.round()
      return count
    },
    send: (bundle) => (isOpen ? (send(state, bundle) as number) : 0),
    flush() {
      if (!isOpen || words[underWay] === 0) return
      for (let left = words[underWay]!; left > 0 && wantsWake(); left -= PACKETS_A_WAKE) {
        const result = wakeXskTransmit(fd)
        isDown = result === -ERRNO.ENETDOWN || result === -ERRNO.ENXIO
        reap(state)
        if (result !== -ERRNO.EAGAIN) break
      }
      reap(state)
    },
    slots: options.entries,
    pending() {
      if (!isOpen) return 0
      reap(state)
      return words[underWay]!
    },
    isHeldUp: () => isOpen && !isDown && Atomics.load(words, taken) !== words[queued],
    isReady() {
      if (!isOpen) return false
      if (Atomics.load(words, produced) !== words[consumed] || canProvide()) return true
      wakeForFrames()
      return false
    },
    wait(timeoutMs) {
      if (!isOpen || canProvide()) return Promise.resolve()
      losses.look()
      // Nobody says when frames come back to the pool.
      return sleep.wait(words[owed]! > 0 ? Math.min(timeoutMs, RETRY_MS) : timeoutMs, isGone)
    },
    statistics: () => last ?? statistics(),
    state() {
      if (!isOpen) return 'closed'
      const result = isGone ? -ERRNO.ENXIO : wakeXskReceive(fd)
      isGone = result === -ERRNO.ENXIO
      if (isGone) return 'gone'
      return result === -ERRNO.ENETDOWN ? 'down' : 'up'
    },
    close() {
      if (!isOpen) return
      isOpen = false
      last = statistics()
      sleep.close()
      options.divert(options.queue, null)
      reap(state)
      endQueue(space, code, pool, parts)
      traffic.close()
      for (const region of regions) space.free(region)
    },
  }
}

/**
 * Closes the socket. What the kernel copies out of and into is free then, except
 * packets that are under way, which may have been made of the frames themselves.
 * With zero-copy nothing is, until the driver has been told. What is not free
 * stays the kernel's until it lets go of the queue.
 */
function endQueue(
  { words, bytes }: Space,
  code: Code,
  pool: WorkerPool,
  { name, opened, claim, state, units }: QueueParts,
): void {
  const least = opened.socket.isZeroCopy ? GIVEN_TO_RECEIVE : GIVEN_TO_SEND
  if (!opened.socket.isZeroCopy) code.find('xdpTakeBack')(state)
  opened.close()
  code.find('xdpReclaim')(state, units, least)
  const given = words[(state + XDP_GIVEN) / 4]!
  const held: number[] = []
  for (let unit = 0; unit < units; unit++) if (bytes[given + unit] !== 0) held.push(unit << XDP_UNIT_SHIFT)
  if (held.length === 0) claim.close()
  else {
    // Nobody waits for this one, and to go on without those frames is better than to end.
    waitForGrants([claim])
      .then(pool.holdForKernel(held))
      .catch((error: Error) =>
        process.emitWarning(`${held.length} frames of ${name} stay the kernel's: ${error.message}`),
      )
  }
}

/** What the kernel's chunks and rings begin on; it pins whole pages. */
const PAGE_BYTES = 4096

function socketOptions(
  space: Space,
  options: XdpQueueOptions,
  lengthBytes: number,
  reserve: (what: string, kind: Region['kind'], bytes: number, where: { alignment: number; from: number }) => number,
): XskOptions {
  const { device, interfaceIndex, queue, namespace, zeroCopy, needWakeup, sharesWith, entries, isStaggered } = options
  // Not in a gap between frames of two sizes, which the UMEM covers as well.
  const where = { alignment: PAGE_BYTES, from: lengthBytes }
  const place = (ring: XskRing): XskRingPlace => ({
    at: reserve(ring, 'ring', xskRingBytes(ring, entries), where),
    entries,
  })
  return {
    memory: space.memory,
    ...(namespace === undefined ? {} : { namespace }),
    interfaceIndex,
    device,
    queue,
    umem: sharesWith ?? {
      at: 0,
      lengthBytes,
      chunkBytes: XDP_FRAME_BYTES,
      headroomBytes: isStaggered ? HEADROOM.staggered : HEADROOM.aligned,
      isUnaligned: isStaggered,
    },
    rings: {
      fill: place('fill'),
      completion: place('completion'),
      receive: place('receive'),
      transmit: place('transmit'),
    },
    ...(zeroCopy === undefined ? {} : { zeroCopy }),
    ...(needWakeup === undefined ? {} : { needWakeup }),
  }
}

function writeState(
  { words }: Space,
  state: number,
  given: Readonly<Record<number, number>>,
  socket: XskSocket,
  { isStaggered, entries }: XdpQueueOptions,
): void {
  const start = KERNEL_HEADROOM + HEADROOM.aligned
  const fields = {
    ...given,
    [XDP_OWED]: entries,
    [XDP_PLACE_MASK]: isStaggered ? -1 : -XDP_FRAME_BYTES,
    [XDP_PLACE_OFFSET]: isStaggered ? 0 : start,
    [XDP_BACK]: isStaggered ? KERNEL_HEADROOM + HEADROOM.staggered : start,
    [XDP_SEND_BYTES]: XDP_FRAME_BYTES,
    [XDP_SEND_MASK]: isStaggered ? 0 : XDP_FRAME_BYTES - 1,
    [XDP_COPIES]: socket.isZeroCopy ? 0 : 1,
  }
  for (const [field, value] of Object.entries(fields)) words[(state + Number(field)) / 4] = value
  for (const [name, field] of Object.entries(RINGS)) writeRing(words, state + field, socket[name as XskRing]!)
}

function writeRing(words: Uint32Array, at: number, ring: XskRingOffsets): void {
  const isOurs = words[ring.producer / 4]!
  words[(at + XDP_RING_PRODUCER) / 4] = ring.producer
  words[(at + XDP_RING_CONSUMER) / 4] = ring.consumer
  words[(at + XDP_RING_ENTRIES) / 4] = ring.descriptors
  words[(at + XDP_RING_MASK) / 4] = ring.entries - 1
  words[(at + XDP_RING_INDEX) / 4] = isOurs
  words[(at + XDP_RING_SEEN) / 4] = isOurs
}
