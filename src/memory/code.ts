import { readFileSync } from 'node:fs'
import { instantiate, type WasmCallable } from '../wasm/index.js'
import type { Space } from './space.js'

/** The compiled AssemblyScript of the rooms, over one memory: exported functions by name. */
export interface Code {
  /** True in the build that checks who owns a frame, for tests: it is many times slower. */
  readonly checked: boolean
  /** The function of that name. Throws where no `*.as.ts` exports it. */
  find(name: string): WasmCallable
}

/** Both rooms and the bundled command line lie one folder below the module. */
const FILES = { plain: '../engine.wasm', checked: '../engine-checked.wasm' } as const

/** Starts the module that the build has made beside `src/` or `dist/`. */
export function loadCode({ memory }: Space, checked = false): Code {
  const bytes = new Uint8Array(readFileSync(new URL(checked ? FILES.checked : FILES.plain, import.meta.url)))
  const functions = instantiate(bytes, { env: { memory } })
  return {
    checked,
    find(name) {
      const found = functions[name]
      if (found === undefined) throw new Error(`no *.as.ts exports ${name}; export it there and build again`)
      return found
    },
  }
}
