/** TCP (RFC 9293, section 3.1), offsets within the header. */
export const TCP = {
  sourcePort: 0,
  destinationPort: 2,
  sequence: 4,
  dataOffset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  headerBytes: 20,
} as const

/** TCP flag bits. */
export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, push: 8, ack: 16 } as const

/** UDP (RFC 768), offsets within the header. */
export const UDP = { sourcePort: 0, destinationPort: 2, length: 4, checksum: 6, headerBytes: 8 } as const
