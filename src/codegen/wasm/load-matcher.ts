import type { LookupTable } from '../../ir/index.js'
import { encodeModule, type Imports, instantiate, type LinearMemory } from '../../wasm/index.js'
import { NO_RULE } from './bundle.js'
import { MATCHER, type Matcher } from './emit-matcher.js'

/**
 * Judges `count` frames: `descriptors` and `verdicts` are addresses in the
 * memory that the matcher was loaded with.
 */
export type Judge = (descriptors: number, count: number, verdicts: number) => void

/** Whether an address, one word of IPv4 or four of IPv6, is in a set: 1 or 0. By `NAME/FAMILY`. */
export type SetLookups = Imports[string]

/** Compiles a matcher for this process. Throws WebAssembly.LinkError where a set is missing. */
export function loadMatcher({ module, tables }: Matcher, memory: LinearMemory, sets: SetLookups = {}): Judge {
  const exported = instantiate(encodeModule(module), {
    [MATCHER.host]: { [MATCHER.memory]: memory },
    [MATCHER.sets]: sets,
    [MATCHER.tables]: Object.fromEntries(tables.map((table, index) => [index, finderOf(table)])),
  })
  return exported[MATCHER.judge] as Judge
}

/** One level for each number of a tuple, and the rule below the last. */
type Level = Map<number, Level | number>

/** The rule of a tuple in the table, or NO_RULE. */
function finderOf({ width, keys, rules }: LookupTable): (...tuple: number[]) => number {
  const root: Level = new Map()
  // Signed words, as WebAssembly hands them over.
  const words = new Int32Array(keys.buffer, keys.byteOffset, keys.length)
  rules.forEach((rule, entry) => {
    let level = root
    for (let at = entry * width; at < (entry + 1) * width - 1; at++) {
      const below = (level.get(words[at]!) as Level | undefined) ?? new Map()
      level.set(words[at]!, below)
      level = below
    }
    level.set(words[(entry + 1) * width - 1]!, rule)
  })
  return (...tuple) => {
    let found: Level | number | undefined = root
    for (const word of tuple) {
      found = (found as Level).get(word)
      if (found === undefined) return NO_RULE
    }
    return found as number
  }
}
