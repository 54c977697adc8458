import { DESCRIPTOR_ADDRESS } from '../memory/formats'
import { release } from '../memory/pool.inline.as'
import { FLOWS_CLOCK, TRACK_DROPS, TRACK_FLOWS, TRACK_POOL, TRACK_READY, TRACK_READY_LAST } from './formats'
import {
  DATAGRAM_ALL,
  DATAGRAM_BEGINS,
  DATAGRAM_BITS,
  DATAGRAM_BROKEN,
  DATAGRAM_BYTES,
  DATAGRAM_DEADLINE,
  DATAGRAM_HELD,
  DATAGRAM_HELD_LAST,
  DATAGRAM_HIGHEST,
  DATAGRAM_NEXT,
  DATAGRAM_RECEIVED,
  DATAGRAM_STATE,
  DATAGRAM_TOTAL,
  DATAGRAM_WAITING,
  DATAGRAMS_ALL,
  DATAGRAMS_BUCKETS,
  DATAGRAMS_FREE,
  DATAGRAMS_FREE_PLACE,
  DATAGRAMS_HELD,
  DATAGRAMS_KEY,
  DATAGRAMS_MASK,
  DATAGRAMS_TICKS,
  DATAGRAMS_WAITING,
  PLACE_NEXT,
  PLACE_STAGE,
} from './fragment-formats'
import { hashOf } from './hash.inline.as'

const LAST: u32 = 4
const BEFORE: u32 = 4
/** Eight bytes each, of a datagram of at most 65,535. */
const MOST_BITS: u32 = 8192

/** Gives a packet's frame back, and counts why. */
export function dropPacket(stage: u32, packet: u32, reason: u32): void {
  const counter = load<u32>(stage, TRACK_DROPS) + (reason << 3)
  store<f64>(counter, load<f64>(counter) + 1)
  release(load<u32>(stage, TRACK_POOL), packet)
}

function bucketOf(flows: u32, table: u32, key: u32): u32 {
  return load<u32>(table, DATAGRAMS_BUCKETS) + ((<u32>hashOf(flows, key) & load<u32>(table, DATAGRAMS_MASK)) << 2)
}

/** The datagram of the key in the table's head, or 0. */
export function findDatagram(flows: u32, table: u32): u32 {
  const key = table + <u32>DATAGRAMS_KEY
  let at = load<u32>(bucketOf(flows, table, key))
  while (at !== 0 && !isSameKey(at, key)) at = load<u32>(at, DATAGRAM_NEXT)
  return at
}

function isSameKey(one: u32, other: u32): bool {
  const two = v128.or(v128.xor(v128.load(one), v128.load(other)), v128.xor(v128.load(one, 16), v128.load(other, 16)))
  return !v128.any_true(v128.or(two, v128.xor(v128.load(one, 32), v128.load(other, 32))))
}

/** A new datagram of the key in the table's head; where there is no room the oldest one is forgotten. */
export function beginDatagram(stage: u32, flows: u32, table: u32, reason: u32): u32 {
  if (load<u32>(table, DATAGRAMS_FREE) === 0) forget(stage, flows, table, load<u32>(table, DATAGRAMS_ALL), reason)
  const datagram = load<u32>(table, DATAGRAMS_FREE)
  store<u32>(table, load<u32>(datagram, DATAGRAM_NEXT), DATAGRAMS_FREE)
  memory.fill(datagram, 0, DATAGRAM_BYTES)
  const key = table + <u32>DATAGRAMS_KEY
  memory.copy(datagram, key, 48)
  const bucket = bucketOf(flows, table, key)
  store<u32>(datagram, load<u32>(bucket), DATAGRAM_NEXT)
  store<u32>(bucket, datagram)
  store<u32>(datagram, load<u32>(flows, FLOWS_CLOCK) + load<u32>(table, DATAGRAMS_TICKS), DATAGRAM_DEADLINE)
  append(table + <u32>DATAGRAMS_ALL, datagram, DATAGRAM_ALL)
  return datagram
}

/** Forgets a datagram, of which nothing waits. */
export function endDatagram(flows: u32, table: u32, datagram: u32): void {
  let link = bucketOf(flows, table, datagram)
  while (load<u32>(link) !== datagram) link = load<u32>(link) + <u32>DATAGRAM_NEXT
  store<u32>(link, load<u32>(datagram, DATAGRAM_NEXT))
  remove(table + <u32>DATAGRAMS_ALL, datagram, DATAGRAM_ALL)
  store<u32>(datagram, load<u32>(table, DATAGRAMS_FREE), DATAGRAM_NEXT)
  store<u32>(table, datagram, DATAGRAMS_FREE)
}

/** Forgets a datagram; what waits of it is dropped. */
export function forget(stage: u32, flows: u32, table: u32, datagram: u32, reason: u32): void {
  dropHeld(stage, table, datagram, reason)
  endDatagram(flows, table, datagram)
}

/** Lets nothing of a datagram through any more, for as long as it is known. */
export function breakDatagram(stage: u32, table: u32, datagram: u32, reason: u32): void {
  dropHeld(stage, table, datagram, reason)
  store<u32>(datagram, DATAGRAM_BROKEN, DATAGRAM_STATE)
}

/** Forgets all whose time is over. */
export function forgetLate(stage: u32, table: u32, reason: u32): void {
  const flows = load<u32>(stage, TRACK_FLOWS)
  for (;;) {
    const oldest = load<u32>(table, DATAGRAMS_ALL)
    if (oldest === 0 || load<u32>(oldest, DATAGRAM_DEADLINE) >= load<u32>(flows, FLOWS_CLOCK)) return
    forget(stage, flows, table, oldest, reason)
  }
}

/** The fragment's bytes were missing; are there already, by a fragment of the same ones; or by others, or some of them. */
export const PLACED: u32 = 0
export const PLACED_TWICE: u32 = 1
export const PLACED_OVER: u32 = 2

/** Notes that the bytes from `begin` to `end` have come. Overlaps, and two ends, are what no host sends. */
export function placeBytes(datagram: u32, begin: u32, end: u32, more: u32): u32 {
  const total = load<u32>(datagram, DATAGRAM_TOTAL)
  const highest = load<u32>(datagram, DATAGRAM_HIGHEST)
  if (total !== 0 && (end > total || (more === 0 && end !== total))) return PLACED_OVER
  if (more === 0 && highest > end) return PLACED_OVER
  const first = begin >> 3
  const last = ((end + 7) >> 3) - 1
  let all: u64 = 0
  let missing: u64 = 0
  for (let word = first >> 6; word <= last >> 6; word++) {
    const mask = maskOf(word, first, last)
    const present = load<u64>(datagram + (word << 3), DATAGRAM_BITS) & mask
    all |= present
    missing |= present ^ mask
  }
  if (all !== 0) return missing === 0 && isSame(datagram, first, last) ? PLACED_TWICE : PLACED_OVER
  for (let word = first >> 6; word <= last >> 6; word++) {
    const at = datagram + (word << 3)
    store<u64>(at, load<u64>(at, DATAGRAM_BITS) | maskOf(word, first, last), DATAGRAM_BITS)
  }
  setBit(datagram + <u32>DATAGRAM_BEGINS, first)
  if (more === 0) store<u32>(datagram, end, DATAGRAM_TOTAL)
  store<u32>(datagram, max<u32>(highest, end), DATAGRAM_HIGHEST)
  store<u32>(datagram, load<u32>(datagram, DATAGRAM_RECEIVED) + end - begin, DATAGRAM_RECEIVED)
  return PLACED
}

/** Whether the bits `first` to `last`, which are there, came by one fragment, with no others. */
function isSame(datagram: u32, first: u32, last: u32): bool {
  const begins = datagram + <u32>DATAGRAM_BEGINS
  for (let bit = first + 1; bit <= last; bit++) if (hasBit(begins, bit)) return false
  const isEnd = last + 1 === MOST_BITS || !hasBit(datagram + <u32>DATAGRAM_BITS, last + 1) || hasBit(begins, last + 1)
  return isEnd && hasBit(begins, first)
}

function hasBit(bits: u32, bit: u32): bool {
  return (load<u8>(bits + (bit >> 3)) & (1 << (bit & 7))) !== 0
}

function setBit(bits: u32, bit: u32): void {
  const at = bits + (bit >> 3)
  store<u8>(at, load<u8>(at) | ((<u8>1) << (<u8>bit & 7)))
}

/** Of the bits `first` to `last`, those in this word. */
function maskOf(word: u32, first: u32, last: u32): u64 {
  const from: u64 = first > word << 6 ? first & 63 : 0
  const to: u64 = last < (word << 6) + 63 ? last & 63 : 63
  return ((<u64>-1) << from) & (<u64>-1 >> (63 - to))
}

export function isComplete(datagram: u32): bool {
  const total = load<u32>(datagram, DATAGRAM_TOTAL)
  return total !== 0 && load<u32>(datagram, DATAGRAM_RECEIVED) === total
}

/** Keeps a fragment until the first one of its datagram comes; false where there is no room. */
export function holdFragment(stage: u32, table: u32, datagram: u32, descriptor: u32, reason: u32): bool {
  if (load<u32>(table, DATAGRAMS_FREE_PLACE) === 0) {
    const oldest = load<u32>(table, DATAGRAMS_WAITING)
    // All places may be of what was let go and is not done with.
    if (oldest !== 0) breakDatagram(stage, table, oldest, reason)
    if (oldest === datagram || oldest === 0) return false
  }
  const place = load<u32>(table, DATAGRAMS_FREE_PLACE)
  store<u32>(table, load<u32>(place, PLACE_NEXT), DATAGRAMS_FREE_PLACE)
  store<u32>(table, load<u32>(table, DATAGRAMS_HELD) + 1, DATAGRAMS_HELD)
  v128.store(place, v128.load(descriptor))
  store<u32>(place, stage, PLACE_STAGE)
  if (load<u32>(datagram, DATAGRAM_HELD) === 0) append(table + <u32>DATAGRAMS_WAITING, datagram, DATAGRAM_WAITING)
  chain(datagram + <u32>DATAGRAM_HELD, place)
  return true
}

/** The next fragment that waits of a datagram, which is taken out; 0 behind the last. */
export function takeHeld(table: u32, datagram: u32): u32 {
  const place = load<u32>(datagram, DATAGRAM_HELD)
  if (place === 0) return 0
  const next = load<u32>(place, PLACE_NEXT)
  store<u32>(datagram, next, DATAGRAM_HELD)
  if (next !== 0) return place
  store<u32>(datagram, 0, DATAGRAM_HELD_LAST)
  remove(table + <u32>DATAGRAMS_WAITING, datagram, DATAGRAM_WAITING)
  return place
}

/** Hands a fragment back to the stage that it came to. */
export function makeReady(place: u32): void {
  chain(load<u32>(place, PLACE_STAGE) + <u32>TRACK_READY, place)
}

/** The next fragment that a stage need not keep any more, or 0. */
export function takeReady(stage: u32): u32 {
  const place = load<u32>(stage, TRACK_READY)
  if (place === 0) return 0
  store<u32>(stage, load<u32>(place, PLACE_NEXT), TRACK_READY)
  if (load<u32>(stage, TRACK_READY) === 0) store<u32>(stage, 0, TRACK_READY_LAST)
  return place
}

/** The place is free again; its fragment is somebody else's. */
export function freePlace(table: u32, place: u32): void {
  store<u32>(place, load<u32>(table, DATAGRAMS_FREE_PLACE), PLACE_NEXT)
  store<u32>(table, place, DATAGRAMS_FREE_PLACE)
  store<u32>(table, load<u32>(table, DATAGRAMS_HELD) - 1, DATAGRAMS_HELD)
}

/** Drops what waits of a datagram. */
export function dropHeld(stage: u32, table: u32, datagram: u32, reason: u32): void {
  for (let place = takeHeld(table, datagram); place !== 0; place = takeHeld(table, datagram)) {
    dropPacket(stage, load<u32>(place, DESCRIPTOR_ADDRESS), reason)
    freePlace(table, place)
  }
}

/** Appends a place to those of which the first and the last stand at `ends`. */
function chain(ends: u32, place: u32): void {
  store<u32>(place, 0, PLACE_NEXT)
  const last = load<u32>(ends, LAST)
  if (last === 0) store<u32>(ends, place)
  else store<u32>(last, place, PLACE_NEXT)
  store<u32>(ends, place, LAST)
}

/** Appends a datagram to a list; `link` is where it has the next one, and behind that the one before. */
function append(list: u32, datagram: u32, link: u32): void {
  const last = load<u32>(list, LAST)
  store<u32>(datagram + link, 0)
  store<u32>(datagram + link, last, BEFORE)
  store<u32>(last === 0 ? list : last + link, datagram)
  store<u32>(list, datagram, LAST)
}

function remove(list: u32, datagram: u32, link: u32): void {
  const next = load<u32>(datagram + link)
  const before = load<u32>(datagram + link, BEFORE)
  store<u32>(before === 0 ? list : before + link, next)
  store<u32>(next === 0 ? list + LAST : next + link + BEFORE, before)
}
