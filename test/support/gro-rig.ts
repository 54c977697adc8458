import { createLink } from '../../src/device/index.js'
import { draw, type Engine, receive, type Stage, send, startEngine } from '../../src/engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_FLAGS,
  FLAG_FIXED_ID,
  FLAGS_SEGMENT_SHIFT,
  type FrameClass,
} from '../../src/memory/index.js'
import { type EngineBench, openBench } from './engine.js'
import type { Grown } from './plain-gro.js'

/** A graph of stages between two ends of a link, which takes one round at a time. */
export interface StageRig {
  readonly bench: EngineBench
  /** What comes out of one round with these packets, at most 256, going in. */
  round(packets: readonly Uint8Array[], frameBytes?: FrameClass): Grown[]
  readonly engine: Engine
  close(): void
}

/** Frames of every class that merging and cutting take. */
export function openStageRig(...stages: readonly Stage[]): StageRig {
  const bench = openBench({ 2048: 4096, 4096: 512, 65536: 96, 524288: 4 })
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire', { slots: 8192 })
  const engine = startEngine(space, code, worker, draw([receive(far), ...stages, send(far)]), { bundle: 256 })
  const bundle = bench.bundle('wire')
  const flagsAt = (index: number) =>
    space.words[(bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + DESCRIPTOR_FLAGS) / 4]!
  return {
    bench,
    engine,
    round(packets, frameBytes) {
      if (bench.fill(bundle, packets, frameBytes) < packets.length) throw new Error('the test has no frames left')
      near.send(bundle)
      engine.round()
      const out: Grown[] = []
      while (near.receive(bundle, 256) > 0) {
        const arrived = bench.read(bundle).map((bytes, index) => ({
          bytes,
          segmentBytes: flagsAt(index) >>> FLAGS_SEGMENT_SHIFT,
          hasFixedId: (flagsAt(index) & FLAG_FIXED_ID) !== 0,
        }))
        out.push(...arrived)
        bench.empty(bundle)
      }
      return out
    },
    close() {
      engine.close()
      near.close()
      far.close()
    },
  }
}
