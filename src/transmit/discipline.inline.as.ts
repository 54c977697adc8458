import { DESCRIPTOR_ADDRESS, METADATA_BYTES, METADATA_HAS_MARK, METADATA_MARK, METADATA_VALID } from '../memory/formats'
import { lengthOf } from './entries.inline.as'
import { fifoPut, fifoTake } from './fifo.inline.as'
import {
  KIND_FIFO,
  KIND_FQ_CODEL,
  KIND_PRIORITY,
  NODE_KIND,
  PRIORITY_BANDS,
  PRIORITY_BY,
  PRIORITY_MAP,
  PRIORITY_NODES,
  QUEUE_DUE,
  QUEUE_PACKETS,
  TOKENS_INNER,
  TOKENS_MOST,
  TOKENS_NOW,
  TOKENS_OVERHEAD,
  TOKENS_RATE,
} from './formats'
import { fqPut, fqTake } from './fq-codel.inline.as'
import { serviceOf } from './service.inline.as'

/** Of a token bucket: when tokens were counted last, f64. */
const COUNTED: usize = 24
/** Whether packets waited then, u32. */
const HAD_WAITING: usize = 48
/** Whoever lets packets out may come so late without its costing them anything: as timers of a millisecond do. */
const LATE_US: f64 = 10_000
/** Tokens that a time, computed from them, may be short of. */
const ROUNDING: f64 = 0.001

const MOST_MARK: u32 = 63

/** Puts an entry into a discipline, which may drop it or others. */
export function put(queue: u32, node: u32, entry: u32): void {
  const kind = load<u32>(node, NODE_KIND)
  if (kind === KIND_FIFO) fifoPut(queue, node, entry)
  else if (kind === KIND_FQ_CODEL) fqPut(queue, node, entry)
  else if (kind === KIND_PRIORITY) put(queue, bandOf(node, entry), entry)
  else put(queue, load<u32>(node, TOKENS_INNER), entry)
}

/** The entry that is to leave a discipline at the time `now`; 0 where none is, or not yet (QUEUE_DUE). */
export function take(queue: u32, node: u32, now: f64): u32 {
  const kind = load<u32>(node, NODE_KIND)
  if (kind === KIND_FIFO) return fifoTake(node)
  if (kind === KIND_FQ_CODEL) return fqTake(queue, node, now)
  return kind === KIND_PRIORITY ? takeFirst(queue, node, now) : takeInTime(queue, node, now)
}

/** Strict priority: bands in their order. */
function takeFirst(queue: u32, node: u32, now: f64): u32 {
  const nodes = node + <u32>PRIORITY_NODES
  for (let at = nodes, end = nodes + (load<u32>(node, PRIORITY_BANDS) << 2); at < end; at += 4) {
    const entry = take(queue, load<u32>(at), now)
    if (entry !== 0) return entry
  }
  return 0
}

function bandOf(node: u32, entry: u32): u32 {
  let key: u32 = 0
  if (load<u32>(node, PRIORITY_BY) === 0) key = serviceOf(entry) >> 2
  else {
    const metadata = load<u32>(entry, DESCRIPTOR_ADDRESS) - METADATA_BYTES
    if ((load<u8>(metadata, METADATA_VALID) & METADATA_HAS_MARK) !== 0)
      key = min<u32>(load<u32>(metadata, METADATA_MARK), MOST_MARK)
  }
  const band: u32 = load<u8>(node + key, PRIORITY_MAP)
  return load<u32>(node + (band << 2), PRIORITY_NODES)
}

/**
 * A token bucket: tokens are bytes and grow with the time. A packet leaves when
 * there is no debt, and may make one; so nothing is taken from behind before it
 * may go, and whoever waits there can still be overtaken, or dropped. What is
 * too much for the bucket is lost only where nobody waited: a wake-up that comes
 * late would make the rate smaller.
 */
function takeInTime(queue: u32, node: u32, now: f64): u32 {
  const most = load<f64>(node, TOKENS_MOST)
  const rate = load<f64>(node, TOKENS_RATE)
  const grown = load<f64>(node, TOKENS_NOW) + (now - load<f64>(node, COUNTED)) * rate
  const tokens = min<f64>(grown, load<u32>(node, HAD_WAITING) !== 0 ? most + rate * LATE_US : most)
  store<f64>(node, tokens, TOKENS_NOW)
  store<f64>(node, now, COUNTED)
  if (tokens < -ROUNDING) {
    const due = now - tokens / rate
    const earliest = load<f64>(queue, QUEUE_DUE)
    if (earliest === 0 || due < earliest) store<f64>(queue, due, QUEUE_DUE)
    store<u32>(node, u32(load<u32>(queue, QUEUE_PACKETS) > 0), HAD_WAITING)
    return 0
  }
  const entry = take(queue, load<u32>(node, TOKENS_INNER), now)
  // One that is taken counts until it has left the queue.
  store<u32>(node, u32(entry !== 0 && load<u32>(queue, QUEUE_PACKETS) > 1), HAD_WAITING)
  if (entry === 0) return 0
  store<f64>(node, tokens - <f64>(lengthOf(entry) + load<u32>(node, TOKENS_OVERHEAD)), TOKENS_NOW)
  return entry
}
