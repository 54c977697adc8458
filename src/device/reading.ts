import type { ByteSource } from './byte-source.js'
import { type Capture, type CapturedPacket, CaptureError } from './capture.js'

/** The part of a capture that pcap and pcapng share: `read` gives the next packet or null, and throws CaptureError at a break. */
export function readingOf(
  source: ByteSource,
  read: () => CapturedPacket | null,
): Pick<Capture, 'isGrowing' | 'next' | 'packets' | 'error' | 'close'> {
  let error: CaptureError | null = null
  const next = () => {
    if (error !== null) return null
    try {
      return read()
    } catch (thrown) {
      if (!(thrown instanceof CaptureError)) throw thrown
      error = thrown
      return null
    }
  }
  return {
    isGrowing: source.isGrowing,
    next,
    *packets() {
      try {
        for (let packet = next(); packet !== null; packet = next()) yield packet
      } finally {
        source.close()
      }
    },
    get error() {
      return error
    },
    close: source.close,
  }
}
