import {
  BUNDLE_COUNT,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  MOST_IN_BUNDLE,
} from '../memory/formats'
import { poolTake } from '../memory/pool.as'
import {
  ARRIVALS_BURSTS,
  ARRIVALS_POISSON,
  ARRIVALS_RECORDED,
  FIELD_AT,
  FIELD_BYTES,
  FIELD_COUNT,
  FIELD_FIRST,
  FIELD_FLAGS,
  FIELD_IN_IP_SUM,
  FIELD_IN_ROUND,
  FIELD_IN_SUM,
  FIELD_IN_TURN,
  FIELD_IS_LONG,
  FIELD_NEXT,
  FIELD_RANGE,
  GENERATOR_ARRIVALS,
  GENERATOR_BURST,
  GENERATOR_BURST_LEFT,
  GENERATOR_BYTES_MADE,
  GENERATOR_CACHE,
  GENERATOR_DUE,
  GENERATOR_IN_TURN,
  GENERATOR_INTERVAL,
  GENERATOR_LEFT_OUT,
  GENERATOR_MADE,
  GENERATOR_MOST,
  GENERATOR_NEXT_SLOT,
  GENERATOR_RANDOM,
  GENERATOR_RUN,
  GENERATOR_SLACK,
  GENERATOR_SLOT_COUNT,
  GENERATOR_SLOTS,
  GENERATOR_STAMPED,
  GENERATOR_START,
  GENERATOR_STOCK,
  GENERATOR_TEMPLATES,
  GENERATOR_UNSTAMPED,
  RANGE_SHIFT,
  STAMP_BYTES,
  STAMP_MAGIC,
  STAMP_MAGIC_WORD,
  STAMP_RUN,
  STAMP_SEQUENCE,
  STAMP_TIME,
  TEMPLATE_AT,
  TEMPLATE_BYTES,
  TEMPLATE_CHECKSUM,
  TEMPLATE_FIELD_COUNT,
  TEMPLATE_FIELDS,
  TEMPLATE_GAP,
  TEMPLATE_IP_CHECKSUM,
  TEMPLATE_IP_SUM,
  TEMPLATE_IS_UDP,
  TEMPLATE_LENGTH,
  TEMPLATE_STAMP,
  TEMPLATE_SUM,
  TEMPLATE_UNSTAMPED,
} from './formats'
import { randomBelow, randomExponential } from './random.inline.as'
import { advanceRound } from './round.inline.as'

const ROOM: u32 = MOST_IN_BUNDLE

/**
 * Appends the packets that are due at `now`, counted from the start, as long as
 * the bundle has room and the pool has frames; gives how many.
 */
export function generate(state: u32, bundle: u32, now: f64): u32 {
  let made = load<f64>(state, GENERATOR_MADE)
  const most = load<f64>(state, GENERATOR_MOST)
  const held = load<u32>(bundle, BUNDLE_COUNT)
  const stock = load<u32>(state, GENERATOR_STOCK)
  let count = held
  let bytes: f64 = 0
  leaveOut(state, now)
  while (count < ROOM && made < most && load<f64>(state, GENERATOR_DUE) <= now) {
    let frames = load<u32>(stock, BUNDLE_COUNT)
    if (frames === 0) frames = poolTake(load<u32>(state, GENERATOR_CACHE), stock, ROOM)
    if (frames === 0) break
    store<u32>(stock, --frames, BUNDLE_COUNT)
    const frame = load<u32>(stock + frames * DESCRIPTOR_BYTES, BUNDLE_DESCRIPTORS + DESCRIPTOR_ADDRESS)
    const template = nextTemplate(state)
    const length = build(state, template, frame, now)
    const descriptor = bundle + BUNDLE_DESCRIPTORS + count * DESCRIPTOR_BYTES
    v128.store(descriptor, i32x4(0, 0, 0, 0))
    store<u32>(descriptor, frame, DESCRIPTOR_ADDRESS)
    store<u32>(descriptor, length, DESCRIPTOR_WIRE)
    store<u32>(descriptor, length, DESCRIPTOR_CAPTURED)
    store<f64>(state, load<f64>(state, GENERATOR_DUE) + generateGap(state, template), GENERATOR_DUE)
    bytes += <f64>length
    made += 1
    count++
  }
  store<u32>(bundle, count, BUNDLE_COUNT)
  store<f64>(state, made, GENERATOR_MADE)
  store<f64>(state, load<f64>(state, GENERATOR_BYTES_MADE) + bytes, GENERATOR_BYTES_MADE)
  return count - held
}

/** What should have gone out longer ago than the slack is not sent in a burst, but left out. */
function leaveOut(state: u32, now: f64): void {
  const interval = load<f64>(state, GENERATOR_INTERVAL)
  const late = now - load<f64>(state, GENERATOR_SLACK) - load<f64>(state, GENERATOR_DUE)
  if (interval === 0 || !(late > interval)) return
  const packets = floor<f64>(late / interval)
  store<f64>(state, load<f64>(state, GENERATOR_DUE) + packets * interval, GENERATOR_DUE)
  store<f64>(state, load<f64>(state, GENERATOR_LEFT_OUT) + packets, GENERATOR_LEFT_OUT)
}

/** Nanoseconds from this packet, made of `template`, to the next. */
export function generateGap(state: u32, template: u32): f64 {
  const interval = load<f64>(state, GENERATOR_INTERVAL)
  const arrivals = load<u32>(state, GENERATOR_ARRIVALS)
  if (arrivals === ARRIVALS_POISSON) return interval * randomExponential(state + GENERATOR_RANDOM)
  if (arrivals === ARRIVALS_RECORDED) return load<f64>(template, TEMPLATE_GAP)
  if (arrivals !== ARRIVALS_BURSTS) return interval
  const burst = load<u32>(state, GENERATOR_BURST)
  const left = load<u32>(state, GENERATOR_BURST_LEFT)
  store<u32>(state, left === 1 ? burst : left - 1, GENERATOR_BURST_LEFT)
  return left === 1 ? interval * <f64>burst : 0
}

function nextTemplate(state: u32): u32 {
  const slots = load<u32>(state, GENERATOR_SLOT_COUNT)
  let slot: u32
  if (load<u32>(state, GENERATOR_IN_TURN) === 0) slot = randomBelow(state + GENERATOR_RANDOM, slots)
  else {
    slot = load<u32>(state, GENERATOR_NEXT_SLOT)
    // Counted up after it was used, so that a round begins with its first packet and not behind the last one's.
    if (slot === slots) {
      slot = 0
      advanceRound(state)
    }
    store<u32>(state, slot + 1, GENERATOR_NEXT_SLOT)
  }
  const index = load<u32>(load<u32>(state, GENERATOR_SLOTS) + (slot << 2))
  return load<u32>(state, GENERATOR_TEMPLATES) + index * TEMPLATE_BYTES
}

/** Writes one packet to `frame`; gives its length. */
function build(state: u32, template: u32, frame: u32, now: f64): u32 {
  const length = load<u32>(template, TEMPLATE_LENGTH)
  memory.copy(frame, load<u32>(template, TEMPLATE_AT), length)
  let ipSum: u64 = load<u32>(template, TEMPLATE_IP_SUM)
  let sum: u64 = load<u32>(template, TEMPLATE_SUM)
  const fields = load<u32>(template, TEMPLATE_FIELDS)
  const end = fields + load<u32>(template, TEMPLATE_FIELD_COUNT) * FIELD_BYTES
  for (let field = fields; field < end; field += FIELD_BYTES) {
    const flags = load<u32>(field, FIELD_FLAGS)
    const halves = writeField(state, field, flags, frame + load<u32>(field, FIELD_AT))
    if ((flags & FIELD_IN_IP_SUM) !== 0) ipSum += halves
    if ((flags & FIELD_IN_SUM) !== 0) sum += halves
  }
  const stamp = load<u32>(template, TEMPLATE_STAMP)
  if (stamp !== 0) sum += writeStamp(state, frame + stamp, now)
  else {
    const reason = state + (load<u32>(template, TEMPLATE_UNSTAMPED) << 3)
    store<f64>(reason, load<f64>(reason, GENERATOR_UNSTAMPED) + 1, GENERATOR_UNSTAMPED)
  }
  const ipChecksum = load<u32>(template, TEMPLATE_IP_CHECKSUM)
  if (ipChecksum !== 0) store<u16>(frame + ipChecksum, fold(ipSum))
  const checksum = load<u32>(template, TEMPLATE_CHECKSUM)
  if (checksum === 0) return length
  const folded = fold(sum)
  store<u16>(frame + checksum, folded === 0 && load<u32>(template, TEMPLATE_IS_UDP) !== 0 ? 0xffff : folded)
  return length
}

/** Writes a field in network order; gives the sum of its 16-bit words as they lie in memory. */
function writeField(state: u32, field: u32, flags: u32, at: u32): u64 {
  const count = load<u32>(field, FIELD_COUNT)
  let value = load<u32>(field, FIELD_FIRST)
  if ((flags & FIELD_IN_ROUND) !== 0) {
    const shift = <u64>load<u32>(load<u32>(field, FIELD_RANGE), RANGE_SHIFT)
    const index = shift + <u64>load<u32>(field, FIELD_NEXT)
    // Of 2^32 values the sum wraps by itself.
    value += <u32>(count !== 0 && index >= <u64>count ? index - <u64>count : index)
  } else if ((flags & FIELD_IN_TURN) === 0) value += randomBelow(state + GENERATOR_RANDOM, count)
  else {
    const next = load<u32>(field, FIELD_NEXT)
    store<u32>(field, next + 1 === count ? 0 : next + 1, FIELD_NEXT)
    value += next
  }
  if ((flags & FIELD_IS_LONG) === 0) {
    const half = bswap<u16>(<u16>value)
    store<u16>(at, half)
    return half
  }
  const word = bswap<u32>(value)
  store<u32>(at, word)
  return <u64>(word & 0xffff) + <u64>(word >> 16)
}

function writeStamp(state: u32, at: u32, now: f64): u64 {
  const sequence = load<f64>(state, GENERATOR_STAMPED)
  store<f64>(state, sequence + 1, GENERATOR_STAMPED)
  store<u32>(at, STAMP_MAGIC_WORD, STAMP_MAGIC)
  store<u16>(at, <u16>load<u32>(state, GENERATOR_RUN), STAMP_RUN)
  store<u32>(at, <u32>(<u64>sequence), STAMP_SEQUENCE)
  store<u64>(at, <u64>(load<f64>(state, GENERATOR_START) + now), STAMP_TIME)
  let sum: u64 = 0
  for (let half = at; half < at + STAMP_BYTES; half += 2) sum += load<u16>(half)
  return sum
}

function fold(sum: u64): u16 {
  let folded = (sum >> 16) + (sum & 0xffff)
  folded = (folded >> 16) + (folded & 0xffff)
  folded = (folded >> 16) + (folded & 0xffff)
  return ~(<u16>folded)
}
