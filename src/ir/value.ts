import type { ArithmeticOperator } from '../filter/index.js'

/**
 * An unsigned 32-bit number computed from one packet. Values are pure and are
 * compared by `key`: two values with one key are the same number on every
 * packet. Build them with `constant`, `wireLength`, `load` and `binary` (see
 * fold.ts), which bring equal values to equal keys.
 */
export type Value = Constant | WireLength | Load | Binary

export interface Constant extends ValueFacts {
  readonly kind: 'constant'
  readonly value: number
}

/** Bytes the packet had on the wire, which a capture may have cut. */
export interface WireLength extends ValueFacts {
  readonly kind: 'length'
}

/**
 * Big-endian bytes at `base + offset`, added without wrapping; a null base is
 * 0. Where they are not all captured, the whole rule does not match.
 */
export interface Load extends ValueFacts {
  readonly kind: 'load'
  readonly base: Value | null
  readonly offset: number
  readonly size: 1 | 2 | 4
}

/** Wraps at 32 bits. A shift by 32 or more gives 0; division by zero ends in no match. */
export interface Binary extends ValueFacts {
  readonly kind: 'binary'
  readonly operator: ArithmeticOperator
  readonly left: Value
  readonly right: Value
}

interface ValueFacts {
  readonly key: string
  /** No packet gives a greater number. */
  readonly max: number
  /** True where computing it can end the rule: it reads the packet or divides. */
  readonly canFail: boolean
}

export const MAX_U32 = 0xffff_ffff
const MAX_I32 = 0x7fff_ffff

export function constant(value: number): Constant {
  const unsigned = value >>> 0
  return { kind: 'constant', value: unsigned, key: String(unsigned), max: unsigned, canFail: false }
}

const LENGTH: WireLength = { kind: 'length', key: 'len', max: MAX_U32, canFail: false }

export function wireLength(): WireLength {
  return LENGTH
}

/** A place in the packet: `base + offset` bytes from its start. */
export interface Place {
  readonly base: Value | null
  readonly offset: number
}

/** Reads `size` bytes, `delta` bytes behind `place`. */
export function load(place: Place, delta: number, size: 1 | 2 | 4): Load {
  // A constant offset wraps, as libpcap's optimiser does: `ip[-1]` is the byte before the header.
  const wrapped = (place.offset + delta) >>> 0
  // Behind a variable base the sum wraps too (bpf_filter in libpcap): `tcp[-20]` is in the IPv4 header.
  const isBefore = place.base !== null && wrapped > MAX_I32
  const base = isBefore ? wrappingSum(place.base!, wrapped) : place.base
  const offset = isBefore ? 0 : wrapped
  const at = base === null ? `${offset}` : `${base.key}+${offset}`
  return { kind: 'load', base, offset, size, key: `[${at}:${size}]`, max: 2 ** (8 * size) - 1, canFail: true }
}

function wrappingSum(left: Value, summand: number): Binary {
  const right = constant(summand)
  const key = `(${left.key} + ${right.key})`
  return { kind: 'binary', operator: '+', left, right, key, max: MAX_U32, canFail: left.canFail }
}

/** `operator` on two numbers, or null for a division by zero. */
export function compute(operator: ArithmeticOperator, left: number, right: number): number | null {
  switch (operator) {
    case '+':
      return (left + right) >>> 0
    case '-':
      return (left - right) >>> 0
    case '*':
      return Math.imul(left, right) >>> 0
    case '/':
      return right === 0 ? null : Math.floor(left / right)
    case '%':
      return right === 0 ? null : left % right
    case '&':
      return (left & right) >>> 0
    case '|':
      return (left | right) >>> 0
    case '^':
      return (left ^ right) >>> 0
    case '<<':
      return right > 31 ? 0 : (left << right) >>> 0
    case '>>':
      return right > 31 ? 0 : left >>> right
  }
}

/** Every packet read that computing `value` makes, those that an address needs before the read at that address. */
export function loadsOf(value: Value, into: Load[] = []): Load[] {
  if (value.kind === 'binary') {
    loadsOf(value.left, into)
    loadsOf(value.right, into)
  } else if (value.kind === 'load') {
    if (value.base !== null) loadsOf(value.base, into)
    into.push(value)
  }
  return into
}

/** True where computing the value can meet a division by zero. */
export function divides(value: Value): boolean {
  if (value.kind === 'load') return value.base !== null && divides(value.base)
  if (value.kind !== 'binary') return false
  const isDivision = value.operator === '/' || value.operator === '%'
  const isSafe = value.right.kind === 'constant' && value.right.value !== 0
  return (isDivision && !isSafe) || divides(value.left) || divides(value.right)
}
