import type { Space } from '../memory/index.js'
import { TICK_MS } from './formats.js'
import {
  DATAGRAM_BYTES,
  DATAGRAM_NEXT,
  DATAGRAMS_BUCKETS,
  DATAGRAMS_BYTES,
  DATAGRAMS_FREE,
  DATAGRAMS_FREE_PLACE,
  DATAGRAMS_MASK,
  DATAGRAMS_TICKS,
  PLACE_BYTES,
  PLACE_NEXT,
} from './fragment-formats.js'

/** How fragments are tracked; what is not said is as Linux has it, or as large as a small network needs it. */
export interface FragmentsOptions {
  /**
   * Datagrams that are known at the same time, 2,176 bytes each; 512 where it is not said. The oldest makes
   * room. 0: fragments are not tracked, and dropped where addresses are translated.
   */
  readonly datagrams?: number
  /** Fragments that wait for the first of their datagram; 512 where it is not said. The datagram that has waited longest makes room. */
  readonly waiting?: number
  /** Seconds from a datagram's first piece to its last; 30 where it is not said (Linux: 30, of IPv6 60). */
  readonly seconds?: number
}

const DATAGRAMS = 512
/** Fragments that wait, where nobody says how many. */
export const WAITING_FRAGMENTS = 512
const SECONDS = 30

/** What the fragments of a table take, in bytes. */
export function fragmentsBytes(options: FragmentsOptions = {}): number {
  const { datagrams, waiting, buckets } = sizesOf(options)
  return datagrams === 0 ? 0 : DATAGRAMS_BYTES + buckets * 4 + datagrams * DATAGRAM_BYTES + waiting * PLACE_BYTES
}

function sizesOf({ datagrams = DATAGRAMS, waiting = WAITING_FRAGMENTS }: FragmentsOptions) {
  return { datagrams, waiting, buckets: 2 ** Math.ceil(Math.log2(Math.max(4, datagrams * 2))) }
}

/** Makes a table of datagrams in `fragmentsBytes` of zeros at `address`. */
export function writeFragments({ words }: Space, address: number, options: FragmentsOptions = {}): void {
  const { datagrams, waiting, buckets } = sizesOf(options)
  const first = address + DATAGRAMS_BYTES + buckets * 4
  const places = first + datagrams * DATAGRAM_BYTES
  const write = (at: number, value: number) => {
    words[at / 4] = value
  }
  write(address + DATAGRAMS_BUCKETS, address + DATAGRAMS_BYTES)
  write(address + DATAGRAMS_MASK, buckets - 1)
  write(address + DATAGRAMS_TICKS, Math.ceil(((options.seconds ?? SECONDS) * 1000) / TICK_MS))
  write(address + DATAGRAMS_FREE, first)
  for (let at = first; at + DATAGRAM_BYTES < places; at += DATAGRAM_BYTES)
    write(at + DATAGRAM_NEXT, at + DATAGRAM_BYTES)
  const end = places + waiting * PLACE_BYTES
  write(address + DATAGRAMS_FREE_PLACE, waiting === 0 ? 0 : places)
  for (let at = places; at + PLACE_BYTES < end; at += PLACE_BYTES) write(at + PLACE_NEXT, at + PLACE_BYTES)
}
