import { append, DROP_FULL, drop, ENTRY_NEXT, lengthOf, shift } from './entries.inline.as'
import { FIFO_MOST_BYTES, FIFO_MOST_PACKETS } from './formats'

/** Further words: the list, and what is in it. */
const LIST: u32 = 12
const PACKETS: usize = 20
const BYTES: usize = 24

/** First in, first out; what is beyond the limit in packets or bytes is dropped. */
export function fifoPut(queue: u32, node: u32, entry: u32): void {
  const packets = load<u32>(node, PACKETS) + 1
  const bytes = load<u32>(node, BYTES) + lengthOf(entry)
  if (packets > load<u32>(node, FIFO_MOST_PACKETS) || bytes > load<u32>(node, FIFO_MOST_BYTES)) {
    drop(queue, entry, DROP_FULL)
    return
  }
  store<u32>(node, packets, PACKETS)
  store<u32>(node, bytes, BYTES)
  append(node + LIST, entry, ENTRY_NEXT)
}

export function fifoTake(node: u32): u32 {
  const entry = shift(node + LIST, ENTRY_NEXT)
  if (entry === 0) return 0
  store<u32>(node, load<u32>(node, PACKETS) - 1, PACKETS)
  store<u32>(node, load<u32>(node, BYTES) - lengthOf(entry), BYTES)
  return entry
}
