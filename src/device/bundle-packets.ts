import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  packetTimes,
  type Space,
} from '../memory/index.js'
import type { CapturedPacket } from './capture.js'
import { packetRecords } from './packet-records.js'

/**
 * Gives what hands each packet of a bundle to a function, with its number in it,
 * its length on the wire, its time and its record; what has no time is given the present
 * one. `data` is the frame itself, which is another packet's afterwards.
 */
export function bundlePackets(
  space: Space,
): (bundle: number, write: (packet: CapturedPacket, index: number) => void) => void {
  const { words, bytes } = space
  const times = packetTimes(space)
  const records = packetRecords(space)
  return (bundle, write) => {
    const now = performance.timeOrigin + performance.now()
    for (let index = 0; index < words[bundle >>> 2]!; index++) {
      const word = (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) >>> 2
      const at = words[word + DESCRIPTOR_ADDRESS / 4]!
      const isTimed = times.has(at)
      write(
        {
          data: bytes.subarray(at, at + words[word + DESCRIPTOR_CAPTURED / 4]!),
          wireLength: words[word + DESCRIPTOR_WIRE / 4]!,
          seconds: isTimed ? times.seconds(at) : Math.floor(now / 1000),
          nanoseconds: isTimed ? times.nanoseconds(at) : Math.floor((now % 1000) * 1e6),
          record: records.find(at),
        },
        index,
      )
    }
  }
}
