import { type NetworkDevice, receiveQueues } from '../../device/index.js'
import { fragmentsBytes, WAITING_FRAGMENTS } from '../../flow/index.js'
import { BUNDLE_BYTES, createPool, createSpace, DESCRIPTOR_BYTES, loadCode } from '../../memory/index.js'
import { openRoutes, type RoutesOptions, routesBytes } from '../../route/index.js'
import { fifo, mostPackets } from '../../transmit/index.js'
import { DeviceError } from '../device.js'
import type { PortSockets, RouterPort } from './port.js'
import type { RouterOptions } from './router.js'
import { flowsOfEach, type RouterSettings } from './router-plan.js'

const FRAMES_AN_ENTRY = 2.5
const FRAME_BYTES = 2048
const OTHER_BYTES = 16 << 20
/** What addresses of 32 bits reach. */
const MOST_BYTES = 2 ** 32
/** For the stages of a worker, beside its rings and flows, and for those of each way from one port to another. */
const PART_BYTES = 2 << 20
const WAY_BYTES = 48 << 10
/** Of the four rings of a queue. */
const RING_BYTES_AN_ENTRY = 64
/** Of each ring of a queue, and of those of all queues together where there are many. */
const ENTRIES = { most: 2048, least: 512, together: 32_768 }
/** What a queue notes of each frame that the kernel may have. */
const NOTED_BYTES_A_FRAME = 8
/** Of an output to another worker, with its share of a ring's ends. */
const OUTPUT_BYTES = BUNDLE_BYTES + 512
/** What a flow takes, with its share of a table that is half empty. */
const FLOW_MOST_BYTES = 256

/** Packets that may wait before a port, and their share of what keeps them. */
const QUEUE_BYTES = 1 << 20

/** Packets that wait for a worker at most, of all others together. */
const HANDED_OVER = 2048
const LEAST_SLOTS = 128
/** Packets that others have for the queue before a port. */
export const SHARED_SLOTS = 1024
/** A descriptor, and the mark that a queue of several producers has beside it. */
const SLOT_BYTES = DESCRIPTOR_BYTES + 8

/** For a full table of the Internet and as much again; for some thousand routes. */
export const TABLES = {
  large: {
    v4: { rootBits: 24, nodes: 16_384, routes: 1 << 20 },
    v6: { rootBits: 16, nodes: 131_072, routes: 1 << 18 },
    nextHops: 8192,
    groups: 1024,
  },
  small: {
    v4: { rootBits: 16, nodes: 1024, routes: 4096 },
    v6: { rootBits: 16, nodes: 1024, routes: 1024 },
    nextHops: 512,
    groups: 16,
  },
} as const satisfies Readonly<Record<string, RoutesOptions>>

/**
 * Entries of each ring where nobody has said how many. The kernel notes all
 * frames for every socket by itself, some 136 bytes each: with the frames of
 * 128 queues of 2,048 entries that would be 11 GB, and ten seconds at the start.
 */
export function entriesFor(devices: readonly NetworkDevice[]): number {
  const queues = devices.reduce((sum, device) => sum + receiveQueues(device).length, 0)
  const share = 2 ** Math.floor(Math.log2(ENTRIES.together / queues))
  return Math.min(ENTRIES.most, Math.max(ENTRIES.least, share))
}

/**
 * Makes the memory of a router with these ports, its tables and the pool of its
 * frames; `part` is what each worker has of it. Throws DeviceError where it would be too much.
 */
export function openMemory(options: RouterOptions, ports: readonly RouterPort[]) {
  const { devices, queue, track = 0, profile = 'large', tables } = options
  const threads = Math.max(1, options.workers ?? 1)
  const sockets = ports.map((port) => port.sockets)
  const entries = sockets.reduce((sum, port) => sum + port.queues.length * port.entries, 0)
  const waiting = queue === undefined ? 0 : devices.length * mostPackets(queue.discipline ?? fifo())
  const toOthers = track === 0 ? 0 : threads * (threads - 1) * ringSlots(threads)
  const handedOver = toOthers + (queue === undefined || threads === 1 ? 0 : devices.length * SHARED_SLOTS)
  const gathered = track === 0 ? 0 : threads * WAITING_FRAGMENTS
  const frames = Math.ceil((entries * FRAMES_AN_ENTRY + waiting + handedOver + gathered) / 256) * 256
  const sizes = { ...TABLES[profile], ...tables, ports: devices.length }
  const part = partBytes({ ports: sockets, track, ...(queue && { queue }) }, threads, frames)
  const bytes = frames * FRAME_BYTES + routesBytes(sizes) + threads * part + handedOver * SLOT_BYTES + OTHER_BYTES
  if (bytes > MOST_BYTES)
    throw new DeviceError(
      `this router would take ${(bytes / 2 ** 30).toFixed(1)} GiB of memory, and one can have 4; track fewer connections`,
    )
  const space = createSpace(bytes)
  const code = loadCode(space)
  const pool = createPool(space, code, { 2048: frames })
  return { space, code, pool, part, tables: openRoutes(space, code, 'router', sizes) }
}

/** Packets that a ring from one of so many workers to another holds. */
export function ringSlots(workers: number): number {
  return Math.max(LEAST_SLOTS, 2 ** Math.ceil(Math.log2(HANDED_OVER / Math.max(1, workers - 1))))
}

/** Memory of one of so many workers, where the pool has so many frames. */
export function partBytes(
  { ports, track, queue }: Pick<RouterSettings, 'track' | 'queue'> & { readonly ports: readonly PortSockets[] },
  workers: number,
  frames: number,
): number {
  const own = ports.map(({ queues, entries }) => ({ queues: Math.ceil(queues.length / workers), entries }))
  const sockets = own.reduce(
    (sum, { queues, entries }) => sum + queues * (entries * RING_BYTES_AN_ENTRY + frames * NOTED_BYTES_A_FRAME),
    0,
  )
  const queues = queue === undefined ? 0 : ports.length * QUEUE_BYTES
  // By `owner` and by `track`.
  const toOthers = track === 0 ? 0 : 2 * ports.length * workers * OUTPUT_BYTES
  const gathered = track === 0 ? 0 : fragmentsBytes()
  const ways = ports.length ** 2 * WAY_BYTES
  return PART_BYTES + ways + toOthers + gathered + sockets + flowsOfEach(track, workers) * FLOW_MOST_BYTES + queues
}
