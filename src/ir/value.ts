import { createHash } from 'node:crypto'
import type { ArithmeticOperator } from '../filter/index.js'
import { HASHED, oncePerObject } from './once-per-object.js'

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

/** A key that is longer becomes its hash: each contains those of what it is computed from, some of them twice. */
const LONGEST_KEY = 128
/** 144 bits of SHA-256: nobody finds two texts with the same. */
const HASH_CHARACTERS = 24

/** The key for the spelling of a value, in which the keys of its parts stand. */
export function keyFor(spelling: string): string {
  if (spelling.length <= LONGEST_KEY) return spelling
  return `${HASHED}${createHash('sha256').update(spelling).digest('base64url').slice(0, HASH_CHARACTERS)}`
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
  return { kind: 'load', base, offset, size, key: keyFor(`[${at}:${size}]`), max: 2 ** (8 * size) - 1, canFail: true }
}

function wrappingSum(left: Value, summand: number): Binary {
  const right = constant(summand)
  const key = keyFor(`(${left.key} + ${right.key})`)
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

/** Every packet read that computing `value` makes, once each; those that an address needs before the read at that address. */
export const loadsOf = oncePerObject((value: Value): readonly Load[] => {
  if (value.kind === 'binary') return distinct([...loadsOf(value.left), ...loadsOf(value.right)])
  if (value.kind !== 'load') return []
  return value.base === null ? [value] : [...loadsOf(value.base), value]
})

function distinct(loads: readonly Load[]): Load[] {
  return [...new Map(loads.map((load) => [load.key, load])).values()]
}

/** True where computing the value can meet a division by zero. */
export const divides = oncePerObject((value: Value): boolean => {
  if (value.kind === 'load') return value.base !== null && divides(value.base)
  if (value.kind !== 'binary') return false
  const isDivision = value.operator === '/' || value.operator === '%'
  const isSafe = value.right.kind === 'constant' && value.right.value !== 0
  return (isDivision && !isSafe) || divides(value.left) || divides(value.right)
})
