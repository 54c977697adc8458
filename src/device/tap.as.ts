import { DESCRIPTOR_ADDRESS } from '../memory/formats'
import { appendArrived, flagsOf, HEADER_BYTES } from './virtio.inline.as'

/**
 * The frame of `descriptor` has been read, of `length` bytes, with its
 * virtio-net header before it, where its metadata goes: appends it to the bundle.
 */
export function tapArrived(descriptor: u32, length: u32, bundle: u32, traffic: u32): void {
  const packet = load<u32>(descriptor, DESCRIPTOR_ADDRESS)
  appendArrived(bundle, packet, length, length, flagsOf(packet - HEADER_BYTES, packet, length, 0), traffic)
}
