/** One packet of a capture file. `data` is a view into the reader's buffer: keep it, but do not write to it. */
export interface CapturedPacket {
  /** The bytes that were captured, at most the snapshot length. */
  readonly data: Uint8Array
  /** Bytes that the packet had on the wire. */
  readonly wireLength: number
  /** Seconds since 1970, and the rest in nanoseconds: two numbers, because a BigInt a packet costs more than the packet. */
  readonly seconds: number
  readonly nanoseconds: number
}

/** An open capture file, read once from front to back. */
export interface Capture {
  readonly format: 'pcap' | 'pcapng'
  /** As it was given; `-` is standard input. */
  readonly path: string
  /** As `tcpdump -y` names it: `EN10MB`, `RAW`, `LINUX_SLL`; a number where it has no name. */
  readonly linkType: string
  /** The LINKTYPE_ number that the file holds. */
  readonly linkTypeNumber: number
  /** Bytes of a packet that the capture kept at most. */
  readonly snapLength: number
  readonly resolution: 'microseconds' | 'nanoseconds'
  /** The 24 bytes that a pcap file begins with, for who writes the like; null for pcapng and Kuznetsov's format. */
  readonly fileHeader: Uint8Array | null
  /** The next packet, or null: at the end, at a break, and where a file that grows has no whole one yet. */
  next(): CapturedPacket | null
  /** Whether somebody may still write to the file. */
  readonly isGrowing: boolean
  /** The packets, ending early where the file is broken: then `error` says how. Closes the file at the end. */
  packets(): IterableIterator<CapturedPacket>
  /** Null until the break has been met. */
  readonly error: CaptureError | null
  close(): void
}

/** A file that is not a capture, or is broken: one sentence with the file, the place and what to do. */
export class CaptureError extends Error {
  override name = 'CaptureError'
}

/** A capture could not be written to its end: one sentence with the place, the errno's name and what to do. */
export class CaptureWriteError extends Error {
  override name = 'CaptureWriteError'
}
