import { encodeModule, type Imports, instantiate, type LinearMemory, type WasmModule } from '../../wasm/index.js'
import { MATCHER } from './emit-matcher.js'

/**
 * Judges `count` frames: `descriptors` and `verdicts` are addresses in the
 * memory that the matcher was loaded with.
 */
export type Judge = (descriptors: number, count: number, verdicts: number) => void

/** Whether an address, one word of IPv4 or four of IPv6, is in a set: 1 or 0. By `NAME/FAMILY`. */
export type SetLookups = Imports[string]

/** Compiles the module of `emitMatcher` for this process. Throws WebAssembly.LinkError where a set is missing. */
export function loadMatcher(module: WasmModule, memory: LinearMemory, sets: SetLookups = {}): Judge {
  const exported = instantiate(encodeModule(module), {
    [MATCHER.host]: { [MATCHER.memory]: memory },
    [MATCHER.sets]: sets,
  })
  return exported[MATCHER.judge] as Judge
}
