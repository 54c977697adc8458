import { spreadOf } from '../../bench/statistics.js'

/** As many as give a compiler on another thread its time, also where the machine has other work. */
const ROUNDS = 21

/**
 * Bytes of the heap that so many calls take once they are compiled: the median
 * of rounds of so many calls, because the first are not compiled yet and what
 * is collected within a round makes that one less.
 */
export function heapGrowth(calls: number, call: (n: number) => void): number {
  return spreadOf(
    Array.from({ length: ROUNDS }, () => {
      const before = process.memoryUsage().heapUsed
      for (let n = 0; n < calls; n++) call(n)
      return process.memoryUsage().heapUsed - before
    }),
  ).median
}
