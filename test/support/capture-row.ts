import type { Capture, CapturedPacket } from '../../src/device/index.js'

/** Packets of anywhere as a capture, for a device that receives them one behind the other. */
export function captureOf(packets: Iterable<CapturedPacket>): Capture {
  const iterator = packets[Symbol.iterator]()
  const next = () => {
    const { value, done } = iterator.next()
    return done === true ? null : (value as CapturedPacket)
  }
  return {
    format: 'pcap',
    path: 'a row of packets',
    linkType: 'EN10MB',
    linkTypeNumber: 1,
    snapLength: 262_144,
    resolution: 'nanoseconds',
    again: null,
    isGrowing: false,
    error: null,
    next,
    *packets() {
      for (let packet = next(); packet !== null; packet = next()) yield packet
    },
    close() {},
  }
}
