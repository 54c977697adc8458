import { type Instruction, i32, type Local, op } from '../../wasm/index.js'

/** Locals of 32 bits. */
export function words(...names: readonly string[]): Local[] {
  return names.map((name) => ({ name, type: 'i32' }))
}

/** Locals of 64 bits. */
export function longs(...names: readonly string[]): Local[] {
  return names.map((name) => ({ name, type: 'i64' }))
}

/** With a word on the stack: that, times 2^bits. */
export function shifted(bits: number): Instruction[] {
  return [i32(bits), op('i32.shl')]
}
