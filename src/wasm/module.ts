import type { Instruction, ValueType } from './instruction.js'

/** A module as a plain value: what it takes from its host, and its functions. */
export interface WasmModule {
  readonly memory: MemoryImport | null
  readonly imports: readonly FunctionImport[]
  readonly functions: readonly WasmFunction[]
}

/** Linear memory that the host makes. A page is 64 KiB; shared memory needs a maximum. */
export interface MemoryImport {
  readonly module: string
  readonly field: string
  readonly minimumPages: number
  readonly maximumPages: number | null
  readonly shared: boolean
}

export interface FunctionImport {
  readonly module: string
  readonly field: string
  /** By which instructions call it. */
  readonly name: string
  readonly parameters: readonly ValueType[]
  readonly results: readonly ValueType[]
}

export interface WasmFunction {
  readonly name: string
  /** Exported under its name. */
  readonly exported: boolean
  readonly parameters: readonly Local[]
  readonly results: readonly ValueType[]
  /** Zero when the function is entered. */
  readonly locals: readonly Local[]
  readonly body: readonly Instruction[]
}

export interface Local {
  readonly name: string
  readonly type: ValueType
}
