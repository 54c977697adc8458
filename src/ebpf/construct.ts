import { AssemblerError } from './assembler-error.js'
import type { Instruction } from './instruction.js'
import {
  ALU,
  ATOMIC,
  CALL,
  CALL_OPCODE,
  CLASS,
  EXIT_OPCODE,
  LDDW,
  LOAD_ACQUIRE,
  MODE,
  SIZE,
  SOURCE_REGISTER,
  STORE_RELEASE,
  WIDE,
} from './opcodes.js'
import type { Operand, Register } from './register.js'

/** Two-operand arithmetic. `s…` is signed; division by zero gives 0, modulo by zero leaves the register as it is. */
export type AluOperation = keyof typeof ALU_OPERATIONS
/** Width of an unsigned access to memory. */
export type Size = keyof typeof SIZE
/** Width of a load; `s8`, `s16` and `s32` extend the sign to 64 bits. */
export type LoadSize = Size | 's8' | 's16' | 's32'
/** Atomic read-modify-write; `fetch …` and `xchg` put the old value into the source register, `cmpxchg` into R0. */
export type AtomicOperation = keyof typeof ATOMIC

/** Operation bits, and the offset field that makes division signed (RFC 9669, section 4.1). */
const ALU_OPERATIONS = {
  add: [ALU.add, 0],
  sub: [ALU.sub, 0],
  mul: [ALU.mul, 0],
  div: [ALU.div, 0],
  sdiv: [ALU.div, 1],
  or: [ALU.or, 0],
  and: [ALU.and, 0],
  lsh: [ALU.lsh, 0],
  rsh: [ALU.rsh, 0],
  mod: [ALU.mod, 0],
  smod: [ALU.mod, 1],
  xor: [ALU.xor, 0],
  arsh: [ALU.arsh, 0],
} as const

/** `dst op= operand` on 64 bits; an immediate is sign-extended. */
export function alu64(operation: AluOperation, dst: Register, operand: Operand): Instruction {
  const [bits, offset] = ALU_OPERATIONS[operation]
  return withOperand(CLASS.alu64 | bits, dst, offset, operand)
}

/** `dst op= operand` on the low 32 bits; the upper 32 become zero. */
export function alu32(operation: AluOperation, dst: Register, operand: Operand): Instruction {
  const [bits, offset] = ALU_OPERATIONS[operation]
  return withOperand(CLASS.alu | bits, dst, offset, narrow(operand))
}

/** `dst = operand`, 64 bits; an immediate is sign-extended. For wider constants see {@link loadWide}. */
export function mov64(dst: Register, operand: Operand): Instruction {
  return withOperand(CLASS.alu64 | ALU.mov, dst, 0, operand)
}

/** `dst = operand`, 32 bits; the upper 32 become zero. */
export function mov32(dst: Register, operand: Operand): Instruction {
  return withOperand(CLASS.alu | ALU.mov, dst, 0, narrow(operand))
}

/** `dst = src`, the low `bits` sign-extended to 64. */
export function movSigned64(bits: 8 | 16 | 32, dst: Register, src: Register): Instruction {
  return withOperand(CLASS.alu64 | ALU.mov, dst, bits, src)
}

/** `dst = src`, the low `bits` sign-extended to 32; the upper 32 become zero. */
export function movSigned32(bits: 8 | 16, dst: Register, src: Register): Instruction {
  return withOperand(CLASS.alu | ALU.mov, dst, bits, src)
}

/** `dst = -dst`, 64 bits. */
export function neg64(dst: Register): Instruction {
  return plain(CLASS.alu64 | ALU.neg, dst.index)
}

/** `dst = -dst`, 32 bits; the upper 32 become zero. */
export function neg32(dst: Register): Instruction {
  return plain(CLASS.alu | ALU.neg, dst.index)
}

/** Host (little-endian) order to or from network order; the bits above `bits` become zero. */
export function toBigEndian(bits: 16 | 32 | 64, dst: Register): Instruction {
  return plain(CLASS.alu | ALU.end | SOURCE_REGISTER, dst.index, 0, 0, bits)
}

/** On a little-endian host: cut `dst` to `bits`. */
export function toLittleEndian(bits: 16 | 32 | 64, dst: Register): Instruction {
  return plain(CLASS.alu | ALU.end, dst.index, 0, 0, bits)
}

/** Swap the bytes of the low `bits`, whatever the host; the bits above become zero. */
export function byteSwap(bits: 16 | 32 | 64, dst: Register): Instruction {
  return plain(CLASS.alu64 | ALU.end, dst.index, 0, 0, bits)
}

/** `dst = *(size *)(base + offset)`; throws when `offset` does not fit 16 bits. */
export function load(size: LoadSize, dst: Register, base: Register, offset = 0): Instruction {
  const signed = size[0] === 's'
  const width = SIZE[(signed ? `u${size.slice(1)}` : size) as Size]
  return plain(CLASS.ldx | (signed ? MODE.memsx : MODE.mem) | width, dst.index, base.index, offset16(offset))
}

/** `*(size *)(base + offset) = value`; throws when `offset` does not fit 16 bits. */
export function store(size: Size, base: Register, offset: number, value: Operand): Instruction {
  const code = MODE.mem | SIZE[size]
  if (typeof value !== 'number') return plain(CLASS.stx | code, base.index, value.index, offset16(offset))
  return plain(CLASS.st | code, base.index, 0, offset16(offset), size === 'u64' ? imm32(value) : bits32(value))
}

/** `*(size *)(base + offset) op= src`, atomically; the address must be aligned to `size`. */
export function atomic(
  operation: AtomicOperation,
  size: 'u32' | 'u64',
  base: Register,
  offset: number,
  src: Register,
): Instruction {
  return plain(CLASS.stx | MODE.atomic | SIZE[size], base.index, src.index, offset16(offset), ATOMIC[operation])
}

/** `dst = *(size *)(base + offset)`, ordered before all later accesses (Linux 6.15). */
export function loadAcquire(size: Size, dst: Register, base: Register, offset = 0): Instruction {
  return plain(CLASS.stx | MODE.atomic | SIZE[size], dst.index, base.index, offset16(offset), LOAD_ACQUIRE)
}

/** `*(size *)(base + offset) = src`, ordered after all earlier accesses (Linux 6.15). */
export function storeRelease(size: Size, base: Register, offset: number, src: Register): Instruction {
  return plain(CLASS.stx | MODE.atomic | SIZE[size], base.index, src.index, offset16(offset), STORE_RELEASE)
}

/** `dst = value`, all 64 bits, in two slots; a negative value is taken as two's complement. */
export function loadWide(dst: Register, value: bigint | number): Instruction {
  const wide = BigInt(value)
  if (BigInt.asUintN(64, wide) !== wide && BigInt.asIntN(64, wide) !== wide)
    throw new AssemblerError(`${wide} does not fit into 64 bits; split it over two registers`)
  return loadPseudo(dst, 'number', Number(BigInt.asIntN(32, wide)), Number(BigInt.asIntN(32, wide >> 32n)))
}

/** A wide immediate that the kernel fills in: `low` is a descriptor, index or id, `high` an offset into a value. */
export function loadPseudo(dst: Register, kind: keyof typeof WIDE, low: number, high = 0): Instruction {
  return { ...plain(LDDW, dst.index, WIDE[kind], 0, low | 0), immHigh: high | 0 }
}

/** Call the kernel's helper with this number (see {@link HELPER_NAMES}). */
export function call(helper: number): Instruction {
  return plain(CALL_OPCODE, 0, CALL.helper, 0, helper)
}

/** Call a kernel function by BTF id, of the kernel itself or of the module at `module` in the program's fd array. */
export function callKernel(btfId: number, module = 0): Instruction {
  return plain(CALL_OPCODE, 0, CALL.kernel, module, btfId)
}

/** Return R0 to the caller: for XDP the verdict. */
export function exit(): Instruction {
  return plain(EXIT_OPCODE)
}

/** The last fields first to be left out: most instructions use few of them. */
export function plain(opcode: number, dst = 0, src = 0, offset = 0, imm = 0): Instruction {
  return { opcode, dst, src, offset, imm }
}

/** An arithmetic or jump instruction in its register or its immediate form. */
export function withOperand(opcode: number, dst: Register, offset: number, operand: Operand): Instruction {
  if (typeof operand === 'number') return plain(opcode, dst.index, 0, offset, imm32(operand))
  return plain(opcode | SOURCE_REGISTER, dst.index, operand.index, offset)
}

/** Where only 32 bits count, 0xffffffff and -1 are the same number. */
export function narrow(operand: Operand): Operand {
  return typeof operand === 'number' ? bits32(operand) : operand
}

function bits32(value: number): number {
  return value > 0x7fffffff && value <= 0xffffffff ? value | 0 : imm32(value)
}

function imm32(value: number): number {
  if (value !== (value | 0))
    throw new AssemblerError(`${value} is not a signed 32-bit immediate; put it into a register with loadWide first`)
  return value
}

function offset16(value: number): number {
  if (value !== (value << 16) >> 16)
    throw new AssemblerError(`${value} is not a signed 16-bit offset; add it to the base register first`)
  return value
}
