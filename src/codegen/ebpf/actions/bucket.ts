import {
  alu64,
  atomic,
  exit,
  type Item,
  jumpIf,
  label,
  load,
  mov64,
  neg64,
  R0,
  R1,
  R2,
  R3,
  type Register,
} from '../../../ebpf/index.js'

/**
 * A token bucket is one 64-bit word: the time at which it will be full again,
 * in 1/16 ns (the virtual scheduling of ITU-T I.371, annex A). A packet costs
 * the time in which its tokens grow, and has to fit the burst:
 *
 *     max(full, now) + cost <= now + burst x time of a token
 *
 * A word that is not after now is a full bucket, so zeroed memory is full
 * buckets, and one that has become full can be given to another key without a
 * loss. 16 parts of a nanosecond: the cost of 10 million packets a second is
 * within 0.03 %, and 2^63 are 18 years of uptime.
 */
export const TIME_SHIFT = 4

/**
 * Takes the packet's cost: R0 = 0, or 1 where the bucket has too little, and
 * ends the function. `bucket` is the word's address; `cost`, `now` and
 * `window` (the burst's time) are kept.
 *
 * No CPU waits and none tries again: what is over the limit, which under a
 * flood is nearly everything, only reads; the rest adds, and takes back what
 * turns out too much. Additions have one order, so all CPUs together never
 * let through more than the limit; two at its edge may both be refused.
 */
export function takeTokens(bucket: Register, cost: Register, now: Register, window: Register): Item[] {
  return [
    mov64(R2, now),
    alu64('add', R2, window),
    alu64('sub', R2, cost),
    load('u64', R0, bucket, 0),
    jumpIf(R0, 's>', now, 'not full'),
    // R0 is what is expected: where another CPU was first, its start is as good.
    mov64(R1, now),
    atomic('cmpxchg', 'u64', bucket, 0, R1),
    load('u64', R0, bucket, 0),
    label('not full'),
    jumpIf(R0, 's>', R2, 'over'),
    mov64(R3, cost),
    atomic('fetch add', 'u64', bucket, 0, R3),
    jumpIf(R3, 's>', R2, 'undo'),
    mov64(R0, 0),
    exit(),
    label('undo'),
    mov64(R3, cost),
    neg64(R3),
    atomic('add', 'u64', bucket, 0, R3),
    label('over'),
    mov64(R0, 1),
    exit(),
  ]
}
