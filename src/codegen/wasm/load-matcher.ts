import { encodeModule, instantiate, type LinearMemory } from '../../wasm/index.js'
import { MATCHER, type Matcher } from './emit-matcher.js'

/**
 * Judges `count` frames: `descriptors` and `verdicts` are addresses in the
 * memory that the matcher was loaded with.
 */
export type Judge = (descriptors: number, count: number, verdicts: number) => void

/**
 * Compiles a matcher for this process. `images` is the address of a list with
 * the address of each of its images; a matcher without look-ups reads none.
 */
export function loadMatcher({ module }: Matcher, memory: LinearMemory, images = 0): Judge {
  const exported = instantiate(encodeModule(module), { [MATCHER.host]: { [MATCHER.memory]: memory } })
  const judge = exported[MATCHER.judge]!
  return (descriptors, count, verdicts) => {
    judge(descriptors, count, verdicts, images)
  }
}
