import {
  alu32,
  alu64,
  HALVES_AT,
  halfBytesOf,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMapValue,
  type MapSpec,
  mov64,
  type Register,
} from '../../ebpf/index.js'
import { BITMAP_WORDS, WORDS_AT } from '../sets/v4-table.js'

/** Where a look-up goes on. `local` begins the names of its own labels. */
export interface LookupExits {
  readonly yes: string
  readonly no: string
  readonly local: string
}

/** Registers that the look-up overwrites. */
export type LookupV4Registers = readonly [Register, Register, Register, Register]

/**
 * Whether `address` (host order, overwritten) is in the table of `map`: falls
 * through where it is, jumps to `yes` or `no` otherwise. The search has no
 * branch to mispredict but its last; it takes log2 of the ranges of one block,
 * at most 11 turns. Comparisons with the map's own size never hold; they are
 * what the verifier concludes its bounds from.
 */
export function lookupV4(
  map: MapSpec,
  address: Register,
  [at, count, half, word]: LookupV4Registers,
  { yes, no, local }: LookupExits,
): Item[] {
  const halfBytes = halfBytesOf(map)
  const mostWords = wordsIn(halfBytes)
  const [search, turn, found] = [`${local} search`, `${local} turn`, `${local} found`]
  return [
    loadMapValue(at, map.name),
    load('u32', word, at, 0),
    jumpIf(word, '>', halfBytes, no),
    alu64('add', at, word),
    mov64(word, address),
    alu64('rsh', word, 16),
    alu64('lsh', word, 2),
    alu64('add', word, at),
    load('u32', half, word, HALVES_AT),
    load('u32', count, word, HALVES_AT + 4),
    alu32('sub', count, half),
    jumpIf32(count, '==', 0, no),
    jumpIf(half, '>', mostWords, no),
    alu64('lsh', half, 2),
    alu64('add', at, half),
    alu64('add', at, HALVES_AT + WORDS_AT),
    alu64('and', address, 0xffff),
    jumpIf32(count, '<', BITMAP_WORDS, search),
    // One bit an address, eight bytes at a time.
    mov64(word, address),
    alu64('rsh', word, 6),
    alu64('lsh', word, 3),
    alu64('add', at, word),
    load('u64', word, at, 0),
    alu64('and', address, 63),
    alu64('rsh', word, address),
    jumpIf(word, '&', 1, yes),
    jump(no),
    // Every range that begins at or before the address is a word below this number.
    label(search),
    alu64('add', address, 1),
    alu64('lsh', address, 16),
    jumpIf32(count, '<', 2, found),
    // `at` goes on by half the words where the word there still is below: the sign, spread over all bits, is the mask.
    label(turn),
    mov64(half, count),
    alu64('rsh', half, 1),
    alu64('lsh', half, 2),
    mov64(word, at),
    alu64('add', word, half),
    load('u32', word, word, 0),
    alu64('sub', word, address),
    alu64('arsh', word, 63),
    alu64('and', word, half),
    alu64('add', at, word),
    alu64('add', count, 1),
    alu64('rsh', count, 1),
    jumpIf32(count, '>=', 2, turn),
    label(found),
    load('u32', word, at, 0),
    jumpIf(word, '>=', address, no),
    alu64('and', word, 0xffff),
    alu64('add', word, 1),
    alu64('lsh', word, 16),
    jumpIf(word, '<', address, no),
  ]
}

/** Bytes behind the last word that the verifier believes the search could read. */
const SLACK_BYTES = 2 * BITMAP_WORDS * 4

/** Bytes that half a map needs for an image, with room to grow up to the next power of two. */
export function halfBytesForV4(imageBytes: number): number {
  const words = 2 ** Math.ceil(Math.log2(Math.max((imageBytes - WORDS_AT) / 4, LEAST_WORDS)))
  return WORDS_AT + words * 4 + SLACK_BYTES
}

const LEAST_WORDS = 4096

function wordsIn(halfBytes: number): number {
  return (halfBytes - WORDS_AT - SLACK_BYTES) / 4
}
