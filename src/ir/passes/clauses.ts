import type { Condition } from '../condition.js'
import { possibleBits } from '../fold.js'
import { createLookupTable, type LookupTable } from '../lookup-table.js'
import { oncePerObject } from '../once-per-object.js'
import { loadsOf, type Value } from '../value.js'
import { readsOf, readsOfValues } from './bounds.js'
import { type Literal, type Path, pathsTo } from './paths.js'
import { asEquation, type Equation, type Shape } from './shapes.js'
import { widenPaths } from './widen.js'

/** Where all literals hold, the goal is reached; `reads` has the furthest byte behind each base that this takes. */
export interface Clause {
  readonly literals: readonly Literal[]
  readonly goal: Goal
  readonly reads: ReadonlyMap<string, number>
  /** The first rule that the clause can find, and the last. */
  readonly first: number
  readonly last: number
}

/** The match of a rule, a table that may know one, or a condition that is asked as it stands. */
export type Goal =
  | { readonly kind: 'rule' }
  | { readonly kind: 'table'; readonly values: readonly Value[]; readonly table: LookupTable }
  | { readonly kind: 'condition'; readonly condition: Condition }

/** Fewer rules of one shape are asked one by one, which costs no memory access. */
const FEWEST_FOLDED = 8
/** A tuple of more numbers is not looked up. Two IPv6 addresses and two ports are ten. */
const WIDEST_TUPLE = 10
/** A clause's literals are told apart by the bits of a number. */
const MOST_LITERALS = 30

/**
 * What takes the place of the rules of one shape: a clause with a table for
 * each way to a match where there are enough of them, otherwise each rule's own
 * ways.
 */
export function clausesOf(shape: Shape, conditions: readonly Condition[]): Clause[] {
  if (shape.rules.length >= FEWEST_FOLDED) {
    const folded = foldShape(shape)
    if (folded !== null) return folded
  }
  return shape.rules.flatMap((rule) => clausesOfRule(conditions[rule]!, rule))
}

function clausesOfRule(condition: Condition, rule: number): Clause[] {
  const paths = pathsTo(condition, new Set())
  if (paths === null || paths.some(({ length }) => length > MOST_LITERALS))
    return [{ literals: [], goal: { kind: 'condition', condition }, reads: new Map(), first: rule, last: rule }]
  return widenPaths(condition, paths).map((path) => clause(path, { kind: 'rule' }, [], rule, rule))
}

/** Null where a way to a match asks that a number is none of the table's, or for too much. */
function foldShape(shape: Shape): Clause[] | null {
  const { rules, condition, columns, constants } = shape
  const varies = columns.map(({ right }, column) => constants.some((row) => row[column] !== right.value))
  const varying = new Map(columns.flatMap(({ key }, column) => (varies[column] ? [[key, column] as const] : [])))
  const paths = pathsTo(condition, new Set(varying.keys()))
  if (paths === null) return null
  const clauses: Clause[] = []
  for (const path of widenPaths(condition, paths)) {
    const keyed = path.filter(({ test }) => varying.has(test.key))
    const rest = path.filter(({ test }) => !varying.has(test.key))
    if (keyed.some(({ answer }) => !answer) || keyed.length > WIDEST_TUPLE || rest.length > MOST_LITERALS) return null
    const equations = keyed.map(({ test }) => asEquation(test)!)
    const table = tableOf(
      shape,
      equations,
      keyed.map(({ test }) => varying.get(test.key)!),
    )
    if (keyed.length === 0) clauses.push(clause(rest, { kind: 'rule' }, [], rules[0]!, rules[0]!))
    else if (table.rules.length > 0) {
      const values = equations.map(({ left }) => left)
      clauses.push(clause(rest, { kind: 'table', values, table }, values, table.rules[0]!, table.rules.at(-1)!))
    }
  }
  return clauses
}

/** The rules by what each asks the equations' values to be, without those that no value can meet. */
function tableOf({ rules, constants }: Shape, equations: readonly Equation[], columns: readonly number[]): LookupTable {
  const entries = rules.map((rule, index) => ({ rule, tuple: columns.map((column) => constants[index]![column]!) }))
  const bits = equations.map(({ left }) => possibleBits(left))
  const isPossible = (tuple: readonly number[]) => tuple.every((number, word) => (number & ~bits[word]!) === 0)
  return createLookupTable(
    columns.length,
    entries.filter(({ tuple }) => isPossible(tuple)),
  )
}

/** The cheapest literals first: all of them are asked, in whatever order. */
function clause(path: Path, goal: Goal, values: readonly Value[], first: number, last: number): Clause {
  const literals = [...path].sort((one, other) => costOf(one) - costOf(other))
  const reads = new Map<string, number>()
  const all = [...path.flatMap(({ test }) => readsOf(test)), ...readsOfValues(values)]
  for (const { base, bytes } of all) {
    const key = base?.key ?? ''
    reads.set(key, Math.max(reads.get(key) ?? 0, bytes))
  }
  return { literals, goal, reads, first, last }
}

/** A read behind a header of variable length needs that length first; a mask is one instruction. */
const cost = oncePerObject((value: Value): number => {
  if (value.kind === 'load') return 2 + (value.base === null ? 0 : 2 + cost(value.base))
  return value.kind === 'binary' ? 1 + cost(value.left) + cost(value.right) : 0
})

function costOf({ test }: Literal): number {
  return test.operator === 'in' ? 20 + loadsOf(test.words[0]!).length : cost(test.left) + cost(test.right)
}
