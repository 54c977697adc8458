/**
 * eBPF as plain values: write a program, look at it, run it.
 *
 * ```ts
 * const { instructions, relocations } = assemble([
 *   load('u32', R2, R1, 0), //               r2 = ctx->data
 *   load('u32', R3, R1, 4), //               r3 = ctx->data_end
 *   mov64(R4, R2),
 *   alu64('add', R4, 14),
 *   jumpIf(R4, '>', R3, 'pass'), //          shorter than an Ethernet header
 *   load('u16', R4, R2, 12),
 *   jumpIf32(R4, '==', 0xdd86, 'drop'), //   IPv6, as the little-endian host reads it
 *   label('pass'),
 *   mov32(R0, 2),
 *   exit(),
 *   label('drop'),
 *   mov32(R0, 1),
 *   exit(),
 * ])
 * ```
 */
export * from './assembler.js'
export * from './assembler-error.js'
export {
  type AluOperation,
  type AtomicOperation,
  alu32,
  alu64,
  atomic,
  byteSwap,
  call,
  callKernel,
  exit,
  type LoadSize,
  load,
  loadAcquire,
  loadPseudo,
  loadWide,
  mov32,
  mov64,
  movSigned32,
  movSigned64,
  neg32,
  neg64,
  type Size,
  store,
  storeRelease,
  toBigEndian,
  toLittleEndian,
} from './construct.js'
export { decode } from './decode.js'
export { disassemble, formatInstruction } from './disassembler.js'
export { doubleBuffer, HALVES_AT, halfBytesOf } from './double-buffer.js'
export * from './encode.js'
export type { Helper, Machine } from './execute.js'
export * from './helper-names.js'
export type { Instruction } from './instruction.js'
export { type InterpreterMap, type InterpreterOptions, type Outcome, runCode } from './interpreter.js'
export { parseText } from './parse-text.js'
export * from './policy-maps.js'
export type { MapKind, MapSpec, Program, Relocation } from './program.js'
export * from './register.js'
export { validate } from './validate.js'
export { XDP } from './verdict.js'
export { prepare, runXdp, type XdpInput, type XdpMachine, type XdpOptions } from './xdp.js'
