import { instantiate, type LinearMemory } from '../wasm/index.js'

/**
 * A compiled matcher over a linear memory: for `count` descriptors at an
 * address it writes the first rule that matches, or -1, each a word of 32 bits,
 * to another.
 */
export type Judge = (descriptors: number, count: number, verdicts: number) => void

/** A matcher as plain data, which a thread over the same memory can be sent. */
export interface JudgePlace {
  /** The binary form of its WebAssembly module. */
  readonly module: Uint8Array<ArrayBuffer>
  /** Address of a list with the address of each table and set that it looks into. */
  readonly images: number
}

/** Names by which a matcher and its host find each other. */
export const MATCHER = { host: 'sluice', memory: 'memory', judge: 'judge' } as const

/** Compiles a matcher for this thread. */
export function loadJudge({ module, images }: JudgePlace, memory: LinearMemory): Judge {
  const judge = instantiate(module, { [MATCHER.host]: { [MATCHER.memory]: memory } })[MATCHER.judge]!
  return (descriptors, count, verdicts) => {
    judge(descriptors, count, verdicts, images)
  }
}
