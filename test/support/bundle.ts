import { VERDICT_BYTES } from '../../src/codegen/index.js'
import type { Packet } from '../../src/ir/index.js'
import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, DESCRIPTOR_CAPTURED, DESCRIPTOR_WIRE } from '../../src/memory/index.js'
import { createMemory, type LinearMemory, PAGE_BYTES } from '../../src/wasm/index.js'

/** Packets in linear memory, with a descriptor of each and room for its verdict. */
export interface Bundle {
  readonly memory: LinearMemory
  readonly count: number
  readonly verdicts: Int32Array
  descriptorAt(index: number): number
  verdictAt(index: number): number
}

/**
 * Lays descriptors, then verdicts, then the packets one behind the other. The
 * last byte of the last packet is the last of the memory, so that a read
 * beyond it traps.
 */
export function layBundle(packets: readonly Packet[]): Bundle {
  const count = packets.length
  const descriptorBytes = count * DESCRIPTOR_BYTES
  const headBytes = descriptorBytes + count * VERDICT_BYTES
  const frameBytes = packets.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const memory = createMemory(Math.ceil((headBytes + frameBytes) / PAGE_BYTES))
  const bytes = new Uint8Array(memory.buffer)
  const words = new DataView(memory.buffer)
  let at = bytes.length - frameBytes
  packets.forEach((packet, index) => {
    const descriptor = index * DESCRIPTOR_BYTES
    bytes.set(packet.bytes, at)
    words.setUint32(descriptor + DESCRIPTOR_ADDRESS, at, true)
    words.setUint32(descriptor + DESCRIPTOR_CAPTURED, packet.bytes.length, true)
    words.setUint32(descriptor + DESCRIPTOR_WIRE, packet.wireLength, true)
    at += packet.bytes.length
  })
  return {
    memory,
    count,
    verdicts: new Int32Array(memory.buffer, descriptorBytes, count),
    descriptorAt: (index) => index * DESCRIPTOR_BYTES,
    verdictAt: (index) => descriptorBytes + index * VERDICT_BYTES,
  }
}
