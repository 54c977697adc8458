/** Connections: the table of flows, what a packet is to it, and decisions that are remembered with a flow. */
export { type Flows, type FlowsOptions, type FlowsStatistics, openFlows } from './flows.js'
export * from './formats.js'
export type { FlowKey, TrackedFlow } from './list.js'
export type { NatRule, PortRange } from './nat.js'
export { type RememberOptions, remember } from './remember.js'
export type { FlowState, Timeouts } from './settings.js'
export { type TrackOptions, track } from './track.js'
export { restore, type TranslateOptions, translate } from './translate.js'
