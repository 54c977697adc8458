import {
  access,
  block,
  br,
  brIf,
  end,
  get,
  i32,
  i64,
  loop,
  op,
  set,
  tee,
  type WasmFunction,
  when,
} from '../../wasm/index.js'
import { KIND_BITMAP, KIND_BITS, KIND_SEARCH } from '../sets/v4-blocks.js'
import { BUCKET_BYTES, MULTIPLIER } from '../sets/v4-buckets.js'
import { BUCKETS_AT, HEADER, INDEX_AT } from '../sets/v4-table.js'
import { longs, shifted, words } from './lookup-parts.js'

/**
 * `name(address, image)`: 1 where the address (host order) is in the image that
 * `buildV4Table` has made, which lies at that address of the memory; else 0.
 * As in eBPF, what is compared is told by arithmetic: the branches depend on
 * the table, and not on the address.
 */
export function lookupV4(name: string): WasmFunction {
  return {
    name,
    exported: false,
    parameters: words('address', 'image'),
    results: ['i32'],
    locals: [
      ...words('hash', 'shift', 'at', 'entry', 'kind', 'count', 'half', 'limit'),
      ...longs('tags', 'lanes', 'each', 'found'),
    ],
    body: [
      ...[block('no buckets'), get('image'), access('i32.load', HEADER.bucketShift), tee('shift')],
      ...[op('i32.eqz'), brIf('no buckets'), ...inBucket, set('found'), end],
      ...[get('image'), access('i32.load', HEADER.hasRanges), op('i32.eqz'), when('buckets only')],
      ...[get('found'), i64(0n), op('i64.ne'), op('return'), end],
      ...[get('found'), i64(0n), op('i64.ne'), when('found'), i32(1), op('return'), end],
      ...inRanges,
    ],
  }
}

/** Leaves a number other than 0 where a lane of the bucket is equal to the tag. */
const inBucket = [
  ...[get('address'), i32(MULTIPLIER), op('i32.mul'), tee('hash')],
  ...[get('image'), access('i32.load', HEADER.tagMask), op('i32.and'), op('i64.extend_i32_u')],
  ...[get('image'), access('i64.load', HEADER.eachLane), tee('each'), op('i64.mul'), set('tags')],
  ...[get('hash'), get('shift'), op('i32.shr_u'), ...shifted(Math.log2(BUCKET_BYTES))],
  ...[get('image'), op('i32.add'), set('at')],
  // A lane that is equal becomes 0; below zero by the subtraction, and not before, are such lanes alone.
  ...equalLanes(0),
  ...equalLanes(8),
  ...[op('i64.or'), get('image'), access('i64.load', HEADER.highestBits), op('i64.and')],
]

function equalLanes(offset: number) {
  return [
    ...[get('at'), access('i64.load', BUCKETS_AT + offset), get('tags'), op('i64.xor'), tee('lanes')],
    ...[i64(-1n), op('i64.xor'), get('lanes'), get('each'), op('i64.sub'), op('i64.and')],
  ]
}

const LOW = 0xffff

/** Leaves 1 where a range has the address, else 0. */
const inRanges = [
  ...[block('no range'), get('address'), i32(16), op('i32.shr_u'), ...shifted(2), get('image'), op('i32.add')],
  ...[access('i32.load', INDEX_AT), tee('entry'), op('i32.eqz'), brIf('no range')],
  ...[get('image'), access('i32.load', HEADER.wordsAt), get('image'), op('i32.add')],
  ...[get('entry'), i32(KIND_BITS), op('i32.shr_u'), ...shifted(3), op('i32.add'), set('at')],
  ...[get('entry'), i32(2 ** KIND_BITS - 1), op('i32.and'), set('kind')],
  ...[get('address'), i32(LOW), op('i32.and'), set('entry')],
  ...[block('is bitmap'), block('is search')],
  ...[get('kind'), i32(KIND_SEARCH), op('i32.eq'), brIf('is search')],
  ...[get('kind'), i32(KIND_BITMAP), op('i32.eq'), brIf('is bitmap')],
  ...inSlot(),
  ...[op('return'), end],
  ...searched(),
  ...[op('return'), end],
  // A bit for each address.
  ...[get('entry'), i32(3), op('i32.shr_u'), get('at'), op('i32.add'), access('i32.load8_u', 0)],
  ...[get('entry'), i32(7), op('i32.and'), op('i32.shr_u'), i32(1), op('i32.and'), op('return')],
  ...[end, i32(0)],
]

/** Whether one of the two ranges of the slot has the address, whose low half is in `entry`. */
function inSlot() {
  const inRange = (offset: number) => [
    ...[get('entry'), get('at'), access('i32.load16_u', offset + 2), op('i32.ge_u')],
    ...[get('entry'), get('at'), access('i32.load16_u', offset), op('i32.le_u'), op('i32.and')],
  ]
  return [
    ...[get('entry'), get('kind'), op('i32.shl'), i32(16), op('i32.shr_u'), ...shifted(3)],
    ...[get('at'), op('i32.add'), set('at'), ...inRange(0), ...inRange(4), op('i32.or')],
  ]
}

/** Whether the last range that begins at or before the address ends at or behind it. */
function searched() {
  return [
    ...[get('at'), access('i32.load', 0), set('count'), get('at'), i32(4), op('i32.add'), set('at')],
    // Words up to this one begin at or before the address.
    ...[get('entry'), i32(16), op('i32.shl'), i32(LOW), op('i32.or'), set('limit')],
    ...[block('found'), loop('turn'), get('count'), i32(2), op('i32.lt_u'), brIf('found')],
    ...[get('count'), i32(1), op('i32.shr_u'), tee('half'), ...shifted(2), get('at'), op('i32.add'), tee('shift')],
    ...[get('at'), get('shift'), access('i32.load', 0), get('limit'), op('i32.le_u'), op('select'), set('at')],
    ...[get('count'), get('half'), op('i32.sub'), set('count'), br('turn'), end, end],
    ...[get('at'), access('i32.load', 0), tee('half'), get('limit'), op('i32.le_u')],
    ...[get('half'), i32(LOW), op('i32.and'), get('entry'), op('i32.ge_u'), op('i32.and')],
  ]
}
