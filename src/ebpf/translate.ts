import { slotsOf } from './assembler.js'
import { AssemblerError } from './assembler-error.js'
import { formatInstruction } from './disassembler.js'
import { CODE_WORDS, Op } from './execute.js'
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
  [ALU.add, [Op.Add64, Op.Add32]],
  [ALU.sub, [Op.Sub64, Op.Sub32]],
  [ALU.mul, [Op.Mul64, Op.Mul32]],
  [ALU.div, [Op.Div64, Op.Div32]],
  [ALU.or, [Op.Or64, Op.Or32]],
  [ALU.and, [Op.And64, Op.And32]],
  [ALU.lsh, [Op.Lsh64, Op.Lsh32]],
  [ALU.rsh, [Op.Rsh64, Op.Rsh32]],
  [ALU.neg, [Op.Neg64, Op.Neg32]],
  [ALU.mod, [Op.Mod64, Op.Mod32]],
  [ALU.xor, [Op.Xor64, Op.Xor32]],
  [ALU.mov, [Op.Mov64, Op.Mov32]],
  [ALU.arsh, [Op.Arsh64, Op.Arsh32]],
])

const JUMP_OPS = new Map<number, readonly [number, number]>([
  [JMP.eq, [Op.Jeq64, Op.Jeq32]],
  [JMP.ne, [Op.Jne64, Op.Jne32]],
  [JMP.gt, [Op.Jgt64, Op.Jgt32]],
  [JMP.ge, [Op.Jge64, Op.Jge32]],
  [JMP.lt, [Op.Jlt64, Op.Jlt32]],
  [JMP.le, [Op.Jle64, Op.Jle32]],
  [JMP.sgt, [Op.Jsgt64, Op.Jsgt32]],
  [JMP.sge, [Op.Jsge64, Op.Jsge32]],
  [JMP.slt, [Op.Jslt64, Op.Jslt32]],
  [JMP.sle, [Op.Jsle64, Op.Jsle32]],
  [JMP.set, [Op.Jset64, Op.Jset32]],
])

const LOAD_OPS = new Map<number, number>([
  [MODE.mem | SIZE.u8, Op.LoadU8],
  [MODE.mem | SIZE.u16, Op.LoadU16],
  [MODE.mem | SIZE.u32, Op.LoadU32],
  [MODE.mem | SIZE.u64, Op.LoadU64],
  [MODE.memsx | SIZE.u8, Op.LoadS8],
  [MODE.memsx | SIZE.u16, Op.LoadS16],
  [MODE.memsx | SIZE.u32, Op.LoadS32],
])

const STORE_OPS = new Map<number, number>([
  [SIZE.u8, Op.Store8],
  [SIZE.u16, Op.Store16],
  [SIZE.u32, Op.Store32],
  [SIZE.u64, Op.Store64],
])

const SWAP_OPS = new Map<number, number>([
  [16, Op.Swap16],
  [32, Op.Swap32],
  [64, Op.Swap64],
])

const CUT_OPS = new Map<number, number>([
  [16, Op.Cut16],
  [32, Op.Cut32],
  [64, Op.Cut64],
])

const SIGNED_MOVES = new Map<number, number>([
  [8, Op.Movs8To64],
  [16, Op.Movs16To64],
  [32, Op.Movs32To64],
])

const SIGNED_MOVES_32 = new Map<number, number>([
  [8, Op.Movs8To32],
  [16, Op.Movs16To32],
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
    const slot = slots[index]!
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
      if (src === WIDE.number) return { op: Op.Mov64, dst, src: constants.register(imm, instruction.immHigh ?? 0) }
      if (src !== WIDE.mapFd && src !== WIDE.mapValue) return undefined
      return { op: Op.Mov64, dst, src: constants.register(mapAddress(), 0) }
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
  if (operation === ALU.div && offset === 1) return { op: is64 ? Op.Sdiv64 : Op.Sdiv32, dst, src: operand }
  if (operation === ALU.mod && offset === 1) return { op: is64 ? Op.Smod64 : Op.Smod32, dst, src: operand }
  return { op: ALU_OPS.get(operation)![is64 ? 0 : 1], dst, src: operand }
}

function storeStep({ opcode, dst, src, offset, imm }: Instruction): Step {
  const size = opcode & 0x18
  if ((opcode & 0xe0) === MODE.mem || imm === STORE_RELEASE) return { op: STORE_OPS.get(size)!, dst, src, offset }
  if (imm === LOAD_ACQUIRE) return { op: LOAD_OPS.get(MODE.mem | size)!, dst, src, offset }
  return { op: size === SIZE.u64 ? Op.Atomic64 : Op.Atomic32, dst, src, offset, extra: imm }
}

function jumpStep(instruction: Instruction, immediate: () => number): Step | undefined {
  const { opcode, dst, src, imm } = instruction
  const jump = functionDistance(instruction) ?? jumpDistance(instruction) ?? 0
  switch (opcode) {
    case EXIT_OPCODE:
      return { op: Op.Exit }
    case GOTO:
    case GOTO_LONG:
      return { op: Op.Goto, jump }
    case MAY_GOTO:
      return { op: Op.MayGoto, jump }
    case CALL_OPCODE:
      if (src === CALL.kernel) return undefined
      return src === CALL.local ? { op: Op.CallLocal, jump } : { op: Op.CallHelper, extra: imm }
  }
  const ops = JUMP_OPS.get(opcode & 0xf0)!
  const operand = opcode & SOURCE_REGISTER ? src : immediate()
  return { op: ops[(opcode & 7) === CLASS.jmp ? 0 : 1], dst, src: operand, jump }
}
