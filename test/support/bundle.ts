import { VERDICT_BYTES } from '../../src/codegen/index.js'
import type { Packet } from '../../src/ir/index.js'
import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, DESCRIPTOR_CAPTURED, DESCRIPTOR_WIRE } from '../../src/memory/index.js'
import { createMemory, type LinearMemory, PAGE_BYTES } from '../../src/wasm/index.js'

/** Packets in linear memory, with a descriptor of each and room for its verdict. */
export interface Bundle {
  readonly memory: LinearMemory
  readonly count: number
  readonly verdicts: Int32Array
  /** Address of the list of what look-ups read, for `loadMatcher`. */
  readonly images: number
  descriptorAt(index: number): number
  verdictAt(index: number): number
}

/**
 * Lays descriptors, then verdicts, images, and the packets one behind the other. The
 * last byte of the last packet is the last of the memory, so that a read
 * beyond it traps.
 */
export function layBundle(packets: readonly Packet[], images: readonly Uint8Array[] = []): Bundle {
  const count = packets.length
  const descriptorBytes = count * DESCRIPTOR_BYTES
  const imagesAt = alignUp(descriptorBytes + count * VERDICT_BYTES)
  const headBytes = images.reduce((at, { length }) => alignUp(at + length), alignUp(imagesAt + images.length * 4))
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
  let imageAt = alignUp(imagesAt + images.length * 4)
  images.forEach((image, index) => {
    bytes.set(image, imageAt)
    words.setUint32(imagesAt + index * 4, imageAt, true)
    imageAt = alignUp(imageAt + image.length)
  })
  return {
    memory,
    count,
    images: imagesAt,
    verdicts: new Int32Array(memory.buffer, descriptorBytes, count),
    descriptorAt: (index) => index * DESCRIPTOR_BYTES,
    verdictAt: (index) => descriptorBytes + index * VERDICT_BYTES,
  }
}

/** To the next cache line. */
function alignUp(address: number): number {
  return (address + 63) & ~63
}
