import type { Space } from '../memory/index.js'
import type { QueueStatistics } from './queue.js'
import { QUEUE_REASONS } from './queue-memory.js'

/**
 * What a queue tells other threads, f64 each: behind its drops (QUEUE_REASONS)
 * what it holds and has done. What is counted goes on where a queue before has
 * stood at the same place; -1 is no byte limit.
 */
const TOLD = ['packets', 'bytes', 'byteLimit', 'kicks', 'kicked', 'bypassed', 'heldBack', 'refused', 'marked'] as const
type Told = (typeof TOLD)[number]
const GAUGES: readonly Told[] = ['packets', 'bytes', 'byteLimit']

/** Memory for all of it, of whole cache lines. */
export const TOLD_QUEUE_BYTES = 128

/** Writes it, once a round: nothing is allocated. */
export function tellQueue(
  { counters }: Space,
  address: number,
): (now: { readonly [Field in Told]: () => number }) => void {
  const first = address / 8 + QUEUE_REASONS.length
  const before = TOLD.map((field, at) => (GAUGES.includes(field) ? 0 : counters[first + at]!))
  return (now) => {
    for (let at = 0; at < TOLD.length; at++) counters[first + at] = before[at]! + now[TOLD[at]!]()
  }
}

/** What a queue has told, from any thread. */
export function readQueue({ counters }: Space, address: number): QueueStatistics {
  const read = (field: Told) => counters[address / 8 + QUEUE_REASONS.length + TOLD.indexOf(field)]!
  const [kicks, limit] = [read('kicks'), read('byteLimit')]
  return {
    packets: read('packets'),
    bytes: read('bytes'),
    byteLimit: limit < 0 ? null : limit,
    kicks,
    packetsPerKick: kicks === 0 ? 0 : read('kicked') / kicks,
    bypassed: read('bypassed'),
    heldBack: read('heldBack'),
    refused: read('refused'),
    marked: read('marked'),
  }
}
