/** WebAssembly modules as plain values: written with names, encoded to bytes, printed as text, started. */
export { encodeModule } from './encode.js'
export {
  createMemory,
  type Imports,
  instantiate,
  isValidModule,
  type LinearMemory,
  PAGE_BYTES,
  type WasmCallable,
} from './host.js'
export {
  type AccessName,
  access,
  block,
  br,
  brIf,
  brTable,
  call,
  end,
  get,
  type Instruction,
  i32,
  i64,
  loop,
  type OperationName,
  op,
  otherwise,
  set,
  tee,
  type ValueType,
  when,
} from './instruction.js'
export type { FunctionImport, Local, MemoryImport, WasmFunction, WasmModule } from './module.js'
export { ModuleError } from './module-error.js'
export { printModule } from './print.js'
