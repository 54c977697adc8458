import type { Region } from './layout.js'

/** Bytes of a frame. It is aligned to its size, so that a mask leads from any address in it to the frame. */
export type FrameClass = 512 | 2048 | 4096 | 65536 | 524288

/** By CLASS_…: how many lines the headroom is staggered by, less 1, which is what the class has to spare beside a full packet. */
export const CLASSES: readonly { readonly frameBytes: FrameClass; readonly stagger: number }[] = [
  { frameBytes: 2048, stagger: 3 },
  { frameBytes: 512, stagger: 1 },
  { frameBytes: 4096, stagger: 7 },
  { frameBytes: 65536, stagger: 0 },
  { frameBytes: 524288, stagger: 0 },
]

/** A class as it lies in memory: its frames, and the addresses of the shared stack and of two bytes for each frame. */
export interface PooledClass {
  readonly frameBytes: FrameClass
  readonly stagger: number
  readonly count: number
  readonly frames: Region
  readonly shared: number
  readonly owners: number
  readonly holders: number
}
