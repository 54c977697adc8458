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
  mov32,
  mov64,
  R10,
  type Register,
  store,
} from '../../ebpf/index.js'
import {
  BUCKET_BYTES,
  BUCKETS_AT,
  FIRST_NODE,
  HASH,
  KEY_BYTES,
  KEYS_AT,
  MOST_STEPS,
  NODE,
  NODE_BYTES,
  SLOTS,
} from '../sets/v6-table.js'
import type { LookupExits } from './lookup-v4.js'

/** Registers that the look-up overwrites; the address may come in any two of them. */
export type LookupV6Registers = readonly [Register, Register, Register, Register, Register, Register]

/** Where things lie on the stack that would take a register each. */
const STACK = { high: -16, low: -24, half: -32, steps: -40 } as const
const MOST_NODES = 256
/** Tag of the slot, exclusive or that of the step. */
const [IS_MARKER, IS_PREFIX] = [0, 1]

/**
 * Whether the address whose words 0 and 1 are in `high`, words 2 and 3 in `low`,
 * is in the table of `map`: jumps to `yes` or `no`. The table says how many
 * steps that takes; the bound of 8 is for the verifier.
 */
export function lookupV6(
  map: MapSpec,
  high: Register,
  low: Register,
  [node, maskedHigh, maskedLow, hash, bucket, scratch]: LookupV6Registers,
  { yes, no, local }: LookupExits,
): Item[] {
  const halfBytes = halfBytesOf(map)
  const buckets = (halfBytes - BUCKETS_AT) / BUCKET_BYTES
  const [step, next, marked] = [`${local} step`, `${local} next`, `${local} marker`]
  const slots = (choice: number): Item[] => [
    alu64('and', bucket, buckets - 1),
    alu64('lsh', bucket, Math.log2(BUCKET_BYTES)),
    load('u64', scratch, R10, STACK.half),
    alu64('add', bucket, scratch),
    alu64('add', bucket, BUCKETS_AT),
    ...Array.from({ length: SLOTS }, (_, slot) =>
      matchSlot(slot, `${local} ${choice}.${slot}`, { node, bucket, scratch, maskedHigh, maskedLow, yes, marked }),
    ).flat(),
  ]
  return [
    store('u64', R10, STACK.high, high),
    store('u64', R10, STACK.low, low),
    loadMapValue(node, map.name),
    load('u32', scratch, node, 0),
    jumpIf(scratch, '>', halfBytes, no),
    alu64('add', node, scratch),
    alu64('add', node, HALVES_AT),
    store('u64', R10, STACK.half, node),
    store('u64', R10, STACK.steps, MOST_STEPS),
    alu64('add', node, FIRST_NODE * NODE_BYTES),
    label(step),
    ...mask(maskedHigh, node, NODE.high, STACK.high, scratch),
    ...mask(maskedLow, node, NODE.low, STACK.low, scratch),
    load('u32', hash, node, NODE.start),
    ...hashWords(hash, maskedHigh, scratch),
    ...hashWords(hash, maskedLow, scratch),
    mov32(bucket, hash),
    load('u32', scratch, node, NODE.mask),
    alu32('and', bucket, scratch),
    ...slots(1),
    mov32(bucket, hash),
    alu32('mul', bucket, HASH.second),
    alu32('rsh', bucket, HASH.secondShift),
    load('u32', scratch, node, NODE.mask),
    alu32('and', bucket, scratch),
    ...slots(2),
    load('u16', hash, node, NODE.nothing),
    jump(next),
    label(marked),
    load('u16', hash, node, NODE.marker),
    label(next),
    jumpIf(hash, '==', 0, no),
    load('u64', scratch, R10, STACK.steps),
    alu64('sub', scratch, 1),
    jumpIf(scratch, '==', 0, no),
    store('u64', R10, STACK.steps, scratch),
    alu64('and', hash, MOST_NODES - 1),
    alu64('lsh', hash, Math.log2(NODE_BYTES)),
    load('u64', node, R10, STACK.half),
    alu64('add', node, hash),
    jump(step),
  ]
}

function mask(masked: Register, node: Register, at: number, address: number, scratch: Register): Item[] {
  return [load('u64', masked, node, at), load('u64', scratch, R10, address), alu64('and', masked, scratch)]
}

/** Goes on with the upper, then the lower half of `words`, as `bucketsOf` does. */
function hashWords(hash: Register, words: Register, scratch: Register): Item[] {
  const mix = [
    alu32('xor', hash, scratch),
    alu32('mul', hash, HASH.word),
    mov32(scratch, hash),
    alu32('rsh', scratch, HASH.wordShift),
    alu32('xor', hash, scratch),
  ]
  return [mov64(scratch, words), alu64('rsh', scratch, 32), ...mix, mov32(scratch, words), ...mix]
}

interface SlotPlaces {
  readonly node: Register
  readonly bucket: Register
  readonly scratch: Register
  readonly maskedHigh: Register
  readonly maskedLow: Register
  readonly yes: string
  readonly marked: string
}

function matchSlot(slot: number, other: string, places: SlotPlaces): Item[] {
  const { node, bucket, scratch, maskedHigh, maskedLow, yes, marked } = places
  const key = KEYS_AT + slot * KEY_BYTES
  return [
    load('u64', scratch, bucket, key),
    jumpIf(scratch, '!=', maskedHigh, other),
    load('u64', scratch, bucket, key + 8),
    jumpIf(scratch, '!=', maskedLow, other),
    load('u32', scratch, bucket, slot * 4),
    // Rare enough that the mask may be applied again, for want of a register.
    load('u32', maskedLow, node, NODE.tag),
    alu64('xor', scratch, maskedLow),
    jumpIf(scratch, '==', IS_PREFIX, yes),
    jumpIf(scratch, '==', IS_MARKER, marked),
    ...mask(maskedLow, node, NODE.low, STACK.low, scratch),
    label(other),
  ]
}

/** Bytes that half a map needs for an image: tables grow by doubling, so the last one has room. */
export function halfBytesForV6(imageBytes: number): number {
  return Math.max(imageBytes, BUCKETS_AT + LEAST_BUCKETS * BUCKET_BYTES)
}

const LEAST_BUCKETS = 64
