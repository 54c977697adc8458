import type { ArithmeticOperator } from '../filter/index.js'
import { oncePerObject } from './once-per-object.js'
import { type Binary, compute, constant, divides, keyFor, MAX_U32, type Place, type Value } from './value.js'

/**
 * Arithmetic that folds while it builds, so that equal values meet under one
 * key from the start and nothing after this file has to know algebra:
 *
 *     2 + 3            = 5                   x * 8, x / 8, x % 8 = x << 3, x >> 3, x & 7
 *     3 + x            = x + 3               (x + a) + b         = x + (a + b)
 *     x - 3            = x + (2^32 - 3)      (x & a) & b         = x & (a & b)
 *     x + 0, x << 0    = x                   (x >> a) << b       = (x >> (a - b)) & ~(2^b - 1)
 *     x & 0, x * 0     = 0                   x & m               = x where m covers x
 *
 * `x & 0` and `x * 0` drop the reads of x, as libpcap's optimizer does; no
 * other rule drops a read, and none a division.
 */
export function binary(operator: ArithmeticOperator, left: Value, right: Value): Value {
  if (left.kind === 'constant' && right.kind === 'constant') {
    const value = compute(operator, left.value, right.value)
    return value === null ? plain(operator, left, right) : constant(value)
  }
  if (left.kind === 'constant' && COMMUTATIVE.has(operator)) return withConstant(operator, right, left.value)
  if (right.kind === 'constant') return withConstant(operator, left, right.value)
  return plain(operator, left, right)
}

const COMMUTATIVE: ReadonlySet<ArithmeticOperator> = new Set(['+', '*', '&', '|', '^'])

/** Neutral on the right: `x op neutral = x`. */
const NEUTRAL: Readonly<Record<ArithmeticOperator, number>> = {
  '+': 0,
  '-': 0,
  '*': 1,
  '/': 1,
  '%': Number.NaN,
  '&': MAX_U32,
  '|': 0,
  '^': 0,
  '<<': 0,
  '>>': 0,
}

function withConstant(operator: ArithmeticOperator, left: Value, c: number): Value {
  if (c === NEUTRAL[operator]) return left
  switch (operator) {
    case '-':
      return withConstant('+', left, -c >>> 0)
    case '*':
      if (c === 0) return divides(left) ? zeroOf(left) : constant(0)
      return isPowerOfTwo(c) ? withConstant('<<', left, Math.log2(c)) : reassociated('*', left, c)
    case '/':
      return isPowerOfTwo(c) ? withConstant('>>', left, Math.log2(c)) : plain('/', left, constant(c))
    case '%':
      return isPowerOfTwo(c) ? withConstant('&', left, c - 1) : plain('%', left, constant(c))
    case '&':
      return c === 0 && !divides(left) ? constant(0) : masked(left, c)
    case '<<':
    case '>>':
      return c > 31 ? zeroOf(left) : shifted(operator, left, c)
    default:
      return reassociated(operator, left, c)
  }
}

/** 0 where x can be computed at all: what is left of x when its last bit is gone. */
function zeroOf(left: Value): Value {
  return left.canFail ? plain('&', left, constant(0)) : constant(0)
}

/** `(x op a) op c = x op (a op c)` for the associative operators. */
function reassociated(operator: '+' | '*' | '|' | '^', left: Value, c: number): Value {
  const inner = constantOperand(left, operator)
  if (inner === null) return plain(operator, left, constant(c))
  return withConstant(operator, inner.value, compute(operator, inner.constant, c)!)
}

function masked(left: Value, mask: number): Value {
  const inner = constantOperand(left, '&')
  if (inner !== null) return masked(inner.value, (inner.constant & mask) >>> 0)
  const useful = (mask & possibleBits(left)) >>> 0
  if (useful === 0) return zeroOf(left)
  // The bits that x cannot have are taken out of the mask, so that one test has one spelling.
  return useful === possibleBits(left) ? left : plain('&', left, constant(useful))
}

function shifted(operator: '<<' | '>>', left: Value, c: number): Value {
  const same = constantOperand(left, operator)
  if (same !== null) return shiftedOnce(operator, same.value, same.constant + c)
  const opposite = constantOperand(left, operator === '<<' ? '>>' : '<<')
  if (opposite !== null) {
    const { value, constant: a } = opposite
    if (operator === '<<') return masked(shiftedBy(value, c - a), (-1 << c) >>> 0)
    if (value.max * 2 ** a <= MAX_U32) return shiftedBy(value, a - c)
  }
  return plain(operator, left, constant(c))
}

function shiftedOnce(operator: '<<' | '>>', value: Value, by: number): Value {
  return by > 31 ? zeroOf(value) : plain(operator, value, constant(by))
}

/** Left by `by` bits, or right where `by` is negative. */
function shiftedBy(value: Value, by: number): Value {
  return binary(by < 0 ? '>>' : '<<', value, constant(Math.abs(by)))
}

/** The parts of `value` where it is `x op constant`. */
export function constantOperand(
  value: Value,
  operator: ArithmeticOperator,
): { readonly value: Value; readonly constant: number } | null {
  if (value.kind !== 'binary' || value.operator !== operator || value.right.kind !== 'constant') return null
  return { value: value.left, constant: value.right.value }
}

/**
 * Moves a constant out of a variable address: `(x + 4) + 14` is `x + 18`
 * where `x + 4` cannot wrap, so that neighbouring reads share one base and one
 * bounds check.
 */
export function normalizePlace(place: Place): Place {
  if (place.base === null) return place
  if (place.base.kind === 'constant') return { base: null, offset: (place.offset + place.base.value) >>> 0 }
  const sum = constantOperand(place.base, '+')
  if (sum === null) return place
  if (sum.value.max + sum.constant > MAX_U32 || sum.constant + place.offset > MAX_U32) return place
  return { base: sum.value, offset: sum.constant + place.offset }
}

/** Every bit that can be one in some packet. */
export const possibleBits = oncePerObject((value: Value): number => {
  const bound = fillBits(value.max)
  if (value.kind !== 'binary') return value.kind === 'constant' ? value.value : bound
  const left = possibleBits(value.left)
  const right = possibleBits(value.right)
  const by = value.right.kind === 'constant' ? value.right.value : null
  switch (value.operator) {
    case '&':
      return (left & right) >>> 0
    case '|':
    case '^':
      return (left | right) >>> 0
    case '<<':
      return by === null ? bound : compute('<<', left, by)!
    case '>>':
      return by === null ? bound : compute('>>', left, by)!
    default:
      return bound
  }
})

function plain(operator: ArithmeticOperator, left: Value, right: Value): Binary {
  const isDivision = operator === '/' || operator === '%'
  return {
    kind: 'binary',
    operator,
    left,
    right,
    key: keyFor(`(${left.key} ${operator} ${right.key})`),
    max: maximum(operator, left, right),
    canFail: left.canFail || right.canFail || (isDivision && !isNonZeroConstant(right)),
  }
}

function maximum(operator: ArithmeticOperator, left: Value, right: Value): number {
  const upTo = (value: number) => Math.min(value, MAX_U32)
  const by = right.kind === 'constant' ? right.value : null
  switch (operator) {
    case '+':
      return upTo(left.max + right.max)
    case '*':
      return upTo(left.max * right.max)
    case '/':
      return by === null || by === 0 ? left.max : Math.floor(left.max / by)
    case '%':
      return Math.min(left.max, Math.max(right.max - 1, 0))
    case '&':
      return Math.min(left.max, right.max)
    case '|':
    case '^':
      return fillBits(Math.max(left.max, right.max))
    case '<<':
      return by === null ? MAX_U32 : upTo(left.max * 2 ** by)
    case '>>':
      return by === null ? left.max : compute('>>', left.max, by)!
    default:
      return MAX_U32
  }
}

/** All bits up to the highest one of `value`. */
function fillBits(value: number): number {
  return value === 0 ? 0 : 2 ** (32 - Math.clz32(value)) - 1
}

function isNonZeroConstant(value: Value): boolean {
  return value.kind === 'constant' && value.value !== 0
}

function isPowerOfTwo(value: number): boolean {
  return value !== 0 && (value & (value - 1)) === 0
}
