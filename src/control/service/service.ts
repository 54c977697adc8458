import type { Layout } from '../../memory/index.js'
import type { RouterFlows } from '../router/router-flows.js'
import type { EdgeCapture } from './edge-capture.js'
import type {
  ChangeReport,
  DeviceQueue,
  EngineStages,
  HeardPackets,
  RuleList,
  RulePlace,
  ServiceStatus,
  SetReport,
} from './protocol.js'
import type { Trace } from './trace.js'

/** What can be asked of a running process; each function may throw, and its sentence is then the answer. */
export interface Service {
  status(): Omit<ServiceStatus, 'pid'>
  readonly rules?: ServiceRules
  readonly engine?: ServiceEngine
}

export interface ServiceRules {
  list(): RuleList
  /** Missing where the rules are not to be changed. */
  readonly change?: RuleChanges
}

/** Each changes all it says or, where it throws, nothing. */
export interface RuleChanges {
  /** `rule` is as a policy has it, and has not been looked at. */
  add(rule: unknown, place: RulePlace): ChangeReport
  remove(name: string): ChangeReport
  /** First what is removed goes, then what is added comes. */
  changeSet(name: string, change: { readonly add: readonly string[]; readonly remove: readonly string[] }): SetReport
}

export interface ServiceEngine {
  layout(): Layout
  stages(): readonly EngineStages[]
  /** What waits before its devices, where queues stand there. */
  queues?(): readonly DeviceQueue[]
  /** Its connections, of the address where one is said; of routers that track them. */
  flows?(address: string | null, limit: number): RouterFlows
  /** Time a packet is measured while it is on. */
  watch(isOn: boolean): void
  /** Follows packets through the graph. */
  trace(expression: string, limit: number): Trace
  /** Copies packets that pass an edge. */
  capture(edge: string, expression: string | null, limit: number | null): EdgeCapture
  /** Has somebody stand at a hook, as an operator writes it; of routers. */
  listen?(listener: string): Promise<HookListener>
}

/** Somebody at a hook. */
export interface HookListener {
  heard(): HeardPackets
  close(): Promise<unknown>
}
