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
import { access, brIf, encodeModule, end, get, i32, instantiate, loop, op, set, tee } from '../src/wasm/index.js'

/** An entry of the tape: the descriptor, then the packet's first 32 bytes. */
const ENTRY_BYTES = 48
const HEADER_BYTES = 32

/**
 * A device that has the same packets again and again, as a driver leaves them
 * in frames that it keeps: what stages have written into the first 32 bytes is
 * written anew. What is sent to it, it takes. One call of WebAssembly a bundle,
 * so that it costs little beside what is measured.
 */
export function openHeldSource(space: Space, pool: WorkerPool, packets: readonly Uint8Array[]): Device {
  const { words, bytes } = space
  const tape = space.reserve({ name: 'tape', kind: 'table', bytes: packets.length * ENTRY_BYTES }).offset
  const held = space.reserve({ name: 'held', kind: 'bundle', bytes: 16 + packets.length * DESCRIPTOR_BYTES }).offset
  packets.forEach((packet, index) => {
    words[held / 4] = 0
    if (pool.take(held, 1, 512) === 0) throw new Error(`the pool has no ${packets.length} frames of 512 bytes`)
    const entry = (tape + index * ENTRY_BYTES) / 4
    const address = words[(held + BUNDLE_DESCRIPTORS + DESCRIPTOR_ADDRESS) / 4]!
    bytes.set(packet, address)
    words[entry + DESCRIPTOR_ADDRESS / 4] = address
    words[entry + DESCRIPTOR_WIRE / 4] = packet.length
    words[entry + DESCRIPTOR_CAPTURED / 4] = packet.length
    bytes.set(packet.subarray(0, HEADER_BYTES), tape + index * ENTRY_BYTES + DESCRIPTOR_BYTES)
  })
  const present = loadPresent(space)
  let next = 0
  let [received, sent] = [0, 0]
  return {
    name: 'held',
    receive(bundle, most) {
      const count = Math.min(most, packets.length - next)
      present(bundle + BUNDLE_DESCRIPTORS, tape + next * ENTRY_BYTES, tape + (next + count) * ENTRY_BYTES)
      words[bundle >>> 2] = count
      next = next + count === packets.length ? 0 : next + count
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
    close() {},
  }
}

/** (to, from, end): lays the tape's descriptors from `to` on, and the headers into their frames. */
function loadPresent({ memory }: Space) {
  const copy = (base: 'to' | 'packet', offset: number, tapeOffset: number) => [
    ...[get(base), get('from'), access('i64.load', tapeOffset), access('i64.store', offset)],
  ]
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
        name: 'present',
        exported: true,
        parameters: ['to', 'from', 'end'].map((name) => ({ name, type: 'i32' })),
        results: [],
        locals: [{ name: 'packet', type: 'i32' }],
        body: [
          loop('next'),
          ...copy('to', 0, 0),
          ...copy('to', 8, 8),
          ...[get('from'), access('i32.load', DESCRIPTOR_ADDRESS), set('packet')],
          ...[0, 8, 16, 24].flatMap((offset) => copy('packet', offset, DESCRIPTOR_BYTES + offset)),
          ...[get('to'), i32(DESCRIPTOR_BYTES), op('i32.add'), set('to')],
          ...[get('from'), i32(ENTRY_BYTES), op('i32.add'), tee('from'), get('end'), op('i32.lt_u'), brIf('next')],
          end,
        ],
      },
    ],
  })
  return instantiate(bytes, { env: { memory } })['present']!
}
