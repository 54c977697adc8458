import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  packetTimes,
  type Space,
} from '../memory/index.js'

/**
 * Copies of packets on their way from the thread that meets them to one that
 * reads them now and then: a ring of bytes in shared memory of its own, which
 * is given back when nobody has it any more. Plain data, which a thread can be
 * sent.
 *
 *     0   u32  bytes written, and at 64 bytes read; both count on
 *     8   f64  packets that found no room
 *     16  f64  packets that are still wanted
 *     128      the bytes. Each packet begins at a multiple of 8: u32 bytes of data and on the wire, f64
 *              seconds since 1970 and nanoseconds, then the data
 */
export interface PacketLog {
  readonly buffer: SharedArrayBuffer
}

/** A packet of a log. */
export interface LoggedPacket {
  readonly data: Uint8Array
  /** On the wire. */
  readonly wireLength: number
  readonly seconds: number
  readonly nanoseconds: number
}

const WRITTEN = 0
const READ = 64 / 4
const LOST = 8 / 8
const LEFT = 16 / 8
const FIRST = 128
const HEAD_BYTES = 24

/** A log with room for so many bytes, a power of two, that ends after so many packets. */
export function createPacketLog(bytes: number, limit: number): PacketLog {
  const buffer = new SharedArrayBuffer(FIRST + bytes)
  new Float64Array(buffer, 0, 8)[LEFT] = limit
  return { buffer }
}

function viewsOf({ buffer }: PacketLog) {
  const bytes = new Uint8Array(buffer, FIRST)
  return {
    words: new Uint32Array(buffer, 0, FIRST / 4),
    counts: new Float64Array(buffer, 0, FIRST / 8),
    bytes,
    view: new DataView(buffer, FIRST),
    mask: bytes.length - 1,
  }
}

const lengthOf = (dataBytes: number) => HEAD_BYTES + ((dataBytes + 7) & ~7)

/** Gives what writes packet `index` of a bundle into a log; one thread at a time. What has no time is given the present one. */
export function packetLogWriter(space: Space, log: PacketLog): (bundle: number, index: number) => void {
  const { words, counts, bytes, view, mask } = viewsOf(log)
  const times = packetTimes(space)

  function put(at: number, from: number, length: number): void {
    const first = Math.min(length, bytes.length - (at & mask))
    bytes.set(space.bytes.subarray(from, from + first), at & mask)
    bytes.set(space.bytes.subarray(from + first, from + length), 0)
  }

  return (bundle, index) => {
    if (counts[LEFT] === 0) return
    const descriptor = (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES) >>> 2
    const [packet, length] = [
      space.words[descriptor + DESCRIPTOR_ADDRESS / 4]!,
      space.words[descriptor + DESCRIPTOR_CAPTURED / 4]!,
    ]
    const written = words[WRITTEN]!
    if (((written - Atomics.load(words, READ)) >>> 0) + lengthOf(length) > bytes.length) {
      counts[LOST]! += 1
      return
    }
    const isTimed = times.has(packet)
    const now = performance.timeOrigin + performance.now()
    view.setUint32(written & mask, length, true)
    view.setUint32((written & mask) + 4, space.words[descriptor + DESCRIPTOR_WIRE / 4]!, true)
    view.setFloat64((written + 8) & mask, isTimed ? times.seconds(packet) : Math.floor(now / 1000), true)
    view.setFloat64((written + 16) & mask, isTimed ? times.nanoseconds(packet) : Math.floor((now % 1000) * 1e6), true)
    put(written + HEAD_BYTES, packet, length)
    counts[LEFT]! -= 1
    Atomics.store(words, WRITTEN, written + lengthOf(length))
  }
}

/** What has come since the last call, as copies. */
export function takeFromLog(log: PacketLog): LoggedPacket[] {
  const { words, bytes, view, mask } = viewsOf(log)
  const packets: LoggedPacket[] = []
  let read = words[READ]!
  for (const written = Atomics.load(words, WRITTEN); read !== written; ) {
    const length = view.getUint32(read & mask, true)
    const data = new Uint8Array(length)
    const at = (read + HEAD_BYTES) & mask
    data.set(bytes.subarray(at, at + length))
    const first = Math.min(length, bytes.length - at)
    data.set(bytes.subarray(0, length - first), first)
    packets.push({
      data,
      wireLength: view.getUint32((read & mask) + 4, true),
      seconds: view.getFloat64((read + 8) & mask, true),
      nanoseconds: view.getFloat64((read + 16) & mask, true),
    })
    read = (read + lengthOf(length)) >>> 0
  }
  Atomics.store(words, READ, read)
  return packets
}

/** Packets that found no room, and whether as many were written as were wanted. */
export function packetLogState(log: PacketLog): { readonly lost: number; readonly isDone: boolean } {
  const { counts } = viewsOf(log)
  return { lost: counts[LOST]!, isDone: counts[LEFT] === 0 }
}
