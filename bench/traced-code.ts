import { readFileSync } from 'node:fs'
import binaryen from 'binaryen'
import type { Code, Space } from '../src/memory/index.js'
import { instantiate, type WasmCallable } from '../src/wasm/index.js'

const LINE_SHIFT = 6

/**
 * The engine's module with a call before each of its loads and stores, which
 * notes the cache lines that they touch; `taken` gives how many distinct lines
 * there were since the last call. Bulk copies and fills are not noted.
 */
export function loadTracedCode({ memory }: Space): { readonly code: Code; taken(): number } {
  const lines = new Set<number>()
  const touch = (_id: number, bytes: number, offset: number, address: number) => {
    const first = (address >>> 0) + (offset >>> 0)
    for (let line = first >>> LINE_SHIFT; line <= (first + bytes - 1) >>> LINE_SHIFT; line++) lines.add(line)
    return address
  }
  const value = (_id: number, loaded: unknown) => loaded
  const module = binaryen.readBinary(new Uint8Array(readFileSync(new URL('../src/engine.wasm', import.meta.url))))
  module.setFeatures(binaryen.Features.All)
  module.runPasses(['instrument-memory'])
  const imports: Record<string, WasmCallable> = { load_ptr: touch, store_ptr: touch }
  for (const kind of ['load', 'store', 'struct_get', 'struct_set', 'array_get', 'array_set'])
    for (const type of ['i32', 'i64', 'f32', 'f64']) imports[`${kind}_val_${type}`] = value
  for (const name of ['memory_grow_pre', 'memory_grow_post', 'array_get_index', 'array_set_index'])
    imports[name] = value
  const functions = instantiate(new Uint8Array(module.emitBinary()), { env: { memory, ...imports } })
  module.dispose()
  return {
    code: { checked: false, find: (name) => functions[name]! },
    taken() {
      const count = lines.size
      lines.clear()
      return count
    },
  }
}
