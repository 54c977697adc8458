import type { ACCESSES, OPERATIONS } from './operations.js'

/** The types that packets need. */
export type ValueType = 'i32' | 'i64'
/** Name of an instruction without an immediate, such as `i32.add`. */
export type OperationName = keyof typeof OPERATIONS
/** Name of a load or store, such as `i32.load16_u`. */
export type AccessName = keyof typeof ACCESSES

/**
 * One instruction of a function's body. A body is a flat list; `block`, `loop`
 * and `if` stand open until their `end`. Locals, labels and functions go by
 * their names, which the encoder turns into indices.
 */
export type Instruction =
  | { readonly kind: 'operation'; readonly operation: OperationName }
  | { readonly kind: 'constant'; readonly type: ValueType; readonly value: bigint }
  | { readonly kind: 'local'; readonly verb: 'get' | 'set' | 'tee'; readonly name: string }
  | { readonly kind: 'access'; readonly access: AccessName; readonly offset: number }
  | { readonly kind: 'open'; readonly verb: 'block' | 'loop' | 'if'; readonly label: string }
  | { readonly kind: 'else' | 'end' }
  | { readonly kind: 'branch'; readonly verb: 'br' | 'br_if'; readonly label: string }
  | { readonly kind: 'table'; readonly labels: readonly string[]; readonly otherwise: string }
  | { readonly kind: 'call'; readonly name: string }

/** An instruction without an immediate: `op('i32.add')`. */
export function op(operation: OperationName): Instruction {
  return { kind: 'operation', operation }
}

/** A constant of 32 bits; its sign is as one reads it, 0xffffffff and -1 are the same. */
export function i32(value: number): Instruction {
  return { kind: 'constant', type: 'i32', value: BigInt(value | 0) }
}

/** A constant of 64 bits. */
export function i64(value: bigint): Instruction {
  return { kind: 'constant', type: 'i64', value: BigInt.asIntN(64, value) }
}

export function get(name: string): Instruction {
  return { kind: 'local', verb: 'get', name }
}

export function set(name: string): Instruction {
  return { kind: 'local', verb: 'set', name }
}

/** Keeps the value on the stack as well. */
export function tee(name: string): Instruction {
  return { kind: 'local', verb: 'tee', name }
}

/** A load or store at the address on the stack plus `offset`, added without wrapping; no alignment is promised. */
export function access(name: AccessName, offset: number): Instruction {
  return { kind: 'access', access: name, offset }
}

/** Branches to `label` go behind its `end`. */
export function block(label: string): Instruction {
  return { kind: 'open', verb: 'block', label }
}

/** Branches to `label` go back here. */
export function loop(label: string): Instruction {
  return { kind: 'open', verb: 'loop', label }
}

/** Takes a condition; branches to `label` go behind its `end`. */
export function when(label: string): Instruction {
  return { kind: 'open', verb: 'if', label }
}

export const otherwise: Instruction = { kind: 'else' }
export const end: Instruction = { kind: 'end' }

export function br(label: string): Instruction {
  return { kind: 'branch', verb: 'br', label }
}

/** Takes a condition. */
export function brIf(label: string): Instruction {
  return { kind: 'branch', verb: 'br_if', label }
}

/** Takes an index into `labels`; one beyond them goes to `otherwise`. */
export function brTable(labels: readonly string[], otherwise: string): Instruction {
  return { kind: 'table', labels, otherwise }
}

/** Calls a function, imported or of this module. */
export function call(name: string): Instruction {
  return { kind: 'call', name }
}
