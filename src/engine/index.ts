/** Bundles through stages: rings, the graph as one draws it, and the loop of one worker. */

export { type Bell, openBell } from './bell.js'
export { captureTo } from './capture-to.js'
export type { Device, DeviceState, DeviceStatistics } from './device.js'
export { type Engine, type EngineOptions, type StageStatistics, startEngine } from './engine.js'
export type { TraceOptions } from './engine-trace.js'
export type { TraceStep } from './follow.js'
export { draw, type Edge, type Graph, GraphError, type Line, printGraph, receive, type Source, send } from './graph.js'
export { edgesOf } from './on-edges.js'
export { createPacketLog, type PacketLog, packetLogState, takeFromLog } from './packet-log.js'
export { type Plan, planWorkers, type WorkerDraft, type WorkerHost } from './plan.js'
export { printTrace } from './print-trace.js'
export { createRing, type Ring } from './ring.js'
export type { Publish } from './ring-device.js'
export { isSameStage, type Judge, type KeptPacket, type RunningStage, type Stage, type StageHost } from './stage.js'
export {
  startWorkers,
  type WorkerPlacement,
  type Workers,
  type WorkersCaptureOptions,
  type WorkersOptions,
} from './start-workers.js'
export type { WorkerStatistics } from './supervised-worker.js'
export type { Trace, TracedPacket } from './trace.js'
export { createTurn, type TurnOptions } from './turn.js'
export type { WorkersTraceOptions } from './workers-trace.js'
