import type { Device } from '../src/engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  type Space,
  type WorkerPool,
} from '../src/memory/index.js'
import { access, get, set } from '../src/wasm/index.js'
import { openTape } from './tape.js'

const HEADER_BYTES = 32

/**
 * A device that has the same packets again and again, as a driver leaves them
 * in frames that it keeps: what stages have written into the first 32 bytes is
 * written anew. What is sent to it, it takes.
 */
export function openHeldSource(space: Space, pool: WorkerPool, packets: readonly Uint8Array[]): Device {
  const { words } = space
  const tape = openTape(space, 'held', holdPackets(space, pool, packets), LAY)
  let [received, sent] = [0, 0]
  return {
    name: 'held',
    receive(bundle, most) {
      const count = tape.ahead(most)
      tape.lay(bundle + BUNDLE_DESCRIPTORS, count)
      words[bundle >>> 2] = count
      received += count
      return count
    },
    send(bundle) {
      const count = words[bundle >>> 2]!
      words[bundle >>> 2] = 0
      sent += count
      return count
    },
    flush() {},
    isReady: () => true,
    wait: () => Promise.resolve(),
    statistics: () => ({
      receivedPackets: received,
      receivedBytes: 0,
      sentPackets: sent,
      sentBytes: 0,
      copiedPackets: 0,
      drops: {},
    }),
    close: () => tape.close(),
  }
}

/** Writes each packet into a frame of the pool. Of each: its descriptor, then its first 32 bytes. */
function holdPackets(space: Space, pool: WorkerPool, packets: readonly Uint8Array[]): Uint8Array[] {
  const { words, bytes } = space
  const held = space.reserve({ name: 'held', kind: 'bundle', bytes: 16 + packets.length * DESCRIPTOR_BYTES }).offset
  return packets.map((packet) => {
    words[held / 4] = 0
    if (pool.take(held, 1, 512) === 0) throw new Error(`the pool has no ${packets.length} frames of 512 bytes`)
    const address = words[(held + BUNDLE_DESCRIPTORS + DESCRIPTOR_ADDRESS) / 4]!
    bytes.set(packet, address)
    const entry = new Uint8Array(DESCRIPTOR_BYTES + HEADER_BYTES)
    const view = new DataView(entry.buffer)
    view.setUint32(DESCRIPTOR_ADDRESS, address, true)
    view.setUint32(DESCRIPTOR_WIRE, packet.length, true)
    view.setUint32(DESCRIPTOR_CAPTURED, packet.length, true)
    entry.set(packet.subarray(0, HEADER_BYTES), DESCRIPTOR_BYTES)
    return entry
  })
}

const copy = (base: 'to' | 'packet', offset: number, entryOffset: number) => [
  ...[get(base), get('from'), access('i64.load', entryOffset), access('i64.store', offset)],
]

const LAY = [
  ...copy('to', 0, 0),
  ...copy('to', 8, 8),
  ...[get('from'), access('i32.load', DESCRIPTOR_ADDRESS), set('packet')],
  ...[0, 8, 16, 24].flatMap((offset) => copy('packet', offset, DESCRIPTOR_BYTES + offset)),
]
