import {
  alu32,
  alu64,
  HALVES_AT,
  halfBytesOf,
  type Item,
  jump,
  jumpIf,
  label,
  load,
  loadMapValue,
  type MapSpec,
  mov64,
  type Register,
} from '../../ebpf/index.js'
import { BITMAP_RANGES, KIND_BITS, KIND_SEARCH, MOST_SLOT_BITS } from '../sets/v4-blocks.js'
import { BUCKET_BYTES, MULTIPLIER } from '../sets/v4-buckets.js'
import { BUCKETS_AT, HEADER, INDEX_AT } from '../sets/v4-table.js'

/** Where a look-up goes on. `local` begins the names of its own labels. */
export interface LookupExits {
  readonly yes: string
  readonly no: string
  readonly local: string
}

/** Registers that the look-up overwrites. */
export type LookupV4Registers = readonly [Register, Register, Register, Register, Register]

/**
 * Whether `address` (host order, overwritten) is in the table of `map`: falls
 * through where it is, jumps to `yes` or `no` otherwise.
 *
 * The address comes from another core's cache, the table perhaps from memory.
 * A branch that cannot be foretold would wait for both, and the packets behind
 * it with it. So what is compared is told by arithmetic, and the branches go
 * the same way for all packets of a flood. Comparisons with the map's own size
 * never hold: they are what the verifier concludes its bounds from.
 */
export function lookupV4(map: MapSpec, address: Register, registers: LookupV4Registers, exits: LookupExits): Item[] {
  const halfBytes = halfBytesOf(map)
  const [at, , , word] = registers
  return [
    loadMapValue(at, map.name),
    load('u32', word, at, 0),
    jumpIf(word, '>', halfBytes, exits.no),
    alu64('add', at, word),
    ...lookupBucket(halfBytes, address, registers, exits),
    ...lookupRange(halfBytes, address, registers, exits),
  ]
}

/** Jumps to `yes` where the address's bucket has it; `at` and `address` stay as they are. */
function lookupBucket(
  halfBytes: number,
  address: Register,
  [at, found, bucket, tag, shift]: LookupV4Registers,
  { yes, local }: LookupExits,
): Item[] {
  const mostBuckets = 2 ** Math.floor(Math.log2((halfBytes - BUCKETS_AT) / BUCKET_BYTES))
  const ranges = `${local} ranges`
  return [
    load('u32', shift, at, HALVES_AT + HEADER.bucketShift),
    jumpIf(shift, '==', 0, ranges),
    mov64(bucket, address),
    alu32('mul', bucket, MULTIPLIER),
    load('u32', tag, at, HALVES_AT + HEADER.tagMask),
    alu64('and', tag, bucket),
    alu32('rsh', bucket, shift),
    alu64('and', bucket, mostBuckets - 1),
    alu64('lsh', bucket, Math.log2(BUCKET_BYTES)),
    alu64('add', bucket, at),
    alu64('add', bucket, HALVES_AT + BUCKETS_AT),
    // A lane that is equal becomes 0; below zero by the subtraction, and not before, are such lanes alone.
    load('u64', shift, at, HALVES_AT + HEADER.eachLane),
    alu64('mul', tag, shift),
    load('u64', found, bucket, 0),
    alu64('xor', found, tag),
    load('u64', bucket, bucket, 8),
    alu64('xor', bucket, tag),
    ...[found, bucket].flatMap((lanes) => [
      mov64(tag, lanes),
      alu64('sub', tag, shift),
      alu64('xor', lanes, -1),
      alu64('and', lanes, tag),
    ]),
    alu64('or', found, bucket),
    load('u64', shift, at, HALVES_AT + HEADER.highestBits),
    jumpIf(found, '&', shift, yes),
    label(ranges),
  ]
}

/** Falls through where a range has the address, otherwise jumps; `at` is the live half. */
function lookupRange(halfBytes: number, address: Register, registers: LookupV4Registers, exits: LookupExits): Item[] {
  const { yes, no, local } = exits
  const [at, kind, units, word] = registers
  const [slots, search] = [`${local} slots`, `${local} search`]
  return [
    load('u32', units, at, HALVES_AT + HEADER.hasRanges),
    jumpIf(units, '==', 0, no),
    mov64(word, address),
    alu64('rsh', word, 16),
    alu64('lsh', word, 2),
    alu64('add', word, at),
    load('u32', units, word, HALVES_AT + INDEX_AT),
    jumpIf(units, '==', 0, no),
    load('u32', word, at, HALVES_AT + HEADER.wordsAt),
    mov64(kind, units),
    alu64('and', kind, 2 ** KIND_BITS - 1),
    alu64('rsh', units, KIND_BITS),
    alu64('lsh', units, 3),
    alu64('add', word, units),
    // The half's offset is in `at` already, which only a search asks again.
    load('u32', units, at, HALVES_AT + HEADER.turns),
    jumpIf(word, '>', halfBytes - SLACK_BYTES, no),
    alu64('add', at, word),
    alu64('and', address, 0xffff),
    jumpIf(kind, '<=', MOST_SLOT_BITS, slots),
    jumpIf(kind, '==', KIND_SEARCH, search),
    ...readBit(address, registers),
    jumpIf(word, '&', 1, yes),
    jump(no),
    label(search),
    ...searchRanges(address, registers, exits),
    jumpIf(word, '>=', address, no),
    alu64('and', word, 0xffff),
    alu64('add', word, 1),
    alu64('lsh', word, 16),
    jumpIf(word, '<', address, no),
    jump(yes),
    label(slots),
    ...askSlot(address, registers),
    jumpIf(word, 's<', 0, no),
  ]
}

/** `word` becomes the bit of the address in its lowest place. */
function readBit(address: Register, [at, , , word]: LookupV4Registers): Item[] {
  return [
    mov64(word, address),
    alu64('rsh', word, 6),
    alu64('lsh', word, 3),
    alu64('add', at, word),
    load('u64', word, at, HALVES_AT),
    alu64('and', address, 63),
    alu64('rsh', word, address),
  ]
}

/** `word` becomes the last range that begins at or before the address, which is then below `address`, if there is one. */
function searchRanges(
  address: Register,
  [at, count, turns, word, half]: LookupV4Registers,
  { no, local }: LookupExits,
): Item[] {
  const [turn, found] = [`${local} turn`, `${local} found`]
  return [
    load('u32', count, at, HALVES_AT),
    jumpIf(count, '>=', BITMAP_RANGES, no),
    // Every range that begins at or before the address is a word below this number.
    alu64('add', address, 1),
    alu64('lsh', address, 16),
    alu64('and', turns, MOST_TURNS),
    // `at` goes on by half the words where the word there still is below: the sign, spread over all bits, is the mask.
    label(turn),
    jumpIf(turns, '<', 1, found),
    alu64('sub', turns, 1),
    mov64(half, count),
    alu64('rsh', half, 1),
    alu64('lsh', half, 2),
    mov64(word, at),
    alu64('add', word, half),
    load('u32', word, word, HALVES_AT + 4),
    alu64('sub', word, address),
    alu64('arsh', word, 63),
    alu64('and', word, half),
    alu64('add', at, word),
    alu64('add', count, 1),
    alu64('rsh', count, 1),
    jump(turn),
    label(found),
    load('u32', word, at, HALVES_AT + 4),
  ]
}

/** `word` becomes negative where neither range of the address's slot has it: below the one, or above, and the other. */
function askSlot(address: Register, [at, kind, ranges, word, other]: LookupV4Registers): Item[] {
  return [
    mov64(word, address),
    alu64('lsh', word, kind),
    alu64('rsh', word, 16),
    alu64('and', word, 2 ** MOST_SLOT_BITS - 1),
    alu64('lsh', word, 3),
    alu64('add', at, word),
    load('u64', ranges, at, HALVES_AT),
    mov64(kind, ranges),
    alu64('rsh', kind, 48),
    mov64(other, address),
    alu64('sub', other, kind),
    mov64(kind, ranges),
    alu64('rsh', kind, 32),
    alu64('and', kind, 0xffff),
    alu64('sub', kind, address),
    alu64('or', other, kind),
    mov64(kind, ranges),
    alu64('rsh', kind, 16),
    alu64('and', kind, 0xffff),
    mov64(word, address),
    alu64('sub', word, kind),
    alu64('and', ranges, 0xffff),
    alu64('sub', ranges, address),
    alu64('or', word, ranges),
    alu64('and', word, other),
  ]
}

/** As a mask: a power of two less 1, and 11 turns find one of fewer than BITMAP_RANGES. */
const MOST_TURNS = 15

/** Bytes behind the last word that the verifier believes the search could read. */
const SLACK_BYTES = 16 * BITMAP_RANGES

/** Bytes that half a map needs for an image that grows by a quarter; LEAST_BYTES give a small set room as well. */
export function halfBytesForV4(imageBytes: number): number {
  const growing = BUCKETS_AT + Math.ceil((imageBytes - BUCKETS_AT) * GROWTH) + LEAST_BYTES + SLACK_BYTES
  return Math.ceil(growing / LINE_BYTES) * LINE_BYTES
}

const LINE_BYTES = 64
const GROWTH = 1.25
const LEAST_BYTES = 65_536
