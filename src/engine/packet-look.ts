import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_WIRE,
  FLAG_CHECKSUM_GOOD,
  FLAG_CHECKSUM_MISSING,
  FLAGS_SEGMENT_SHIFT,
  type Space,
} from '../memory/index.js'

/** A packet of a bundle as its descriptor and its first bytes say, at one moment. */
export interface PacketLook {
  readonly address: number
  /** On the wire. */
  readonly lengthBytes: number
  /** Its descriptor's flags, in words. */
  readonly flags: readonly string[]
  /** Its first bytes, in hexadecimal. */
  readonly begin: string
}

/** Enough for the headers of most packets. */
const SHOWN_BYTES = 64

/** Looks at packet `index` of a bundle. Allocates: for packets that somebody has chosen. */
export function lookAtPacket({ words, bytes }: Space, bundle: number, index: number): PacketLook {
  const at = (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) >>> 2
  const address = words[at + DESCRIPTOR_ADDRESS / 4]!
  const shown = Math.min(SHOWN_BYTES, words[at + DESCRIPTOR_CAPTURED / 4]!)
  return {
    address,
    lengthBytes: words[at + DESCRIPTOR_WIRE / 4]!,
    flags: describeFlags(words[at + DESCRIPTOR_FLAGS / 4]!),
    begin: Buffer.from(bytes.subarray(address, address + shown)).toString('hex'),
  }
}

function describeFlags(flags: number): string[] {
  const segment = flags >>> FLAGS_SEGMENT_SHIFT
  return [
    ...(flags & FLAG_CHECKSUM_MISSING ? ['checksum missing'] : []),
    ...(flags & FLAG_CHECKSUM_GOOD ? ['checksum good'] : []),
    ...(segment > 0 ? [`to be cut into ${segment} bytes each`] : []),
  ]
}
