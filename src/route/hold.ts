import type { RunningStage, Stage, StageHost } from '../engine/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  MOST_IN_BUNDLE,
} from '../memory/index.js'
import { openShare, senderOf } from './ask-share.js'
import { NOTE_HOP_BEFORE, NOTE_NO_NEIGHBOUR, NOTE_REASON_BEFORE, TABLES_GENERATION } from './formats.js'
import { openReader } from './readers.js'
import type { RoutesPlace } from './routes.js'

export interface HoldOptions {
  /** Packets that wait at most, 1 to 256; what comes beyond them takes the place of the oldest. By default 64. */
  readonly most?: number
  /** How long each waits, in milliseconds; by default 3,000, in which the kernel asks three times. */
  readonly patienceMs?: number
  /**
   * A packet to `address`, 4 or 16 bytes, waits because the next hop of that number is unresolved; `sender` is whom it is
   * from (`senderOf`). 64 times in ten milliseconds at most, of which no sender has more than are left to the others.
   */
  ask(hop: number, address: Uint8Array, sender: number): void
}

const WORDS = DESCRIPTOR_BYTES / 4
const ETHERTYPE_AT = 12
const ETHERTYPE_IPV6 = 0x86dd
const DESTINATION_4 = 30
const DESTINATION_6 = 38
/** Who sends to all addresses of a network takes no more of the time of those that are known, nor all asks from the others. */
const MOST_ASKS = 64
const ASKS_MS = 10

/**
 * Keeps what `forward` found no neighbour's address for until there is one
 * (RFC 1812, 3.3.2): then it goes on to `again`, where `forward` routes it once
 * more. Whose time is over goes to `failed`, noted as without a neighbour.
 */
export function hold(name: string, tables: RoutesPlace, options: HoldOptions): Stage {
  const { most = 64, patienceMs = 3000, ask } = options
  return {
    name,
    outputs: ['again', 'failed'],
    drops: ['too many wait', 'closed'],
    kind: 'hold',
    settings: { address: tables.address, most, patienceMs, ask },
    start: (host) => startHold(host, tables, { most: Math.min(MOST_IN_BUNDLE, most), patienceMs, ask }),
  }
}

/** What waits, oldest first; its descriptors stand in a bundle, and beside each its port, hop and last moment. */
function startHold(
  host: StageHost,
  tables: RoutesPlace,
  { most, patienceMs, ask }: Required<HoldOptions>,
): RunningStage {
  const { space, code, pool, outputs, reserve, drops } = host
  const { words, bytes, memory, counters } = space
  const view = new DataView(memory.buffer)
  const look = code.find('holdLook')
  const reader = openReader(space, tables, pool.number)
  const waiting = reserve('waiting', 'bundle', BUNDLE_BYTES)
  const first = (waiting + BUNDLE_DESCRIPTORS) / 4
  const ends = new Float64Array(MOST_IN_BUNDLE)
  /** A byte for each that waits: whether the tables have another answer by now than to wait. */
  const answers = reserve('answers', 'state', MOST_IN_BUNDLE)
  const generation = () => Atomics.load(words, (tables.address + TABLES_GENERATION) / 4)
  let seen = 0
  const asks = openShare(MOST_ASKS)
  let asksSince = 0

  const packetAt = (at: number) => words[first + at * WORDS + DESCRIPTOR_ADDRESS / 4]!

  function destinationOf(packet: number): Uint8Array {
    return view.getUint16(packet + ETHERTYPE_AT) === ETHERTYPE_IPV6
      ? bytes.slice(packet + DESTINATION_6, packet + DESTINATION_6 + 16)
      : bytes.slice(packet + DESTINATION_4, packet + DESTINATION_4 + 4)
  }

  /** Moves the descriptor at `at` of those that wait to the end of another bundle. */
  function append(bundle: number, at: number): void {
    const count = words[bundle / 4]!
    const to = (bundle + BUNDLE_DESCRIPTORS) / 4 + count * WORDS
    words.copyWithin(to, first + at * WORDS, first + (at + 1) * WORDS)
    words[bundle / 4] = count + 1
  }

  function dropOldest(count: number, reason: number): void {
    if (count <= 0) return
    pool.give(first * 4, count)
    counters[drops / 8 + reason]! += count
    forget(count)
  }

  /** The first `count` do not wait any more. */
  function forget(count: number): void {
    const left = words[waiting / 4]! - count
    words.copyWithin(first, first + count * WORDS, first + (count + left) * WORDS)
    ends.copyWithin(0, count, count + left)
    words[waiting / 4] = left
  }

  function takeIn(bundle: number): void {
    const count = words[bundle / 4]!
    dropOldest(words[waiting / 4]! + Math.min(count, most) - most, 0)
    // What does not fit even into an empty stage is the bundle's begin.
    const surplus = Math.max(0, count - most)
    if (surplus > 0) {
      pool.give(bundle + BUNDLE_DESCRIPTORS, surplus)
      counters[drops / 8]! += surplus
    }
    const [from, held] = [(bundle + BUNDLE_DESCRIPTORS) / 4, words[waiting / 4]!]
    words.copyWithin(first + held * WORDS, from + surplus * WORDS, from + count * WORDS)
    words[waiting / 4] = held + count - surplus
    words[bundle / 4] = 0
    const now = performance.now()
    ends.fill(now + patienceMs, held, held + count - surplus)
    if (now - asksSince >= ASKS_MS) {
      asks.reset()
      asksSince = now
    }
    for (let at = held; at < held + count - surplus; at++) {
      const packet = packetAt(at)
      const sender = senderOf(view, packet)
      if (asks.take(sender)) ask(view.getUint32(packet - NOTE_HOP_BEFORE, true), destinationOf(packet), sender)
    }
    // The tables may have changed since these were routed.
    seen = 0
  }

  /** Sorts out who need not wait any more, in their order. */
  function sortOut(bundle: number, now: number, isChanged: boolean): void {
    const count = words[waiting / 4]!
    let left = 0
    if (isChanged) look(tables.address, reader, first * 4, count, answers)
    for (let at = 0; at < count; at++) {
      const packet = packetAt(at)
      if (isChanged && bytes[answers + at] !== 0) append(bundle, at)
      else if (now >= ends[at]!) {
        bytes[packet - NOTE_REASON_BEFORE] = NOTE_NO_NEIGHBOUR
        append(outputs[1]!, at)
      } else {
        words.copyWithin(first + left * WORDS, first + at * WORDS, first + (at + 1) * WORDS)
        ends[left++] = ends[at]!
      }
    }
    words[waiting / 4] = left
  }

  return {
    // The first packets of a flow wait here: those that come when the answer is there must leave behind them.
    flushesFirst: true,
    run: takeIn,
    flush(bundle) {
      if (words[waiting / 4] === 0) return
      const present = generation()
      sortOut(bundle, performance.now(), present !== seen)
      seen = present
    },
    close: () => dropOldest(words[waiting / 4]!, 1),
  }
}
