import type { Device } from '../src/engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  type Space,
  type WorkerPool,
} from '../src/memory/index.js'
import { access, brIf, encodeModule, end, get, i32, instantiate, loop, op, set, tee } from '../src/wasm/index.js'

/** Of each packet: 64 bytes on the wire without their checksum, and what fills its place up. */
const PACKET_BYTES = 60
const PLACE_BYTES = 64

/**
 * A device that always has packets, as many as the pool has frames: the given
 * ones in turn, each written anew into a frame of the pool, as a driver that
 * copies does it. One call of WebAssembly a bundle.
 */
export function openTapeSource(space: Space, pool: WorkerPool, name: string, packets: readonly Uint8Array[]): Device {
  const { words, bytes } = space
  const tape = space.reserve({ name: `tape ${name}`, kind: 'table', bytes: packets.length * PLACE_BYTES }).offset
  packets.forEach((packet, index) => {
    bytes.set(packet.subarray(0, PACKET_BYTES), tape + index * PLACE_BYTES)
  })
  const write = loadWrite(space)
  let next = 0
  let received = 0
  return {
    name,
    receive(bundle, most) {
      const before = words[bundle >>> 2]!
      const count = pool.take(bundle, Math.min(most, packets.length - next))
      if (count === 0) return 0
      const first = bundle + BUNDLE_DESCRIPTORS + before * DESCRIPTOR_BYTES
      write(first, tape + next * PLACE_BYTES, tape + (next + count) * PLACE_BYTES)
      next = next + count === packets.length ? 0 : next + count
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
    close: () => space.free(`tape ${name}`),
  }
}

/** (to, from, end): writes the tape's packets into the frames that the descriptors from `to` on name. */
function loadWrite({ memory }: Space) {
  const bytes = encodeModule({
    memory: {
      module: 'env',
      field: 'memory',
      minimumPages: 1,
      maximumPages: memory.buffer.byteLength / 65_536,
      shared: true,
    },
    imports: [],
    functions: [
      {
        name: 'write',
        exported: true,
        parameters: ['to', 'from', 'end'].map((name) => ({ name, type: 'i32' })),
        results: [],
        locals: [{ name: 'packet', type: 'i32' }],
        body: [
          loop('next'),
          ...[get('to'), access('i32.load', 0), set('packet')],
          ...[DESCRIPTOR_WIRE, DESCRIPTOR_CAPTURED].flatMap((field) => [
            ...[get('to'), i32(PACKET_BYTES), access('i32.store', field)],
          ]),
          // The last four bytes of the place are behind the packet.
          ...Array.from({ length: PLACE_BYTES / 8 }, (_, word) => word * 8).flatMap((offset) => [
            ...[get('packet'), get('from'), access('i64.load', offset), access('i64.store', offset)],
          ]),
          ...[get('to'), i32(DESCRIPTOR_BYTES), op('i32.add'), set('to')],
          ...[get('from'), i32(PLACE_BYTES), op('i32.add'), tee('from'), get('end'), op('i32.lt_u'), brIf('next')],
          end,
        ],
      },
    ],
  })
  return instantiate(bytes, { env: { memory } })['write']!
}
