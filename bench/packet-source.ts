import type { Device } from '../src/engine/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_HASH,
  METADATA_VALID,
  type Space,
  type WorkerPool,
} from '../src/memory/index.js'
import { instantiate } from '../src/wasm/index.js'

/** 64 bytes on the wire without their checksum. */
const PACKET_BYTES = 60
const DRIVER_BUFFER_BYTES = 2048
const SOURCE_PORT_AT = 34
const FLOW_MASK = 4095

/** (func (export "copy") (param i32 i32 i32) memory.copy) over imported memory: TypeScript copies shared memory at a tenth of its speed. */
const COPY_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 3, 127, 127, 127, 0],
  ...[2, 18, 1, 3, 101, 110, 118, 6, 109, 101, 109, 111, 114, 121, 2, 3, 1, 128, 128, 4, 3, 2, 1, 0],
  ...[7, 8, 1, 4, 99, 111, 112, 121, 0, 0, 10, 14, 1, 12, 0, 32, 0, 32, 1, 32, 2, 252, 10, 0, 0, 11],
)

/**
 * How a packet gets into a frame: `recycled`: it is there, as a driver writes
 * it; `copied`: from a buffer of the driver's; `allocated`: from a buffer that
 * is allocated for it.
 */
export type Arrival = 'recycled' | 'copied' | 'allocated'

/** A device that always has packets, as many as the pool has frames. It keeps no frame and sends what it is given back to the pool. */
export function openSource(space: Space, pool: WorkerPool, arrival: () => Arrival, copiedBytes = PACKET_BYTES): Device {
  const { words, memory } = space
  const driver = space.reserve({ name: 'driver buffer', kind: 'state', bytes: DRIVER_BUFFER_BYTES }).offset
  const copy = instantiate(COPY_MODULE, { env: { memory } })['copy']!
  let allocated: Uint8Array | null = null
  const ports = new Uint16Array(memory.buffer)
  let flow = 0
  let received = 0
  let sent = 0
  return {
    name: 'source',
    receive(bundle, most) {
      const before = words[bundle >>> 2]!
      const count = pool.take(bundle, most)
      const how = arrival()
      for (let index = 0; index < count; index++) {
        const at = (bundle + BUNDLE_DESCRIPTORS + (before + index) * DESCRIPTOR_BYTES) >>> 2
        words[at + (DESCRIPTOR_WIRE >>> 2)] = PACKET_BYTES
        words[at + (DESCRIPTOR_CAPTURED >>> 2)] = PACKET_BYTES
        flow = (flow + 1) & FLOW_MASK
        // Frames are recycled last in, first out: without another flow each time, those of one worker would stay away.
        ports[(words[at + (DESCRIPTOR_ADDRESS >>> 2)]! + SOURCE_PORT_AT) >>> 1] = flow
        if (how === 'recycled') continue
        if (how === 'allocated') allocated = new Uint8Array(DRIVER_BUFFER_BYTES)
        copy(words[at + (DESCRIPTOR_ADDRESS >>> 2)]! + PACKET_BYTES, driver, copiedBytes - PACKET_BYTES)
      }
      received += count
      return count
    },
    send(bundle) {
      const count = words[bundle >>> 2]!
      pool.give(bundle + BUNDLE_DESCRIPTORS, count)
      words[bundle >>> 2] = 0
      sent += count
      return count
    },
    flush() {},
    isReady: () => true,
    wait: () => Promise.resolve(),
    statistics: () => ({
      receivedPackets: received,
      receivedBytes: received * PACKET_BYTES,
      sentPackets: sent,
      sentBytes: sent * PACKET_BYTES,
      copiedPackets: 0,
      drops: {},
    }),
    close() {
      if (allocated !== null) allocated = null
      space.free('driver buffer')
    },
  }
}

/** Writes a UDP packet of another flow into each of so many frames, with its hash where `hashOf` is given. */
export function writeFlows(
  space: Space,
  pool: WorkerPool,
  frames: number,
  hashOf?: (packet: Uint8Array) => number,
): void {
  const { words, bytes } = space
  const bundle = space.reserve({ name: 'flows', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const view = new DataView(space.memory.buffer)
  const kept: number[] = []
  for (let flow = 0; flow < frames; flow++) {
    pool.take(bundle, 1)
    words[bundle / 4] = 0
    const packet = words[(bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_ADDRESS) / 4]!
    kept.push(packet)
    bytes.fill(0, packet, packet + PACKET_BYTES)
    bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46], packet)
    bytes.set([64, 17, 0, 0, 10, 0, 0, 1, 203, 0, 113, 9, flow >> 8, flow & 255, 0, 80, 0, 26], packet + 22)
    bytes[packet - METADATA_BYTES + METADATA_VALID] = 0
    if (hashOf === undefined) continue
    const hash = hashOf(bytes.subarray(packet, packet + PACKET_BYTES))
    view.setUint32(packet - METADATA_BYTES + METADATA_HASH, hash, true)
    bytes[packet - METADATA_BYTES + METADATA_VALID] = METADATA_HAS_FLOW
  }
  for (const packet of kept) {
    words[(bundle + BUNDLE_DESCRIPTORS) / 4] = packet
    pool.give(bundle + BUNDLE_DESCRIPTORS, 1)
  }
}
