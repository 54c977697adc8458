import { binary } from '../fold.js'
import { at, moved } from '../headers.js'
import { isEqual, maskOf, multiplied, sum } from '../truth.js'
import { constant, load, type Place, type Value } from '../value.js'

/**
 * Where an IEEE 802.11 frame and its payload start, as values that read the
 * packet. `frame` is null where nothing stands before the frame.
 */
export interface FramePlaces {
  readonly frame: Value | null
  readonly payload: Place
}

const MAC_HEADER_BYTES = 24
const TYPE_MASK = 0x0c
const DATA = 0x08
const QOS = 0x80
const QOS_BYTES = 2

/** Bytes of QoS field behind the MAC header: 2 or 0 (IEEE 802.11, 9.2.4.5). */
function qosBytes(frame: Value | null): Value {
  const control = load(at(0, frame), 0, 1)
  return multiplied(isEqual(binary('&', control, constant(TYPE_MASK | QOS)), DATA | QOS), QOS_BYTES)
}

/** No radio header, or one that says nothing of padding. */
export function framePlaces(frame: Value | null): FramePlaces {
  return { frame, payload: at(MAC_HEADER_BYTES, sum(frame, qosBytes(frame))) }
}

/** Radiotap and PPI start with a version, and a length in little-endian order. */
export function littleEndianLength(): Value {
  const high = binary('<<', load(at(0), 3, 1), constant(8))
  return binary('|', load(at(0), 2, 1), high)
}

/** AVS: a length in network byte order behind its version. */
export function avsLength(): Value {
  return load(at(0), 4, 4)
}

const PRISM_BYTES = 144

/** What drivers call a Prism header can be an AVS header; its version tells. */
export function prismLength(): Value {
  const isAvs = isEqual(binary('&', load(at(0), 0, 4), constant(0xfffff000)), 0x80211000)
  // Four bytes at 0 are there; those at 4 are read only where they matter.
  const length = load(at(0, multiplied(isAvs, 4)), 0, 4)
  const ofPrism = multiplied(binary('^', isAvs, constant(1)), PRISM_BYTES)
  return binary('+', binary('&', length, maskOf(isAvs)), ofPrism)
}

/** Bits of the first presence word of radiotap, as read in network byte order: radiotap.org/fields. */
const HAS_TSFT = 0x01000000
const HAS_FLAGS = 0x02000000
const HAS_MORE = 0x00000080
const DATA_PAD_SHIFT = 5

/**
 * Behind a radiotap header. Where the frame is of data and the header says so,
 * the payload starts at a multiple of 4, counted as libpcap does from the
 * packet's start. What is read only sometimes is read from 0 at other times,
 * where bytes are known to be.
 */
export function radiotapPlaces(): FramePlaces {
  const frame = littleEndianLength()
  const type = binary('&', load(at(0, frame), 0, 1), constant(TYPE_MASK))
  const isData = isEqual(type, DATA)
  const presence = load(at(0, multiplied(isData, 4)), 0, 4)
  const hasFlags = isEqual(binary('&', presence, constant(HAS_FLAGS | HAS_MORE)), HAS_FLAGS)
  const readsFlags = binary('&', hasFlags, isData)
  const timeBytes = multiplied(isEqual(binary('&', presence, constant(HAS_TSFT)), HAS_TSFT), 8)
  const flagsAt = binary('&', binary('+', timeBytes, constant(8)), maskOf(readsFlags))
  const flags = load(at(0, flagsAt), 0, 1)
  const isPadded = binary('&', binary('>>', flags, constant(DATA_PAD_SHIFT)), readsFlags)
  const { payload } = framePlaces(frame)
  const unpadded = binary('+', payload.base!, constant(payload.offset))
  const up = multiplied(isPadded, 3)
  const padded = binary('&', binary('+', unpadded, up), binary('^', up, constant(0xffffffff)))
  return { frame, payload: moved(at(0, padded), 0) }
}
