/** Bundles through stages: rings, the graph as one draws it, and the loop of one worker. */
export type { Device, DeviceState, DeviceStatistics } from './device.js'
export { type Engine, type EngineOptions, type StageStatistics, startEngine } from './engine.js'
export { draw, type Edge, type Graph, GraphError, type Line, printGraph, receive, type Source, send } from './graph.js'
export { type Plan, planWorkers, type WorkerDraft, type WorkerHost } from './plan.js'
export { createRing, type Ring } from './ring.js'
export { isSameStage, type RunningStage, type Stage, type StageHost } from './stage.js'
export { startWorkers, type WorkerPlacement, type Workers, type WorkersOptions } from './start-workers.js'
export type { WorkerStatistics } from './supervised-worker.js'
