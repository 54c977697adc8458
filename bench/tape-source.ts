import type { Device } from '../src/engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  type Space,
  type WorkerPool,
} from '../src/memory/index.js'
import { access, get, i32, set } from '../src/wasm/index.js'
import { openTape } from './tape.js'

/** Of each packet: 64 bytes on the wire without their checksum, and what fills its place up. */
const PACKET_BYTES = 60
const PLACE_BYTES = 64

/**
 * A device that always has packets, as many as the pool has frames: the given
 * ones in turn, each written anew into a frame of the pool, as a driver that
 * copies does it.
 */
export function openTapeSource(space: Space, pool: WorkerPool, name: string, packets: readonly Uint8Array[]): Device {
  const { words } = space
  const tape = openTape(space, name, packets.map(placeOf), WRITE)
  let received = 0
  return {
    name,
    receive(bundle, most) {
      const before = words[bundle >>> 2]!
      const count = pool.take(bundle, tape.ahead(most))
      if (count === 0) return 0
      tape.lay(bundle + BUNDLE_DESCRIPTORS + before * DESCRIPTOR_BYTES, count)
      received += count
      return count
    },
    send: () => 0,
    flush() {},
    isReady: () => true,
    wait: () => Promise.resolve(),
    statistics: () => ({
      receivedPackets: received,
      receivedBytes: received * PACKET_BYTES,
      sentPackets: 0,
      sentBytes: 0,
      copiedPackets: 0,
      drops: {},
    }),
    close: () => tape.close(),
  }
}

function placeOf(packet: Uint8Array): Uint8Array {
  const place = new Uint8Array(PLACE_BYTES)
  place.set(packet.subarray(0, PACKET_BYTES))
  return place
}

/** Writes a packet into the frame that the descriptor names; the last four bytes of its place are behind it. */
const WRITE = [
  ...[get('to'), access('i32.load', 0), set('packet')],
  ...[DESCRIPTOR_WIRE, DESCRIPTOR_CAPTURED].flatMap((field) => [
    ...[get('to'), i32(PACKET_BYTES), access('i32.store', field)],
  ]),
  ...Array.from({ length: PLACE_BYTES / 8 }, (_, word) => word * 8).flatMap((offset) => [
    ...[get('packet'), get('from'), access('i64.load', offset), access('i64.store', offset)],
  ]),
]
