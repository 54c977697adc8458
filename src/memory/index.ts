/** The one linear memory: what lies where, and the pool of frames in it. */
export { type Code, loadCode } from './code.js'
export * from './formats.js'
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
export {
  type ClassBalance,
  createPool,
  type FrameClass,
  type Pool,
  type PoolFaults,
  type PoolSize,
  type WorkerPool,
} from './pool.js'
export { createSpace, type Space } from './space.js'
