import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { gunzipSync, constants as zlib } from 'node:zlib'
import { whenReady } from './when-ready.js'

/**
 * Bytes that are read from front to back. `bytes` and `view` cover the same
 * memory, `at` is the reader's place in it. `fill` puts new objects there when
 * it reads on; views into the old ones stay valid.
 */
export interface ByteSource {
  bytes: Uint8Array
  view: DataView
  at: number
  /** Where `bytes` begins in the (unpacked) file. */
  base: number
  /** Whether packed data ended early or was damaged; a sentence without a subject. */
  readonly damage: string | null
  /** Whether more may come behind what `fill` has found. */
  readonly isGrowing: boolean
  /** Makes `length` bytes available from `at`, or as many as there are; returns how many are there. */
  fill(length: number): number
  close(): void
}

const CHUNK_BYTES = 1 << 20
/** Of a growing file more is read at a time only where a packet is longer. */
const GROWING_CHUNK_BYTES = 1 << 16
const GZIP_MAGIC = 0x1f8b
/** gzip ends with a checksum and a length of four bytes each; its header has ten (RFC 1952, section 2.3). */
const GZIP_SMALLEST_BYTES = 18

/**
 * Opens `path`, or standard input for `-`; what begins with the gzip magic is
 * unpacked in memory. Where it `grows`, its end is not taken for the end.
 * Throws Node's system error where the file cannot be read.
 */
export function openByteSource(path: string, grows = false): ByteSource {
  const source = fileSource(path === '-' ? 0 : openSync(path, 'r'), grows)
  try {
    if (source.fill(2) < 2 || source.view.getUint16(0) !== GZIP_MAGIC) return source
    const unpacked = gunzip(source)
    source.close()
    return unpacked
  } catch (error) {
    source.close()
    throw error
  }
}

function fileSource(fd: number, isGrowing: boolean): ByteSource {
  // A small file takes a small buffer; of a pipe the size is not known.
  const size = fstatSync(fd).size
  const chunkBytes = isGrowing ? GROWING_CHUNK_BYTES : size > 0 ? Math.min(CHUNK_BYTES, size + 1) : CHUNK_BYTES
  let open = true
  let ended = false
  let spare: Buffer | null = null
  const source: ByteSource = {
    bytes: new Uint8Array(0),
    view: new DataView(new ArrayBuffer(0)),
    at: 0,
    base: 0,
    damage: null,
    isGrowing,
    fill(length) {
      let there = source.bytes.length - source.at
      if (there >= length || ended) return there
      // A new buffer instead of the old one moved, so that views that were handed out stay valid.
      const isSpareEnough = spare !== null && spare.length > there && spare.length >= length
      const next = isSpareEnough ? spare! : Buffer.allocUnsafeSlow(Math.max(chunkBytes, there + 1, length))
      const before = there
      while (there < length) {
        const read = whenReady(() => readSync(fd, next, there, next.length - there, null))
        if (read === 0) break
        there += read
      }
      ended = there < length && !isGrowing
      // Looking in vain for more takes no memory: this buffer is the next one's.
      spare = there === before && isGrowing ? next : null
      if (spare !== null) return there
      next.set(source.bytes.subarray(source.at))
      source.base += source.at
      source.at = 0
      source.bytes = next.subarray(0, there)
      source.view = new DataView(next.buffer, next.byteOffset, there)
      return there
    },
    close() {
      if (open && fd !== 0) closeSync(fd)
      open = false
    },
  }
  return source
}

function gunzip(packed: ByteSource): ByteSource {
  let there = packed.fill(GZIP_SMALLEST_BYTES)
  for (let wanted = there * 2; packed.fill(wanted) > there; wanted *= 2) there = packed.bytes.length - packed.at
  const whole = packed.bytes.subarray(packed.at)
  try {
    return memorySource(gunzipSync(whole), null)
  } catch {
    return partlyUnpacked(whole)
  }
}

/**
 * What can be unpacked of damaged data. zlib hands nothing out once it has met
 * an error, so the longest prefix without one is searched for by halving.
 */
function partlyUnpacked(packed: Uint8Array): ByteSource {
  const unpack = (length: number) => {
    try {
      return gunzipSync(packed.subarray(0, length), { finishFlush: zlib.Z_SYNC_FLUSH })
    } catch {
      return null
    }
  }
  const whole = unpack(packed.length)
  if (whole !== null) return memorySource(whole, 'ends inside its gzip data')
  let good = 0
  let bad = packed.length
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1
    if (unpack(middle) === null) bad = middle
    else good = middle
  }
  return memorySource(unpack(good) ?? new Uint8Array(0), `has damaged gzip data at byte ${good}`)
}

function memorySource(bytes: Uint8Array, damage: string | null): ByteSource {
  const source: ByteSource = {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    at: 0,
    base: 0,
    damage,
    isGrowing: false,
    fill: () => bytes.length - source.at,
    close() {},
  }
  return source
}
