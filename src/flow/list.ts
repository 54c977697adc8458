import type { Space } from '../memory/index.js'
import {
  FLOW_ADDRESSES,
  FLOW_BYTES,
  FLOW_DEADLINE,
  FLOW_KEYS,
  FLOW_STATE,
  FLOW_STATUS,
  FLOWS_CAPACITY,
  FLOWS_CLOCK,
  FLOWS_RECORDS,
  KEY_BYTES,
  KEY_DESTINATION,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  KEY_SOURCE,
  STATUS_ASSURED,
  STATUS_IN_USE,
  STATUS_REPLIED,
  TICK_MS,
} from './formats.js'
import { FLOW_STATES, type FlowState } from './settings.js'

/** The packets of one direction of a flow: addresses of 4 or 16 bytes. */
export interface FlowKey {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  /** 0 where the protocol has no ports; of ICMP the identifier. */
  readonly sourcePort: number
  readonly destinationPort: number
}

/** A flow as it stands in the table. */
export interface TrackedFlow {
  readonly family: 4 | 6
  readonly protocol: number
  readonly state: FlowState
  readonly original: FlowKey
  readonly reply: FlowKey
  readonly isReplied: boolean
  readonly isAssured: boolean
  readonly expiresMs: number
}

const STATE_NAMES = new Map<number, FlowState>(
  Object.entries(FLOW_STATES).map(([name, number]) => [number, name as FlowState]),
)

/** A flow with its number in the table, as `openDecided` has it. */
export interface NumberedFlow {
  readonly number: number
  readonly flow: TrackedFlow
}

/** The flows of the table at `head` that have not expired. */
export function listFlows(space: Space, head: number): TrackedFlow[] {
  return numberedFlows(space, head).map(({ flow }) => flow)
}

/** The same with their numbers; none where no table is there, as while a worker is being started again. */
export function numberedFlows({ words, bytes }: Space, head: number): NumberedFlow[] {
  const [records, capacity, clock] = [FLOWS_RECORDS, FLOWS_CAPACITY, FLOWS_CLOCK].map((at) => words[(head + at) / 4]!)
  const end = records! + capacity! * FLOW_BYTES
  const found: NumberedFlow[] = []
  if (end > bytes.length) return found
  for (let flow = records!; flow < end; flow += FLOW_BYTES) {
    const status = bytes[flow + FLOW_STATUS]!
    const deadline = words[(flow + FLOW_DEADLINE) / 4]!
    if ((status & STATUS_IN_USE) === 0 || deadline < clock!) continue
    const tracked: TrackedFlow = {
      family: bytes[flow + FLOW_KEYS + KEY_FAMILY] as 4 | 6,
      protocol: bytes[flow + FLOW_KEYS + KEY_PROTOCOL]!,
      state: STATE_NAMES.get(bytes[flow + FLOW_STATE]!) ?? 'none',
      original: flowKeyAt(bytes, flow, 0),
      reply: flowKeyAt(bytes, flow, 1),
      isReplied: (status & STATUS_REPLIED) !== 0,
      isAssured: (status & STATUS_ASSURED) !== 0,
      expiresMs: (deadline - clock! + 1) * TICK_MS,
    }
    found.push({ number: (flow - records!) / FLOW_BYTES, flow: tracked })
  }
  return found
}

/** The key of the packets of one direction of the flow at that address. */
export function flowKeyAt(bytes: Uint8Array, flow: number, direction: number): FlowKey {
  const key = flow + FLOW_KEYS + direction * KEY_BYTES
  const isIpv4 = bytes[key + KEY_FAMILY] === 4
  const far = flow + FLOW_ADDRESSES + direction * 32
  const isIcmp = bytes[key + KEY_PROTOCOL] === (isIpv4 ? 1 : 58)
  const port = (at: number) => (bytes[key + at]! << 8) | bytes[key + at + 1]!
  return {
    source: isIpv4 ? bytes.slice(key + KEY_SOURCE, key + KEY_SOURCE + 4) : bytes.slice(far, far + 16),
    destination: isIpv4
      ? bytes.slice(key + KEY_DESTINATION, key + KEY_DESTINATION + 4)
      : bytes.slice(far + 16, far + 32),
    sourcePort: port(KEY_PORTS),
    destinationPort: isIcmp ? 0 : port(KEY_PORTS + 2),
  }
}
