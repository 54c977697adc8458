import type { Machine } from './machine.js'

/** The order in which the demonstration goes; `iptables` only where it is installed. */
export type PhaseName = 'calm' | 'undefended' | 'iptables' | 'defended' | 'recovered'

/** Requests of the service that were started in a phase; latencies over those answered. */
export interface ServiceFigures {
  readonly requests: number
  readonly failed: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** Packets of the flood: `sent` = `reached` + `ringLoss`. */
export interface FloodFigures {
  readonly offeredPps: number
  readonly sent: number
  /** Found a free slot in the victim's receive ring: these a rule can meet. */
  readonly reached: number
  /** Found the ring full. With a rule loaded this is the rig's loss, not the rule's. */
  readonly ringLoss: number
  /** Not sent, because the victim's core stood still just then; 0 where nothing tells the generator. */
  readonly heldBack: number
}

/** One phase of the demonstration. */
export interface Phase {
  readonly name: PhaseName
  readonly seconds: number
  readonly flood: FloodFigures
  /** `serviceDropped`: packets of the service's client among the dropped; null where the defence cannot tell. */
  readonly rule: { readonly dropped: number; readonly serviceDropped: number | null } | null
  readonly service: ServiceFigures
  /** Share of its core that the victim's receive thread used, 0 to 1; null where that is not known. */
  readonly victimCoreBusy: number | null
}

/** Which core did what: with a single core they are all the same. */
export interface CorePlan {
  readonly generator: number
  readonly victim: number
  readonly service: number
  readonly client: number
}

/** The whole demonstration, as `--json` prints it. */
export interface DemoResult {
  readonly machine: Machine
  readonly phases: readonly Phase[]
  /** The rule in tcpdump's language. */
  readonly rule: string
  /** Where packets went: real devices, or the in-memory link of a machine without rights. */
  readonly on: 'veth' | 'memory'
  /** XDP in the driver or behind it; null in memory. */
  readonly mode: 'native' | 'generic' | null
  /** From the start of the compiler to the first packet that the rule dropped. */
  readonly firstDropMs: number | null
  readonly cores: CorePlan | null
  /** What this machine could not do or show, one sentence each. */
  readonly notes: readonly string[]
}

/** What is going on, several times a second, for a person who watches. */
export interface DemoProgress {
  readonly phase: PhaseName
  readonly elapsedMs: number
  readonly durationMs: number
  /** Rates over the time since the last progress; what iptables drops is only known at the end. */
  readonly offeredPps: number
  readonly droppedPps: number
  readonly lostPps: number
  /** Since the phase began. */
  readonly service: ServiceFigures
}

/** The demonstration as it happens. */
export type DemoEvent =
  | {
      readonly kind: 'ready'
      readonly networkMs: number
      readonly cores: CorePlan | null
      readonly notes: readonly string[]
    }
  | { readonly kind: 'progress'; readonly progress: DemoProgress }
  | { readonly kind: 'phase'; readonly phase: Phase }

/** How long and how hard. */
export interface DemoOptions {
  /** The whole demonstration, set-up and pauses included. */
  readonly seconds: number
  readonly packetsPerSecond: number
  readonly onEvent: (event: DemoEvent) => void
}

/** Measured seconds of each phase when the whole takes 25. */
const SHARES: Record<PhaseName, number> = { calm: 4, undefended: 4, iptables: 4, defended: 5, recovered: 3 }
const WHOLE_SECONDS = 25

/** What a phase measures, in milliseconds; the rest of the time is set-up and waiting for late answers. */
export function phaseDurationMs(name: PhaseName, totalSeconds: number): number {
  return (SHARES[name] * 1000 * totalSeconds) / WHOLE_SECONDS
}

/**
 * The demonstration's rule: a connection request without any TCP option, 40
 * bytes in all. Flooding tools send such SYNs by the million; a client's stack
 * announces at least its segment size (RFC 9293, section 3.7.1).
 */
export const DEMO_RULE = 'tcp[tcpflags] == tcp-syn and ip[2:2] == 40'

/** The same rule for iptables. */
export const DEMO_IPTABLES = ['-p', 'tcp', '--tcp-flags', 'ALL', 'SYN', '-m', 'length', '--length', '40', '-j', 'DROP']
