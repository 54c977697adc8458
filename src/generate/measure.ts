import type { Stage } from '../engine/index.js'
import {
  DELAY_STEP_SHIFT,
  DELAY_STEPS,
  MEASURE_BYTES_RECEIVED,
  MEASURE_CORRUPTED,
  MEASURE_DELAY_LEAST,
  MEASURE_DELAY_MOST,
  MEASURE_DELAY_SUM,
  MEASURE_DELAYS,
  MEASURE_DUPLICATES,
  MEASURE_FIRST,
  MEASURE_HAS_RUN,
  MEASURE_LAST,
  MEASURE_NEXT,
  MEASURE_OTHER_RUNS,
  MEASURE_OTHERS,
  MEASURE_RECEIVED,
  MEASURE_REORDERED,
  MEASURE_RUN,
  MEASURE_SEEN,
  MEASURE_TOO_OLD,
  SEEN_PACKETS,
} from './formats.js'

/** Delays between making and receiving, in nanoseconds; percentiles to 1.6 %. Null where nothing came. */
export interface Delays {
  readonly least: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly most: number
}

/** What came of one run. */
export interface Measured {
  /** Which, or null where no stamped packet has come; the first run that is seen is measured. */
  readonly run: number | null
  /** Distinct packets, and their bytes on the wire. */
  readonly received: number
  readonly bytes: number
  /** One more than the highest sequence number: so many have been sent at least. */
  readonly expected: number
  readonly duplicates: number
  /** Behind a packet with a higher number (RFC 4737, section 3.3); copies are not counted here. */
  readonly reordered: number
  /** More than 2^20 numbers behind: whether they are copies is not known, so they count as lost. */
  readonly tooOld: number
  /** Stamped, and with a wrong checksum: not received. */
  readonly corrupted: number
  readonly otherRuns: number
  /** Packets without a stamp. */
  readonly others: number
  /** Between the first and the last packet that was received. */
  readonly durationNs: number
  readonly delaysNs: Delays | null
}

const NOTHING: Measured = {
  run: null,
  received: 0,
  bytes: 0,
  expected: 0,
  duplicates: 0,
  reordered: 0,
  tooOld: 0,
  corrupted: 0,
  otherRuns: 0,
  others: 0,
  durationNs: 0,
  delaysNs: null,
}

/**
 * Looks for the generator's stamps, and hands every packet on. `clock` gives
 * the nanoseconds that the generator's clock gives: delays are as right as the
 * two agree. `read` can be asked at any time.
 */
export function measure(name: string, clock: () => number): Stage & { read(): Measured } {
  let read = () => NOTHING
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'measure',
    settings: { clock },
    read: () => read(),
    start({ space, code, reserve }) {
      const state = reserve('measured', 'state', MEASURE_SEEN + SEEN_PACKETS / 8)
      const run = code.find('measure')
      read = () => readState(space.words, space.counters, state)
      return {
        run: (bundle) => run(state, bundle, clock()),
        close() {
          const last = read()
          read = () => last
        },
      }
    },
  }
}

function readState(words: Uint32Array, counters: Float64Array, state: number): Measured {
  const word = (field: number) => words[(state + field) / 4]!
  const count = (field: number) => counters[(state + field) / 8]!
  return {
    run: word(MEASURE_HAS_RUN) === 0 ? null : word(MEASURE_RUN),
    received: count(MEASURE_RECEIVED),
    bytes: count(MEASURE_BYTES_RECEIVED),
    expected: word(MEASURE_NEXT),
    duplicates: count(MEASURE_DUPLICATES),
    reordered: count(MEASURE_REORDERED),
    tooOld: count(MEASURE_TOO_OLD),
    corrupted: count(MEASURE_CORRUPTED),
    otherRuns: count(MEASURE_OTHER_RUNS),
    others: count(MEASURE_OTHERS),
    durationNs: count(MEASURE_LAST) - count(MEASURE_FIRST),
    delaysNs: count(MEASURE_RECEIVED) === 0 ? null : readDelays(counters, state),
  }
}

function readDelays(counters: Float64Array, state: number): Delays {
  const count = (field: number) => counters[(state + field) / 8]!
  const steps = counters.subarray((state + MEASURE_DELAYS) / 8, (state + MEASURE_DELAYS) / 8 + DELAY_STEPS)
  const received = count(MEASURE_RECEIVED)
  const [least, most] = [count(MEASURE_DELAY_LEAST), count(MEASURE_DELAY_MOST)]
  const percentile = (share: number) => {
    let left = Math.ceil(share * received)
    const step = steps.findIndex((packets) => {
      left -= packets
      return left <= 0
    })
    return Math.min(most, Math.max(least, stepNs(step)))
  }
  return {
    least,
    mean: count(MEASURE_DELAY_SUM) / received,
    p50: percentile(0.5),
    p90: percentile(0.9),
    p99: percentile(0.99),
    p999: percentile(0.999),
    most,
  }
}

/** The middle of a step of the table of delays. */
function stepNs(step: number): number {
  const steps = 2 ** DELAY_STEP_SHIFT
  if (step < steps) return step
  const shift = Math.floor(step / steps) - 1
  return (step - shift * steps + 0.5) * 2 ** shift
}
