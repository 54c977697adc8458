import { type Judge, loadJudge } from '../../memory/index.js'
import { encodeModule, type LinearMemory } from '../../wasm/index.js'
import type { Matcher } from './emit-matcher.js'

/**
 * Compiles a matcher for this process. `images` is the address of a list with
 * the address of each of its images; a matcher without look-ups reads none.
 */
export function loadMatcher({ module }: Matcher, memory: LinearMemory, images = 0): Judge {
  return loadJudge({ module: encodeModule(module), images }, memory)
}
