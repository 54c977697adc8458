import { sized, text, unsigned, vector } from './binary.js'
import { encodeBody, TYPE_CODES } from './encode-body.js'
import type { ValueType } from './instruction.js'
import type { MemoryImport, WasmFunction, WasmModule } from './module.js'
import { ModuleError } from './module-error.js'

/** `\0asm`, version 1. */
const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
const SECTION = { custom: 0, type: 1, import: 2, function: 3, export: 7, code: 10 } as const
const FUNCTION_TYPE = 0x60
const KIND = { function: 0x00, memory: 0x02 } as const
/** Subsections of the section "name" (appendix 7.4). */
const NAMES = { functions: 1, locals: 2 } as const

/**
 * The module in the binary format of the WebAssembly core specification 2.0,
 * chapter 5, with the names of functions and locals for debuggers and
 * profilers; shared memory is as in the threads proposal. Throws ModuleError
 * for names that nothing declares and for shared memory without a maximum; that
 * the types of operands fit is checked by whoever compiles the module.
 */
export function encodeModule(module: WasmModule): Uint8Array<ArrayBuffer> {
  const { memory, imports, functions } = module
  const types = createTypeTable()
  const imported = imports.map(({ module: from, field, parameters, results }) => [
    ...text(from),
    ...text(field),
    KIND.function,
    ...unsigned(types.indexOf(parameters, results)),
  ])
  if (memory !== null) imported.push(encodeMemory(memory))
  const declared = functions.map(({ parameters, results }) => {
    const parameterTypes = parameters.map(({ type }) => type)
    return unsigned(types.indexOf(parameterTypes, results))
  })
  const indices = new Map([...imports, ...functions].map(({ name }, index) => [name, index]))
  const exported = functions
    .filter((definition) => definition.exported)
    .map(({ name }) => [...text(name), KIND.function, ...unsigned(indices.get(name)!)])
  return Uint8Array.from([
    ...PREAMBLE,
    ...section(SECTION.type, vector(types.encoded)),
    ...section(SECTION.import, vector(imported)),
    ...section(SECTION.function, vector(declared)),
    ...section(SECTION.export, vector(exported)),
    ...section(SECTION.code, vector(functions.map((definition) => encodeBody(definition, indices)))),
    ...section(SECTION.custom, [...text('name'), ...encodeNames(module, indices)]),
  ])
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...sized(content)]
}

/** Function types in order of first use; equal ones are one. */
function createTypeTable() {
  const encoded: number[][] = []
  const known = new Map<string, number>()
  return {
    encoded,
    indexOf(parameters: readonly ValueType[], results: readonly ValueType[]): number {
      const codes = (types: readonly ValueType[]) => vector(types.map((type) => [TYPE_CODES[type]]))
      const bytes = [FUNCTION_TYPE, ...codes(parameters), ...codes(results)]
      const key = bytes.join()
      const index = known.get(key) ?? encoded.push(bytes) - 1
      known.set(key, index)
      return index
    },
  }
}

function encodeMemory({ module, field, minimumPages, maximumPages, shared }: MemoryImport): number[] {
  if (shared && maximumPages === null)
    throw new ModuleError(`the shared memory ${module}.${field} has no maximum; give one, in pages of 64 KiB`)
  const flags = (maximumPages === null ? 0 : 1) | (shared ? 2 : 0)
  const limits = [...unsigned(minimumPages), ...(maximumPages === null ? [] : unsigned(maximumPages))]
  return [...text(module), ...text(field), KIND.memory, flags, ...limits]
}

function encodeNames({ imports, functions }: WasmModule, indices: ReadonlyMap<string, number>): number[] {
  const named = (name: string, index: number) => [...unsigned(index), ...text(name)]
  const localsOf = (definition: WasmFunction) => {
    const locals = [...definition.parameters, ...definition.locals].map(({ name }, index) => named(name, index))
    return [...unsigned(indices.get(definition.name)!), ...vector(locals)]
  }
  return [
    ...section(NAMES.functions, vector([...imports, ...functions].map(({ name }, index) => named(name, index)))),
    ...section(NAMES.locals, vector(functions.map(localsOf))),
  ]
}
