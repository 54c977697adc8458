import {
  type AluOperation,
  alu32,
  alu64,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  mov32,
  mov64,
  R7,
  R8,
  R9,
  R10,
  type Register,
  store,
  toBigEndian,
} from '../../ebpf/index.js'
import type { Calculation, Expression, PointerExpression, Read } from '../expression.js'
import { provableMaximum } from './provable-maximum.js'
import { PACKET_START, type RegisterFile } from './registers.js'
import { registersFor } from './registers-for.js'

/** Fixed registers of the programs built here; the others are shared by the tests. */
export const PACKET = R7
export const PACKET_END = R8
export const WIRE_LENGTH = R9

/** Registers with the packet's start, its end, and its length on the wire; null where that is from start to end. */
export interface PacketRegisters {
  readonly packet: Register
  readonly packetEnd: Register
  readonly wireLength: Register | null
}

/** For programs that need them behind a call; each costs a push and a pop, also for packets that match nothing. */
export const KEPT: PacketRegisters = { packet: PACKET, packetEnd: PACKET_END, wireLength: WIRE_LENGTH }

/**
 * A packet pointer with a variable part keeps its range only below this
 * (MAX_PACKET_OFF in the kernel's verifier).
 */
const MAX_PACKET_OFFSET = 0xffff
/** Offsets in instructions are signed 16 bits, and no frame's first buffer is longer. */
export const MAX_EXTENT = 0x7fff
/** Spilled registers go below the key of the counter map. */
const FIRST_SPILL = -16
const STACK_BYTES = 512

/** How expressions get into registers. Registers that are returned are pinned: release them. */
export interface Evaluator {
  /** The value, in a register that must not be changed. */
  toRegister(expression: Expression): Register
  /** The value, in a register that holds it for the caller alone. */
  toFresh(expression: Expression): Register
  /** Goes to the fail target unless `bytes` bytes from the base (null: the packet's start) lie before the packet's end. */
  check(pointer: PointerExpression | null, bytes: number): void
}

export interface EvaluatorContext {
  readonly file: RegisterFile
  readonly registers: PacketRegisters
  emit(item: Item): void
  /** The label for a read beyond the packet or a division by zero; notes what the registers hold here. */
  failLabel(): string
  uniqueLabel(): string
  /**
   * True for a program of so many tests that the verifier's work counts. It
   * follows what falls through first, and does not look again at code that it
   * has seen with less of the packet checked and the same known about the
   * numbers that decided a jump for it. So here a short packet falls through,
   * and each test takes its numbers anew, with nothing known about them.
   */
  readonly isLarge: boolean
  /** True where the expression is used again behind the current node, or twice in it. */
  isNeeded(key: string): boolean
  /** The furthest read behind a base in the whole program. */
  extentOf(baseKey: string): number
}

export function createEvaluator(context: EvaluatorContext): Evaluator {
  const { file, emit } = context
  const { packet, packetEnd, wireLength } = context.registers
  let spilledBytes = 0

  function toRegister(expression: Expression): Register {
    if (expression.kind === 'length' && wireLength !== null)
      return context.isLarge ? unknownLength(wireLength) : wireLength
    const found = file.find(expression.key)
    if (found !== null) return found
    const register = compute(expression)
    file.hold(register, expression.key)
    return register
  }

  /** A copy that the verifier does not connect with the original, because it has been calculated with. */
  function unknownLength(wireLength: Register): Register {
    const copy = file.take()
    emit(mov32(copy, wireLength))
    emit(alu32('or', copy, 0))
    return copy
  }

  function toFresh(expression: Expression): Register {
    if (expression.kind === 'number') return compute(expression)
    const register = toRegister(expression)
    if ((expression.kind !== 'length' || wireLength === null) && !context.isNeeded(expression.key)) {
      file.forget(register)
      return register
    }
    const copy = file.take()
    emit(mov32(copy, register))
    file.release(register)
    return copy
  }

  /** Into a pinned register that holds no key yet. */
  function compute(expression: Expression): Register {
    switch (expression.kind) {
      case 'length': {
        const register = file.take()
        emit(mov64(register, packetEnd))
        emit(alu64('sub', register, packet))
        return register
      }
      case 'number': {
        const register = file.take()
        emit(mov32(register, expression.value))
        return register
      }
      case 'pointer':
        return computePointer(expression)
      case 'read':
        return computeRead(expression)
      case 'swap': {
        const register = toFresh(expression.read)
        emit(toBigEndian(expression.read.size === 2 ? 16 : 32, register))
        return register
      }
      case 'calculation':
        return calculate(expression)
    }
  }

  function computePointer({ base, baseKey }: PointerExpression): Register {
    const register = toFresh(base)
    const limit = MAX_PACKET_OFFSET - context.extentOf(baseKey)
    // 64 bits wide, because a byte swap leaves the verifier without any bound on the upper half.
    if (provableMaximum(base) > limit) emit(jumpIf(register, '>', limit, context.failLabel()))
    emit(alu64('add', register, packet))
    return register
  }

  function computeRead({ pointer, offset, size }: Read): Register {
    check(pointer, offset + size)
    const from = pointer === null ? packet : toRegister(pointer)
    const register = file.take()
    emit(load(size === 1 ? 'u8' : size === 2 ? 'u16' : 'u32', register, from, offset))
    file.release(from)
    return register
  }

  function check(pointer: PointerExpression | null, bytes: number): void {
    const key = pointer === null ? PACKET_START : pointer.baseKey
    const from = pointer === null ? packet : toRegister(pointer)
    if (file.checkedBytes(key) < bytes) {
      const end = file.take()
      emit(mov64(end, from))
      emit(alu64('add', end, bytes))
      if (context.isLarge) {
        const isThere = context.uniqueLabel()
        emit(jumpIf(end, '<=', packetEnd, isThere))
        emit(jump(context.failLabel()))
        emit(label(isThere))
      } else emit(jumpIf(end, '>', packetEnd, context.failLabel()))
      file.release(end)
      file.setChecked(key, bytes)
    }
    file.release(from)
  }

  function calculate(calculation: Calculation): Register {
    const { operator, left, right } = calculation
    if (right.kind === 'number') {
      const register = toFresh(left)
      emit(alu32(OPERATIONS[operator], register, right.value))
      return register
    }
    const [register, operand] = operands(left, right)
    if (operator === '<<' || operator === '>>') shift(calculation, register, operand)
    else {
      if (operator === '/' || operator === '%') emit(jumpIf32(operand, '==', 0, context.failLabel()))
      emit(alu32(OPERATIONS[operator], register, operand))
    }
    file.release(operand)
    return register
  }

  /** Both operands, the one that takes more registers first; it waits on the stack where too few are left. */
  function operands(left: Expression, right: Expression): [Register, Register] {
    if (registersFor(right) > registersFor(left)) {
      const [operand, register] = oneThenOther(
        () => toRegister(right),
        () => toFresh(left),
        registersFor(left),
      )
      return [register, operand]
    }
    return oneThenOther(
      () => toFresh(left),
      () => toRegister(right),
      registersFor(right),
    )
  }

  function oneThenOther(first: () => Register, second: () => Register, secondTakes: number): [Register, Register] {
    const one = first()
    if (file.available() > secondTakes) return [one, second()]
    const slot = FIRST_SPILL - spilledBytes
    if (-slot > STACK_BYTES) throw new Error('the expression nests too deeply for the stack; write it as two rules')
    spilledBytes += 8
    emit(store('u64', R10, slot, one))
    file.release(one)
    const other = second()
    const back = file.take()
    emit(load('u64', back, R10, slot))
    spilledBytes -= 8
    return [back, other]
  }

  /** A 64-bit shift by up to 63 gives the 0 that a shift of 32 bits by 32 or more has to give. */
  function shift({ operator, rightMax }: Calculation, register: Register, by: Register): void {
    const operation = operator === '<<' ? 'lsh' : 'rsh'
    if (rightMax < 32) {
      emit(alu32(operation, register, by))
      return
    }
    const limited = file.take()
    const isSmall = context.uniqueLabel()
    emit(mov32(limited, by))
    emit(jumpIf32(limited, '<=', 63, isSmall))
    emit(mov32(limited, 63))
    emit(label(isSmall))
    emit(alu64(operation, register, limited))
    emit(mov32(register, register))
    file.release(limited)
  }

  return { toRegister, toFresh, check }
}

const OPERATIONS: Readonly<Record<Calculation['operator'], AluOperation>> = {
  '+': 'add',
  '-': 'sub',
  '*': 'mul',
  '/': 'div',
  '%': 'mod',
  '&': 'and',
  '|': 'or',
  '^': 'xor',
  '<<': 'lsh',
  '>>': 'rsh',
}
