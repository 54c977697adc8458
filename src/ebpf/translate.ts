import { slotsOf } from './assembler.js'
import { AssemblerError } from './assembler-error.js'
import { formatInstruction } from './disassembler.js'
import { CODE_WORDS } from './execute.js'
import type { Instruction } from './instruction.js'
import {
  ADDRESS_SPACE_CAST,
  ALU,
  CALL,
  CALL_OPCODE,
  CLASS,
  EXIT_OPCODE,
  GOTO,
  GOTO_LONG,
  JMP,
  LDDW,
  LOAD_ACQUIRE,
  MAY_GOTO,
  MODE,
  SIZE,
  SOURCE_REGISTER,
  STORE_RELEASE,
  WIDE,
} from './opcodes.js'
import { OP } from './operations.js'
import { functionDistance, jumpDistance } from './validate.js'

/** What `execute` runs: see CODE_WORDS for the layout of `code`. */
export interface Translated {
  readonly code: Int32Array
  readonly slots: Int32Array
  readonly lo: Int32Array
  readonly hi: Int32Array
}

/** The address that a wide immediate stands for, where it stands for a map or a value of one. */
export type ResolveMap = (instruction: Instruction, slot: number) => number

/** Operations on 64 bits by the operation bits of the opcode, with those on 32 bits beside them. */
const ALU_OPS = new Map<number, readonly [number, number]>([
  [ALU.add, [OP.add64, OP.add32]],
  [ALU.sub, [OP.sub64, OP.sub32]],
  [ALU.mul, [OP.mul64, OP.mul32]],
  [ALU.div, [OP.div64, OP.div32]],
  [ALU.or, [OP.or64, OP.or32]],
  [ALU.and, [OP.and64, OP.and32]],
  [ALU.lsh, [OP.lsh64, OP.lsh32]],
  [ALU.rsh, [OP.rsh64, OP.rsh32]],
  [ALU.neg, [OP.neg64, OP.neg32]],
  [ALU.mod, [OP.mod64, OP.mod32]],
  [ALU.xor, [OP.xor64, OP.xor32]],
  [ALU.mov, [OP.mov64, OP.mov32]],
  [ALU.arsh, [OP.arsh64, OP.arsh32]],
])

const JUMP_OPS = new Map<number, readonly [number, number]>([
  [JMP.eq, [OP.jeq64, OP.jeq32]],
  [JMP.ne, [OP.jne64, OP.jne32]],
  [JMP.gt, [OP.jgt64, OP.jgt32]],
  [JMP.ge, [OP.jge64, OP.jge32]],
  [JMP.lt, [OP.jlt64, OP.jlt32]],
  [JMP.le, [OP.jle64, OP.jle32]],
  [JMP.sgt, [OP.jsgt64, OP.jsgt32]],
  [JMP.sge, [OP.jsge64, OP.jsge32]],
  [JMP.slt, [OP.jslt64, OP.jslt32]],
  [JMP.sle, [OP.jsle64, OP.jsle32]],
  [JMP.set, [OP.jset64, OP.jset32]],
])

const LOAD_OPS = new Map<number, number>([
  [MODE.mem | SIZE.u8, OP.loadU8],
  [MODE.mem | SIZE.u16, OP.loadU16],
  [MODE.mem | SIZE.u32, OP.loadU32],
  [MODE.mem | SIZE.u64, OP.loadU64],
  [MODE.memsx | SIZE.u8, OP.loadS8],
  [MODE.memsx | SIZE.u16, OP.loadS16],
  [MODE.memsx | SIZE.u32, OP.loadS32],
])

const STORE_OPS = new Map<number, number>([
  [SIZE.u8, OP.store8],
  [SIZE.u16, OP.store16],
  [SIZE.u32, OP.store32],
  [SIZE.u64, OP.store64],
])

const SWAP_OPS = new Map<number, number>([
  [16, OP.swap16],
  [32, OP.swap32],
  [64, OP.swap64],
])

const CUT_OPS = new Map<number, number>([
  [16, OP.cut16],
  [32, OP.cut32],
  [64, OP.cut64],
])

const SIGNED_MOVES = new Map<number, number>([
  [8, OP.movs8To64],
  [16, OP.movs16To64],
  [32, OP.movs32To64],
])

const SIGNED_MOVES_32 = new Map<number, number>([
  [8, OP.movs8To32],
  [16, OP.movs16To32],
])

/** One instruction for `execute`; `jump` is in slots from the next one. */
interface Step {
  readonly op: number
  readonly dst?: number
  readonly src?: number
  readonly offset?: number
  readonly jump?: number
  readonly extra?: number
}

/**
 * A validated program for `execute`: immediates become registers from number 11
 * on, jumps become indices. Throws an AssemblerError for what the interpreter
 * has not: packet loads of classic BPF, calls of kernel functions, callbacks.
 */
export function translate(instructions: readonly Instruction[], resolveMap: ResolveMap): Translated {
  const constants = createConstants()
  const indexOf = new Map<number, number>()
  const slots = new Int32Array(instructions.length)
  let end = 0
  instructions.forEach((instruction, index) => {
    indexOf.set(end, index)
    slots[index] = end
    end += slotsOf(instruction)
  })
  const code = new Int32Array(instructions.length * CODE_WORDS)
  instructions.forEach((instruction, index) => {
    const slot = slots[index]
    const step = stepOf(instruction, constants, () => resolveMap(instruction, slot))
    if (!step)
      throw new AssemblerError(
        `slot ${slot}: the interpreter has no '${formatInstruction(instruction)}'; run it in the kernel`,
      )
    const target = step.jump === undefined ? step.offset : indexOf.get(slot + 1 + step.jump)! * CODE_WORDS
    code.set([step.op, step.dst ?? 0, step.src ?? 0, target ?? 0, step.extra ?? 0], index * CODE_WORDS)
  })
  return { code, slots, ...constants.registers() }
}

type Constants = ReturnType<typeof createConstants>

function createConstants() {
  const words: [low: number, high: number][] = []
  const numbers = new Map<string, number>()
  return {
    /** Number of the register that holds the two words. */
    register(low: number, high: number): number {
      const key = `${low},${high}`
      const known = numbers.get(key)
      if (known !== undefined) return known
      words.push([low, high])
      numbers.set(key, 10 + words.length)
      return 10 + words.length
    },
    registers() {
      return {
        lo: Int32Array.from([...new Array(11).fill(0), ...words.map(([low]) => low)]),
        hi: Int32Array.from([...new Array(11).fill(0), ...words.map(([, high]) => high)]),
      }
    },
  }
}

function stepOf(instruction: Instruction, constants: Constants, mapAddress: () => number): Step | undefined {
  const { opcode, dst, src, offset, imm } = instruction
  const immediate = () => constants.register(imm, imm >> 31)
  switch (opcode & 7) {
    case CLASS.alu64:
    case CLASS.alu:
      return aluStep(instruction, immediate)
    case CLASS.ldx:
      return { op: LOAD_OPS.get(opcode & 0xf8)!, dst, src, offset }
    case CLASS.st:
      return { op: STORE_OPS.get(opcode & 0x18)!, dst, src: immediate(), offset }
    case CLASS.stx:
      return storeStep(instruction)
    case CLASS.ld:
      if (opcode !== LDDW) return undefined
      if (src === WIDE.number) return { op: OP.mov64, dst, src: constants.register(imm, instruction.immHigh ?? 0) }
      if (src !== WIDE.mapFd && src !== WIDE.mapValue) return undefined
      return { op: OP.mov64, dst, src: constants.register(mapAddress(), 0) }
    default:
      return jumpStep(instruction, immediate)
  }
}

function aluStep({ opcode, dst, src, offset, imm }: Instruction, immediate: () => number): Step | undefined {
  const operation = opcode & 0xf0
  const is64 = (opcode & 7) === CLASS.alu64
  if (operation === ALU.end) {
    const swaps = is64 || (opcode & SOURCE_REGISTER) !== 0
    return { op: (swaps ? SWAP_OPS : CUT_OPS).get(imm)!, dst }
  }
  if (operation === ALU.mov && offset !== 0) {
    if (offset === ADDRESS_SPACE_CAST) return undefined
    return { op: (is64 ? SIGNED_MOVES : SIGNED_MOVES_32).get(offset)!, dst, src }
  }
  const operand = opcode & SOURCE_REGISTER ? src : immediate()
  if (operation === ALU.div && offset === 1) return { op: is64 ? OP.sdiv64 : OP.sdiv32, dst, src: operand }
  if (operation === ALU.mod && offset === 1) return { op: is64 ? OP.smod64 : OP.smod32, dst, src: operand }
  return { op: ALU_OPS.get(operation)![is64 ? 0 : 1], dst, src: operand }
}

function storeStep({ opcode, dst, src, offset, imm }: Instruction): Step {
  const size = opcode & 0x18
  if ((opcode & 0xe0) === MODE.mem || imm === STORE_RELEASE) return { op: STORE_OPS.get(size)!, dst, src, offset }
  if (imm === LOAD_ACQUIRE) return { op: LOAD_OPS.get(MODE.mem | size)!, dst, src, offset }
  return { op: size === SIZE.u64 ? OP.atomic64 : OP.atomic32, dst, src, offset, extra: imm }
}

function jumpStep(instruction: Instruction, immediate: () => number): Step | undefined {
  const { opcode, dst, src, imm } = instruction
  const jump = functionDistance(instruction) ?? jumpDistance(instruction) ?? 0
  switch (opcode) {
    case EXIT_OPCODE:
      return { op: OP.exit }
    case GOTO:
    case GOTO_LONG:
      return { op: OP.goto, jump }
    case MAY_GOTO:
      return { op: OP.mayGoto, jump }
    case CALL_OPCODE:
      if (src === CALL.kernel) return undefined
      return src === CALL.local ? { op: OP.callLocal, jump } : { op: OP.callHelper, extra: imm }
  }
  const ops = JUMP_OPS.get(opcode & 0xf0)!
  const operand = opcode & SOURCE_REGISTER ? src : immediate()
  return { op: ops[(opcode & 7) === CLASS.jmp ? 0 : 1], dst, src: operand, jump }
}
