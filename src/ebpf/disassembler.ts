import { slotsOf } from './assembler.js'
import { HELPER_NAMES } from './helper-names.js'
import type { Instruction } from './instruction.js'
import {
  ADDRESS_SPACE_CAST,
  ALU,
  ATOMIC,
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
import type { Program } from './program.js'

const ALU_SIGNS = signs([
  [ALU.add, '+='],
  [ALU.sub, '-='],
  [ALU.mul, '*='],
  [ALU.div, '/='],
  [ALU.or, '|='],
  [ALU.and, '&='],
  [ALU.lsh, '<<='],
  [ALU.rsh, '>>='],
  [ALU.mod, '%='],
  [ALU.xor, '^='],
  [ALU.mov, '='],
  [ALU.arsh, 's>>='],
])

const JUMP_SIGNS = signs([
  [JMP.eq, '=='],
  [JMP.gt, '>'],
  [JMP.ge, '>='],
  [JMP.set, '&'],
  [JMP.ne, '!='],
  [JMP.sgt, 's>'],
  [JMP.sge, 's>='],
  [JMP.lt, '<'],
  [JMP.le, '<='],
  [JMP.slt, 's<'],
  [JMP.sle, 's<='],
])

const SIZE_NAMES = signs([
  [SIZE.u8, '8'],
  [SIZE.u16, '16'],
  [SIZE.u32, '32'],
  [SIZE.u64, '64'],
])

/**
 * A program, one instruction a line with its slot, in the notation of the
 * kernel's verifier and of `bpftool prog dump xlated` (kernel/bpf/disasm.c).
 * Maps have their names: `r1 = map[name]`.
 */
export function disassemble(program: Pick<Program, 'instructions' | 'relocations'>): string {
  const maps = new Map(program.relocations.map(({ slot, map }) => [slot, map]))
  const lines: string[] = []
  let slot = 0
  for (const instruction of program.instructions) {
    const opcode = instruction.opcode.toString(16).padStart(2, '0')
    lines.push(`${String(slot).padStart(4)}: (${opcode}) ${formatInstruction(instruction, maps.get(slot))}`)
    slot += slotsOf(instruction)
  }
  return lines.join('\n')
}

/** One instruction without its slot and opcode; `map` is the name of the map that it refers to. */
export function formatInstruction(instruction: Instruction, map?: string): string {
  switch (instruction.opcode & 7) {
    case CLASS.alu:
    case CLASS.alu64:
      return formatAlu(instruction)
    case CLASS.ldx:
      return formatLoad(instruction)
    case CLASS.st:
      return `${place(instruction)} = ${instruction.imm}`
    case CLASS.stx:
      return formatStore(instruction)
    case CLASS.ld:
      return formatLd(instruction, map)
    default:
      return formatJump(instruction)
  }
}

function formatAlu({ opcode, dst, src, offset, imm }: Instruction): string {
  const isWide = (opcode & 7) === CLASS.alu64
  const letter = isWide ? 'r' : 'w'
  const operation = opcode & 0xf0
  if (operation === ALU.end) {
    const order = isWide ? 'bswap' : opcode & SOURCE_REGISTER ? 'be' : 'le'
    return `r${dst} = ${order}${imm} r${dst}`
  }
  if (operation === ALU.neg) return `${letter}${dst} = -${letter}${dst}`
  const isMove = operation === ALU.mov
  if (isMove && isWide && offset === ADDRESS_SPACE_CAST)
    return `r${dst} = addr_space_cast(r${src}, ${imm >>> 16}, ${imm & 0xffff})`
  const isSigned = !isMove && offset === 1
  const sign = `${isSigned ? 's' : ''}${ALU_SIGNS.get(operation)}`
  if (!(opcode & SOURCE_REGISTER)) return `${letter}${dst} ${sign} ${imm}`
  return `${letter}${dst} ${sign} ${isMove && offset ? `(s${offset})` : ''}${letter}${src}`
}

function formatLoad({ opcode, dst, src, offset }: Instruction): string {
  const signed = (opcode & 0xe0) === MODE.memsx
  return `r${dst} = *(${signed ? 's' : 'u'}${bitsOf(opcode)} *)(r${src} ${withSign(offset)})`
}

function formatStore(instruction: Instruction): string {
  const { opcode, dst, src, offset, imm } = instruction
  if ((opcode & 0xe0) === MODE.mem) return `${place(instruction)} = r${src}`
  const bits = bitsOf(opcode)
  const target = `(u${bits} *)(r${dst} ${withSign(offset)})`
  const wide = bits === '64' ? '64' : ''
  switch (imm) {
    case LOAD_ACQUIRE:
      return `r${dst} = load_acquire((u${bits} *)(r${src} ${withSign(offset)}))`
    case STORE_RELEASE:
      return `store_release(${target}, r${src})`
    case ATOMIC.cmpxchg:
      return `r0 = atomic${wide}_cmpxchg(${target}, r0, r${src})`
    case ATOMIC.xchg:
      return `r${src} = atomic${wide}_xchg(${target}, r${src})`
  }
  const fetch = Object.entries(ATOMIC).find(([name, code]) => code === imm && name.startsWith('fetch '))
  if (fetch) return `r${src} = atomic${wide}_fetch_${fetch[0].slice(6)}(${target}, r${src})`
  return `lock ${place(instruction)} ${ALU_SIGNS.get(imm & 0xf0)} r${src}`
}

function formatLd({ opcode, dst, src, imm, immHigh = 0 }: Instruction, map?: string): string {
  const mode = opcode & 0xe0
  if (mode === MODE.abs) return `r0 = *(u${bitsOf(opcode)} *)skb[${imm}]`
  if (mode === MODE.ind) return `r0 = *(u${bitsOf(opcode)} *)skb[r${src} + ${imm}]`
  if (opcode !== LDDW) return `BUG_ld_${opcode.toString(16)}`
  switch (src) {
    case WIDE.mapFd:
      return `r${dst} = map[${map ?? `fd:${imm}`}]`
    case WIDE.mapValue:
      return `r${dst} = map[${map ?? `fd:${imm}`}][0]+${immHigh >>> 0}`
    case WIDE.mapIndex:
      return `r${dst} = map[idx:${imm}]`
    case WIDE.mapIndexValue:
      return `r${dst} = map[idx:${imm}]+${immHigh >>> 0}`
    case WIDE.function:
      return `r${dst} = subprog[${withSign(imm)}]`
    default:
      return `r${dst} = 0x${((BigInt(immHigh >>> 0) << 32n) | BigInt(imm >>> 0)).toString(16)}`
  }
}

function formatJump(instruction: Instruction): string {
  const { opcode, dst, src, offset, imm } = instruction
  if (opcode === CALL_OPCODE) return formatCall(instruction)
  if (opcode === EXIT_OPCODE) return 'exit'
  if (opcode === GOTO) return `goto pc${withSign(offset)}`
  if (opcode === GOTO_LONG) return `gotol pc${withSign(imm)}`
  if (opcode === MAY_GOTO) return `may_goto pc${withSign(offset)}`
  const letter = (opcode & 7) === CLASS.jmp32 ? 'w' : 'r'
  const right = opcode & SOURCE_REGISTER ? `${letter}${src}` : `0x${(imm >>> 0).toString(16)}`
  return `if ${letter}${dst} ${JUMP_SIGNS.get(opcode & 0xf0)} ${right} goto pc${withSign(offset)}`
}

function formatCall({ src, imm }: Instruction): string {
  if (src === CALL.local) return `call pc${withSign(imm)}`
  const name = src === CALL.kernel ? 'kernel-function' : (HELPER_NAMES[imm] ?? 'unknown')
  return `call ${name}#${imm}`
}

function place({ opcode, dst, offset }: Instruction): string {
  return `*(u${bitsOf(opcode)} *)(r${dst} ${withSign(offset)})`
}

function bitsOf(opcode: number): string {
  return SIZE_NAMES.get(opcode & 0x18)!
}

function withSign(value: number): string {
  return value < 0 ? `${value}` : `+${value}`
}

function signs(pairs: readonly (readonly [number, string])[]): ReadonlyMap<number, string> {
  return new Map(pairs)
}
