import type { Membership, Test } from '../../ir/index.js'
import { DESCRIPTOR_WIRE } from '../../memory/index.js'
import { access, brIf, get, type Instruction, i32, type OperationName, op, tee } from '../../wasm/index.js'
import { type Calculation, childrenOf, type Expression, expressionOf, questionOf } from '../expression.js'

/** Locals of the judging function that values are computed from. */
export const FRAME = 'frame'
export const NEXT_DESCRIPTOR = 'descriptor'

/** How values and answers come onto the stack. */
export interface ValueEmitter {
  value(expression: Expression): void
  /** 1 where the test holds, otherwise 0; where `negated`, not 0 where it does not hold. */
  answer(test: Test, negated: boolean): void
}

export interface ValueContext {
  emit(instruction: Instruction): void
  /** Keys of the expressions whose local has their value here. */
  held(): Set<string>
  /** Whether the expression is asked for more than once in the whole function. */
  isShared(key: string): boolean
  /** The local for a shared expression. */
  localOf(key: string): string
  /** A local for one moment, not used for anything else. */
  scratch(): string
  /** The label for a division by zero. */
  failLabel(): string
  /** With the words of an address on the stack: 1 where it is in the set, else 0. */
  lookup(membership: Membership): readonly Instruction[]
}

export function createValueEmitter(context: ValueContext): ValueEmitter {
  const { emit } = context

  function value(expression: Expression): void {
    const { key } = expression
    if (context.held().has(key)) {
      emit(get(context.localOf(key)))
      return
    }
    compute(expression)
    if (expression.kind === 'number' || !context.isShared(key)) return
    emit(tee(context.localOf(key)))
    context.held().add(key)
  }

  function compute(expression: Expression): void {
    switch (expression.kind) {
      case 'number':
        emit(i32(expression.value))
        break
      case 'length':
        emitAll(get(NEXT_DESCRIPTOR), access('i32.load', DESCRIPTOR_WIRE))
        break
      case 'pointer':
        value(expression.base)
        emitAll(get(FRAME), op('i32.add'))
        break
      case 'read':
        if (expression.pointer === null) emit(get(FRAME))
        else value(expression.pointer)
        emit(access(LOADS[expression.size], expression.offset))
        break
      case 'swap':
        swap(expression.read, expression.read.size === 2)
        break
      case 'calculation':
        calculate(expression)
    }
  }

  /** The read is shared, as it is asked for twice here. */
  function swap(read: Expression, isShort: boolean): void {
    value(read)
    emitAll(i32(8), op(isShort ? 'i32.shl' : 'i32.rotl'), i32(isShort ? 0xff00 : 0x00ff00ff), op('i32.and'))
    value(read)
    emitAll(i32(8), op(isShort ? 'i32.shr_u' : 'i32.rotr'))
    if (!isShort) emitAll(i32(0xff00ff00), op('i32.and'))
    emit(op('i32.or'))
  }

  function calculate({ operator, left, right, rightMax }: Calculation): void {
    value(left)
    value(right)
    const isVariable = right.kind !== 'number'
    if (isVariable && (operator === '/' || operator === '%')) {
      const divisor = context.scratch()
      emitAll(tee(divisor), op('i32.eqz'), brIf(context.failLabel()), get(divisor))
    }
    if ((operator === '<<' || operator === '>>') && rightMax > 31) {
      // WebAssembly shifts by the number modulo 32; here more than 31 gives 0.
      const by = context.scratch()
      emitAll(tee(by), op(OPERATIONS[operator]), i32(0), get(by), i32(32), op('i32.lt_u'), op('select'))
    } else emit(op(OPERATIONS[operator]))
  }

  function answer(test: Test, negated: boolean): void {
    if (test.operator === 'in') {
      for (const word of test.words) value(expressionOf(word))
      emitAll(...context.lookup(test))
      if (negated) emit(op('i32.eqz'))
      return
    }
    const { operator, left, right } = questionOf(test)
    value(left)
    if (operator === '=' && right.kind === 'number' && right.value === 0) {
      if (!negated) emit(op('i32.eqz'))
    } else {
      value(right)
      emit(op((negated ? UNLESS : IF)[operator]))
    }
  }

  function emitAll(...instructions: readonly Instruction[]): void {
    instructions.forEach(emit)
  }

  return { value, answer }
}

/** The expressions that answering the test asks for, what they are computed from not included. */
export function expressionsOf(test: Test): Expression[] {
  if (test.operator === 'in') return test.words.map(expressionOf)
  const { left, right } = questionOf(test)
  return [left, right]
}

/** How often each expression is asked for; what a shared one is computed from is asked for once. */
export function countUses(expressions: Iterable<Expression>): Map<string, number> {
  const uses = new Map<string, number>()
  const count = (expression: Expression) => {
    const before = uses.get(expression.key) ?? 0
    uses.set(expression.key, before + 1)
    if (before > 0) return
    for (const child of childrenOf(expression)) {
      count(child)
      // A swap takes its bytes apart twice.
      if (expression.kind === 'swap') count(child)
    }
  }
  for (const expression of expressions) count(expression)
  return uses
}

const LOADS = { 1: 'i32.load8_u', 2: 'i32.load16_u', 4: 'i32.load' } as const
const IF = { '=': 'i32.eq', '>': 'i32.gt_u', '>=': 'i32.ge_u' } as const
const UNLESS = { '=': 'i32.ne', '>': 'i32.le_u', '>=': 'i32.lt_u' } as const
const OPERATIONS: Readonly<Record<Calculation['operator'], OperationName>> = {
  '+': 'i32.add',
  '-': 'i32.sub',
  '*': 'i32.mul',
  '/': 'i32.div_u',
  '%': 'i32.rem_u',
  '&': 'i32.and',
  '|': 'i32.or',
  '^': 'i32.xor',
  '<<': 'i32.shl',
  '>>': 'i32.shr_u',
}
