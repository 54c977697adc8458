import {
  type FlowKey,
  type FlowsStatistics,
  flowsStatistics,
  type NumberedFlow,
  numberedFlows,
} from '../../flow/index.js'
import type { Space } from '../../memory/index.js'
import { formatAddress } from '../traffic-range.js'

/** One direction of a connection; addresses and ports as they are written. */
export interface FlowEnds {
  readonly source: string
  /** 0 where the protocol has none; of ICMP the identifier. */
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
}

/** A connection that a router tracks. */
export interface RouterFlow {
  readonly worker: number
  readonly protocol: string
  readonly state: string
  readonly original: FlowEnds
  /** What answers: the original turned round, unless it is translated. */
  readonly reply: FlowEnds
  readonly isTranslated: boolean
  readonly isReplied: boolean
  readonly isAssured: boolean
  readonly expiresSeconds: number
  /** What the drivers have forwarded of it since it went there; null where it is the engine's. */
  readonly driver: DrivenFlow | null
}

export interface DrivenFlow {
  readonly packets: number
  /** Of IP packets. */
  readonly bytes: number
}

export interface RouterFlows {
  readonly statistics: FlowsStatistics
  /** How many there are of those that were asked for. */
  readonly matching: number
  readonly flows: readonly RouterFlow[]
}

export interface FlowsRequest {
  /** Only connections of which one of the two addresses, or what it is translated to, is this one. */
  readonly address?: Uint8Array
  /** So many are named at most. */
  readonly limit: number
}

/** Where the flows of a router's workers are. */
export interface FlowTables {
  /** Address of a word for each worker, that of its table; 0 until there is one. */
  readonly flowsAt: number
  readonly workers: number
}

/**
 * Reads the connections of all workers while these go on: one that changes in
 * this moment may be half of the one and half of the other.
 */
export function readFlows(
  space: Space,
  { flowsAt, workers }: FlowTables,
  driven: (worker: number, flow: number) => DrivenFlow | null,
  { address, limit }: FlowsRequest,
): RouterFlows {
  const heads = Array.from({ length: workers }, (_, worker) => Atomics.load(space.words, flowsAt / 4 + worker))
  const found = heads.flatMap((head, worker) =>
    head === 0
      ? []
      : numberedFlows(space, head).flatMap((flow) => (isOf(flow, address) ? [describe(flow, worker, driven)] : [])),
  )
  const each = heads.flatMap((head) => (head === 0 ? [] : [flowsStatistics(space, head)]))
  return { statistics: sumOf(each), matching: found.length, flows: found.slice(0, limit) }
}

const NONE: FlowsStatistics = {
  ...{ active: 0, capacity: 0, created: 0, expired: 0, evicted: 0 },
  ...{ refused: 0, crowded: 0, replaced: 0, fragments: 0 },
}

function sumOf(each: readonly FlowsStatistics[]): FlowsStatistics {
  const names = Object.keys(NONE) as (keyof FlowsStatistics)[]
  return Object.fromEntries(
    names.map((name) => [name, each.reduce((sum, one) => sum + one[name], 0)]),
  ) as unknown as FlowsStatistics
}

function isOf({ flow: { original, reply } }: NumberedFlow, address: Uint8Array | undefined): boolean {
  if (address === undefined) return true
  const all = [original.source, original.destination, reply.source, reply.destination]
  return all.some((each) => Buffer.compare(each, address) === 0)
}

/** By their numbers (IANA), those that operators name; of others the number. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  ...{ 1: 'icmp', 6: 'tcp', 17: 'udp', 33: 'dccp', 47: 'gre', 50: 'esp', 58: 'icmp6', 132: 'sctp', 136: 'udplite' },
}

function describe(
  { number, flow }: NumberedFlow,
  worker: number,
  driven: (worker: number, flow: number) => DrivenFlow | null,
): RouterFlow {
  const [original, reply] = [endsOf(flow.original), endsOf(flow.reply)]
  const { protocol, state, isReplied, isAssured, expiresMs } = flow
  return {
    worker,
    protocol: PROTOCOLS[protocol] ?? String(protocol),
    state,
    original,
    reply,
    isTranslated: isTranslated(original, reply),
    isReplied,
    isAssured,
    expiresSeconds: Math.round(expiresMs / 1000),
    driver: driven(worker, number),
  }
}

function isTranslated(original: FlowEnds, reply: FlowEnds): boolean {
  if (original.source !== reply.destination || original.destination !== reply.source) return true
  // ICMP has an identifier, which is the source port both ways.
  const isTurned = original.sourcePort === reply.destinationPort && original.destinationPort === reply.sourcePort
  return !isTurned && original.sourcePort !== reply.sourcePort
}

function endsOf({ source, sourcePort, destination, destinationPort }: FlowKey): FlowEnds {
  return { source: formatAddress(source), sourcePort, destination: formatAddress(destination), destinationPort }
}
