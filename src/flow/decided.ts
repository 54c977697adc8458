import type { Space } from '../memory/index.js'
import {
  FLOW_ADDRESSES,
  FLOW_BYTES,
  FLOW_DEADLINE,
  FLOW_KEYS,
  FLOW_LONGEST,
  FLOW_PORTS,
  FLOW_REWRITES,
  FLOW_ROUTE_GENERATION,
  FLOW_SIDES,
  FLOW_STATE,
  FLOW_STATUS,
  FLOWS_CAPACITY,
  FLOWS_CLOCK,
  FLOWS_RECORDS,
  FLOWS_TIMEOUTS,
  IN_PORT_SHIFT,
  KEY_BYTES,
  KEY_FAMILY,
  KEY_PROTOCOL,
  STATE_ESTABLISHED,
  STATE_UDP,
  STATE_UDP_STREAM,
  STATUS_ASSURED,
  STATUS_DESTINATION,
  STATUS_IN_USE,
  STATUS_REPLIED,
  STATUS_ROUTED,
  STATUS_SOURCE,
  STATUS_USES,
} from './formats.js'
import { type FlowKey, flowKeyAt } from './list.js'

/**
 * Decisions that are remembered with flows, for whoever wants to carry them out
 * elsewhere, while the table's worker goes on in another thread: what is read
 * twice, some time apart, and is the same, was no half of a change.
 */

/** What becomes of the packets of one direction of a flow. */
export interface FlowDecision {
  readonly key: FlowKey
  readonly inPort: number
  readonly outPort: number
  /** The longest IP packet for which it was taken. */
  readonly longestBytes: number
  readonly destinationMac: Uint8Array
  readonly sourceMac: Uint8Array
  /** What packets are to carry instead of the key. */
  readonly translated?: FlowKey
}

/** A flow with the decisions of its directions, one or two. */
export interface DecidedFlow {
  readonly family: 4 | 6
  readonly protocol: number
  readonly decisions: readonly FlowDecision[]
}

/** A table of flows, as another thread sees it. */
export interface DecidedFlows {
  readonly capacity: number
  /** Changes with nearly every packet of the flow; of a number that is not in use it means nothing. */
  deadline(number: number): number
  /**
   * Whether the flow has decisions of that generation for packets that do not
   * change its state: a connection that is established, or UDP that nobody
   * answers or that is a stream, which a full table keeps; not with other
   * addresses of IPv6. Gives a number that stays until the flow or a decision is another, or 0.
   */
  stamp(number: number, generation: number): number
  /** The flow's decisions as they are now; those of a stamp that is not 0. */
  read(number: number): DecidedFlow
  /** The flow lives as if it had just had a packet; nothing where it has had one meanwhile. */
  keepAlive(number: number): void
  /** From now on packets beyond its windows pass, for not all are seen. False where they were not let pass before. */
  trackLiberally(number: number): boolean
}

/** SIDE_LIBERAL of tcp-window.inline.as.ts, of both sides. */
const BOTH_LIBERAL = 0x0808
const BOTH_ROUTED = STATUS_ROUTED * 3
const REWRITE_BYTES = 12
const MAC_BYTES = 6

/** Looks at the table whose head is at that address. */
export function openDecided({ words, bytes }: Space, head: number): DecidedFlows {
  const halves = new Uint16Array(words.buffer)
  const [records, capacity] = [words[(head + FLOWS_RECORDS) / 4]!, words[(head + FLOWS_CAPACITY) / 4]!]
  const at = (number: number) => records + number * FLOW_BYTES
  const isTcp = (state: number) => state === STATE_ESTABLISHED
  const isTranslated = (status: number) => (status & (STATUS_SOURCE | STATUS_DESTINATION)) !== 0

  function stamp(number: number, generation: number): number {
    const flow = at(number)
    const status = halves[(flow + FLOW_STATUS) / 2]!
    const state = bytes[flow + FLOW_STATE]!
    if ((status & STATUS_IN_USE) === 0 || (status & BOTH_ROUTED) === 0) return 0
    if (words[(flow + FLOW_ROUTE_GENERATION) / 4] !== generation) return 0
    const isKept = isTcp(state) || state === STATE_UDP_STREAM
    if (isKept ? (status & STATUS_ASSURED) === 0 : state !== STATE_UDP || (status & STATUS_REPLIED) !== 0) return 0
    // How often it was taken, the directions and how long packets were: decisions of one generation are the same else.
    let sum = status & (STATUS_USES | BOTH_ROUTED | STATUS_IN_USE)
    for (let word = FLOW_LONGEST; word < FLOW_REWRITES + 2 * REWRITE_BYTES; word += 4)
      sum = Math.imul(sum ^ words[(flow + word) / 4]!, 0x01000193)
    for (let word = FLOW_KEYS; word < FLOW_KEYS + 2 * KEY_BYTES; word += 4)
      sum = Math.imul(sum ^ words[(flow + word) / 4]!, 0x01000193)
    // IPv6 has the addresses of both keys behind the flow.
    const end = bytes[flow + FLOW_KEYS + KEY_FAMILY] === 6 ? FLOW_BYTES : FLOW_ADDRESSES
    for (let word = FLOW_ADDRESSES; word < end; word += 4) sum = Math.imul(sum ^ words[(flow + word) / 4]!, 0x01000193)
    return (sum ^ halves[(flow + FLOW_PORTS) / 2]!) >>> 0 || 1
  }

  function decision(flow: number, direction: 0 | 1): FlowDecision {
    const rewrite = flow + FLOW_REWRITES + direction * REWRITE_BYTES
    const ports = bytes[flow + FLOW_PORTS + direction]!
    const status = halves[(flow + FLOW_STATUS) / 2]!
    const answer = flowKeyAt(bytes, flow, 1 - direction)
    return {
      key: flowKeyAt(bytes, flow, direction),
      inPort: ports >> IN_PORT_SHIFT,
      outPort: ports & ((1 << IN_PORT_SHIFT) - 1),
      longestBytes: halves[(flow + FLOW_LONGEST) / 2 + direction]!,
      destinationMac: bytes.slice(rewrite, rewrite + MAC_BYTES),
      sourceMac: bytes.slice(rewrite + MAC_BYTES, rewrite + REWRITE_BYTES),
      ...(isTranslated(status) && { translated: turned(answer) }),
    }
  }

  return {
    capacity,
    deadline: (number) => words[(at(number) + FLOW_DEADLINE) / 4]!,
    stamp,
    read(number) {
      const flow = at(number)
      const status = halves[(flow + FLOW_STATUS) / 2]!
      const directions = ([0, 1] as const).filter((direction) => (status & (STATUS_ROUTED << direction)) !== 0)
      return {
        family: bytes[flow + FLOW_KEYS + KEY_FAMILY] as 4 | 6,
        protocol: bytes[flow + FLOW_KEYS + KEY_PROTOCOL]!,
        decisions: directions.map((direction) => decision(flow, direction)),
      }
    },
    keepAlive(number) {
      const word = (at(number) + FLOW_DEADLINE) / 4
      const before = words[word]!
      const state = bytes[at(number) + FLOW_STATE]!
      if ((halves[(at(number) + FLOW_STATUS) / 2]! & STATUS_IN_USE) === 0) return
      const after = words[(head + FLOWS_CLOCK) / 4]! + words[(head + FLOWS_TIMEOUTS) / 4 + state]!
      // A record that was freed just now keeps the address of the next free one there, which is no time that was read.
      Atomics.compareExchange(words, word, before, after)
    },
    trackLiberally(number) {
      const flow = at(number)
      if (!isTcp(bytes[flow + FLOW_STATE]!)) return true
      return (Atomics.or(halves, (flow + FLOW_SIDES) / 2, BOTH_LIBERAL) & BOTH_LIBERAL) === BOTH_LIBERAL
    },
  }
}

/** The key of packets that those of `key` answer. */
function turned({ source, destination, sourcePort, destinationPort }: FlowKey): FlowKey {
  return { source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort }
}
