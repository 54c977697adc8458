/** The one linear memory: what lies where, and the pool of frames in it. */
export { type Code, loadCode } from './code.js'
export * from './formats.js'
export type { FrameClass } from './frame-class.js'
export { type Judge, type JudgePlace, loadJudge, MATCHER } from './judge.js'
export {
  FIRST_OFFSET,
  type Layout,
  LayoutError,
  place,
  printLayout,
  type Region,
  type RegionKind,
  type RegionRequest,
} from './layout.js'
export { packetTimes } from './packet-time.js'
export {
  type ClassBalance,
  createPool,
  type Pool,
  type PoolFaults,
  type PoolSize,
} from './pool.js'
export { createSpace, openPart, type Space } from './space.js'
export { attachWorkerPool, type WorkerPool, type WorkerPoolPlace } from './worker-pool.js'
