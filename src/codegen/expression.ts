import { type Comparison, constant, oncePerObject, type Value } from '../ir/index.js'

/**
 * What one register can hold. IR values with the machine's steps made visible:
 * a number in the packet is read through a pointer, in the packet's byte order,
 * and swapped only where its size matters. Equal expressions have equal keys.
 */
export type Expression = NumberExpression | LengthExpression | PointerExpression | Read | Swap | Calculation

interface Keyed {
  readonly key: string
}

export interface NumberExpression extends Keyed {
  readonly kind: 'number'
  readonly value: number
}

export interface LengthExpression extends Keyed {
  readonly kind: 'length'
}

/** Start of the packet plus `base` bytes. */
export interface PointerExpression extends Keyed {
  readonly kind: 'pointer'
  readonly base: Expression
  readonly baseKey: string
}

/** Bytes in the order of the packet; a null pointer is the packet's start. */
export interface Read extends Keyed {
  readonly kind: 'read'
  readonly pointer: PointerExpression | null
  readonly offset: number
  readonly size: 1 | 2 | 4
}

export interface Swap extends Keyed {
  readonly kind: 'swap'
  readonly read: Read
}

export interface Calculation extends Keyed {
  readonly kind: 'calculation'
  readonly operator: (Value & { kind: 'binary' })['operator']
  readonly left: Expression
  readonly right: Expression
  /** No packet gives a greater right operand. */
  readonly rightMax: number
}

/** A comparison of two expressions; `right` often is a number that becomes an immediate. */
export interface Question {
  readonly operator: Comparison['operator']
  readonly left: Expression
  readonly right: Expression
}

/** How to compute `value` as a number. */
export const expressionOf = oncePerObject((value: Value): Expression => {
  switch (value.kind) {
    case 'constant':
      return { kind: 'number', value: value.value, key: value.key }
    case 'length':
      return { kind: 'length', key: value.key }
    case 'load': {
      const read = readOf(value)
      return value.size === 1 ? read : { kind: 'swap', read, key: value.key }
    }
    case 'binary':
      return {
        kind: 'calculation',
        operator: value.operator,
        left: expressionOf(value.left),
        right: expressionOf(value.right),
        rightMax: value.right.max,
        key: value.key,
      }
  }
})

export const pointerOf = oncePerObject((base: Value): PointerExpression => {
  return { kind: 'pointer', base: expressionOf(base), baseKey: base.key, key: `&${base.key}` }
})

function readOf(load: Value & { kind: 'load' }): Read {
  const pointer = load.base === null ? null : pointerOf(load.base)
  return { kind: 'read', pointer, offset: load.offset, size: load.size, key: `raw${load.key}` }
}

/**
 * The cheapest way to ask `test`. Equality with a constant swaps the constant
 * while compiling and not the packet while it waits:
 *
 *     [12:2] = 0x800        is  raw = 0x0008
 *     [20:2] & 0x1fff = 0   is  raw & 0xff1f = 0
 */
export function questionOf({ operator, left, right }: Comparison): Question {
  const plain = { operator, left: expressionOf(left), right: expressionOf(right) }
  if (operator !== '=' || right.kind !== 'constant') return plain
  const isMasked = left.kind === 'binary' && left.operator === '&' && left.right.kind === 'constant'
  const load = isMasked ? left.left : left
  if (load.kind !== 'load' || load.size === 1 || right.value > load.max) return plain
  const swapped = (number: number) => expressionOf(constant(byteSwap(number, load.size)))
  const raw = readOf(load)
  if (!isMasked) return { operator, left: raw, right: swapped(right.value) }
  const mask = swapped((left.right as Value & { kind: 'constant' }).value)
  const calculation: Calculation = {
    kind: 'calculation',
    operator: '&',
    left: raw,
    right: mask,
    rightMax: load.max,
    key: `(${raw.key} & ${mask.key})`,
  }
  return { operator, left: calculation, right: swapped(right.value) }
}

function byteSwap(number: number, size: number): number {
  let swapped = 0
  for (let byte = 0; byte < size; byte++) swapped = swapped * 256 + ((number >>> (8 * byte)) & 0xff)
  return swapped
}

/** What the expression is computed from in its last step. */
export function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'pointer':
      return [expression.base]
    case 'read':
      return expression.pointer === null ? [] : [expression.pointer]
    case 'swap':
      return [expression.read]
    case 'calculation':
      return [expression.left, expression.right]
    default:
      return []
  }
}
