import type { FlowKey } from '../flow/index.js'

/**
 * Tiers: what a slower place has decided of a flow is installed in a faster
 * one, whose counters and end come back.
 */

/** What tells flows apart: packets of one direction that come by one device. */
export interface OffloadKey extends FlowKey {
  readonly family: 4 | 6
  /** TCP or UDP, by its IP protocol number. */
  readonly protocol: number
  /** Index of the device that packets come by. */
  readonly from: number
}

/** What becomes of a flow's packets. */
export interface OffloadFlow {
  readonly key: OffloadKey
  /** Index of the device by which packets leave. */
  readonly out: number
  /** Longer IP packets go the slow way, where they are cut or refused. */
  readonly longestBytes: number
  readonly sourceMac: Uint8Array
  readonly destinationMac: Uint8Array
  /** What packets are to carry instead of the key's addresses and ports. */
  readonly translated?: FlowKey
}

/** Packets of a flow that a tier has forwarded, and the bytes of their IP packets. */
export interface CountedFlow {
  readonly key: OffloadKey
  readonly packets: number
  readonly bytes: number
}

/** A place that forwards flows by what it was told, faster than the one that decides. */
export interface Tier {
  readonly name: string
  /** Flows of each family. */
  readonly capacity: number
  /** Whether the flow is in the tier now: there was room, and the tier can do what it asks. */
  install(flow: OffloadFlow): boolean
  /** Takes a flow out, with what it has counted; null where it was not there. */
  withdraw(key: OffloadKey): CountedFlow | null
  /** All flows of the tier with what they have counted since they were installed. */
  counters(): CountedFlow[]
  /** Routes or neighbours have changed: no flow that was installed before is used from now on. */
  invalidate(): void
}
