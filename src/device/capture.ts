/** One packet of a capture file. `data` is a view into the reader's buffer: keep it, but do not write to it. */
export interface CapturedPacket {
  /** The bytes that were captured, at most the snapshot length. */
  readonly data: Uint8Array
  /** Bytes that the packet had on the wire. */
  readonly wireLength: number
  /** Seconds since 1970, and the rest in nanoseconds: two numbers, because a BigInt a packet costs more than the packet. */
  readonly seconds: number
  readonly nanoseconds: number
  /** Of a file that was opened `whole`, where it holds more of the packet than these. */
  readonly record?: PacketRecord | null
}

/** What stands around the bytes of a packet in its record of the file. */
export interface PacketRecord {
  /** Whose record it is: only who writes that file again can use it. */
  readonly source: object
  /** It rises from record to record, and no two of a process have the same. */
  readonly number: number
  /** Which section of a pcapng file, from 1 on; 0 in pcap. */
  readonly section: number
  /** How many bytes the packet had when it was read. */
  readonly dataLength: number
  /** Where head and tail stand, in the reader's buffer or in a copy: places, because two views a packet cost more than it. */
  readonly bytes: Uint8Array
  /** Of a pcapng block what comes before the packet's bytes; of a pcap record what its header has beyond time and lengths. */
  readonly headStart: number
  readonly headEnd: number
  /** What follows them: padding, options and length; of pcap, bytes beyond the snapshot length. */
  readonly tailStart: number
  readonly tailEnd: number
}

/** Takes packets; a file stands under its name only after `finish`, unless it is written in place. */
export interface CaptureWriter {
  write(packet: CapturedPacket): void
  /** Hands what was written to the kernel. */
  flush(): void
  /** Writes what is left and gives the file its name. */
  finish(): void
  /** Takes back what was written; nothing happens after `finish`. */
  discard(): void
}

/** Records on their way to a file, in a buffer that `room` makes place in. */
export interface CaptureOutput {
  /** Place for a record of so many bytes, in the buffer that it gives, from `at` on; what stands there is old. */
  room(bytes: number): Buffer
  readonly at: number
  flush(): void
  finish(): void
  discard(): void
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
  /** Writes the file again (`createCopy`); null where it was not opened `whole`. */
  readonly again: ((output: CaptureOutput) => CaptureWriter) | null
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
