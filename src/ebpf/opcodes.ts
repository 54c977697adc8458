/**
 * The numbers of the instruction set: RFC 9669, sections 3 to 5, and
 * include/uapi/linux/bpf.h for what the kernel added later.
 *
 * opcode of ALU and JMP:    oooo s ccc   operation, source (0 immediate, 1 register), class
 * opcode of loads, stores:  mmm zz ccc   mode, size, class
 */

/** Low three bits of an opcode (RFC 9669, section 3.1). */
export const CLASS = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, jmp32: 6, alu64: 7 } as const

/** Bit 3 of an arithmetic or jump opcode: the second operand is a register. */
export const SOURCE_REGISTER = 0x08

/** Upper four bits of an arithmetic opcode (RFC 9669, section 4.1). */
export const ALU = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  neg: 0x80,
  mod: 0x90,
  xor: 0xa0,
  mov: 0xb0,
  arsh: 0xc0,
  end: 0xd0,
} as const

/** Upper four bits of a jump opcode (RFC 9669, section 4.3); `may` is BPF_JCOND of Linux 6.9. */
export const JMP = {
  always: 0x00,
  eq: 0x10,
  gt: 0x20,
  ge: 0x30,
  set: 0x40,
  ne: 0x50,
  sgt: 0x60,
  sge: 0x70,
  call: 0x80,
  exit: 0x90,
  lt: 0xa0,
  le: 0xb0,
  slt: 0xc0,
  sle: 0xd0,
  may: 0xe0,
} as const

/** Bits 3 and 4 of a load or store opcode (RFC 9669, section 5). */
export const SIZE = { u32: 0x00, u16: 0x08, u8: 0x10, u64: 0x18 } as const

/** Upper three bits of a load or store opcode (RFC 9669, section 5). */
export const MODE = { imm: 0x00, abs: 0x20, ind: 0x40, mem: 0x60, memsx: 0x80, atomic: 0xc0 } as const

/** Immediate of an atomic instruction (RFC 9669, section 5.3); the last two are of Linux 6.15. */
export const ATOMIC = {
  add: 0x00,
  or: 0x40,
  and: 0x50,
  xor: 0xa0,
  'fetch add': 0x01,
  'fetch or': 0x41,
  'fetch and': 0x51,
  'fetch xor': 0xa1,
  xchg: 0xe1,
  cmpxchg: 0xf1,
} as const
export const LOAD_ACQUIRE = 0x100
export const STORE_RELEASE = 0x110

/** Source field of a wide immediate: what its 64 bits stand for (RFC 9669, section 5.4). */
export const WIDE = {
  number: 0,
  mapFd: 1,
  mapValue: 2,
  btfId: 3,
  function: 4,
  mapIndex: 5,
  mapIndexValue: 6,
} as const

/** Source field of a call: what is called (RFC 9669, section 4.3.1; `kernel` is a kfunc). */
export const CALL = { helper: 0, local: 1, kernel: 2 } as const

/** Offset field of a register move that casts between address spaces (Linux 6.9). */
export const ADDRESS_SPACE_CAST = 1

/** Opcode of the wide immediate, the only instruction of two slots. */
export const LDDW = CLASS.ld | MODE.imm | SIZE.u64

/** Opcode of `goto` with a 16-bit offset. */
export const GOTO = CLASS.jmp | JMP.always

/** Opcode of `gotol`: the same with a 32-bit offset in the immediate (kernel 6.6, clang's -mcpu=v4). */
export const GOTO_LONG = CLASS.jmp32 | JMP.always

export const CALL_OPCODE = CLASS.jmp | JMP.call
export const EXIT_OPCODE = CLASS.jmp | JMP.exit
export const MAY_GOTO = CLASS.jmp | JMP.may
