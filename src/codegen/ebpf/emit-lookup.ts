import {
  alu32,
  alu64,
  type Item,
  jumpIf32,
  load,
  loadMapValue,
  type MapSpec,
  mov32,
  mov64,
  R10,
  type Register,
  store,
} from '../../ebpf/index.js'
import { constant, type Lookup, type LookupTable, type Value } from '../../ir/index.js'
import { type Expression, questionOf } from '../expression.js'
import { buildRuleTable, type RuleTable } from '../sets/rule-table.js'
import type { Evaluator } from './evaluate.js'
import type { RegisterFile } from './registers.js'

/** An array of one value, which has the images of all tables one behind the other. */
const RULE_TABLES = 'rule_tables'

/** Where the stack holds what has been found so far: NOTHING_FOUND, or the encoded rule. */
export const FOUND_SLOT = -8
/** Greater than every encoded rule, so that "comes before" is one comparison. */
export const NOTHING_FOUND = 0xffff_ffff

/** The tables of a program: each image is built once and has its place in the map. */
export interface PlacedTables {
  place(node: Lookup): RuleTable & { readonly at: number }
  /** What a table holds for a rule; earlier rules have smaller numbers. */
  encode(rule: number): number
  /** The map, or none where no table was placed. */
  maps(): MapSpec[]
}

/** BPF_F_MMAPABLE: the loader writes the contents through a mapping. */
const MEMORY_MAPPED = 1 << 10
const LINE_BYTES = 64

export function createPlacedTables(encode: (rule: number) => number): PlacedTables {
  const placed = new Map<string, RuleTable & { readonly at: number }>()
  let end = 0
  return {
    encode,
    place({ values, table }) {
      const key = `${values.map(rawKey).join()} ${table.key}`
      let found = placed.get(key)
      if (found === undefined) {
        const keys = rawTuples(values, table)
        found = { ...buildRuleTable(keys, table.width, table.rules.map(encode)), at: end }
        end = (end + found.image.length + LINE_BYTES - 1) & -LINE_BYTES
        placed.set(key, found)
      }
      return found
    },
    maps() {
      if (end === 0) return []
      const bytes = new Uint8Array(end)
      for (const { at, image } of placed.values()) bytes.set(image, at)
      const contents = { at: 0, bytes }
      const size = { keyBytes: 4, valueBytes: end, maxEntries: 1 }
      return [{ name: RULE_TABLES, kind: 'array', ...size, flags: MEMORY_MAPPED, contents }]
    },
  }
}

/** The value as a register holds it for a look-up: in the order of the packet where that saves the swap. */
export function rawExpressions(values: readonly Value[]): Expression[] {
  return values.map((value) => rawEquation(value, 0).left)
}

function rawEquation(value: Value, wanted: number) {
  return questionOf({ operator: '=', left: value, right: constant(wanted), key: '' })
}

/** Tables of equal numbers differ where one compares them swapped and the other does not. */
function rawKey(value: Value): string {
  const { right } = rawEquation(value, 1)
  return right.key
}

function rawTuples(values: readonly Value[], { keys, width }: LookupTable): Uint32Array {
  return keys.map((number, index) => {
    const { right } = rawEquation(values[index % width]!, number)
    return right.kind === 'number' ? right.value : number
  })
}

/** What looking up takes of the code around it. */
export interface LookupContext {
  readonly file: RegisterFile
  readonly evaluator: Evaluator
  emit(item: Item): void
  /** The label where no entry matches; notes what the registers hold here. */
  missLabel(): string
  /** The label where an entry matches. */
  hitLabel(): string
  /** True where an earlier look-up may have found a rule. */
  readonly mayHaveFound: boolean
}

/** Looks the values of `node` up and keeps the rule in the stack, if it is the first so far; then goes on below. */
export function emitRuleLookup(node: Lookup, tables: PlacedTables, context: LookupContext): void {
  const { file, emit, evaluator } = context
  const words = rawExpressions(node.values)
  const table = tables.place(node)
  const hash = emitHash(words, table, context)
  const [place, piece] = [file.take(), file.take()]
  emit(mov32(piece, hash))
  emit(alu32('rsh', piece, 32 - table.bucketBits))
  emit(alu64('lsh', piece, 1))
  emit(loadMapValue(place, RULE_TABLES, table.at))
  emit(alu64('add', place, piece))
  emit(load('u16', piece, place, 0))
  emit(alu32('xor', hash, piece))
  emit(alu32('mul', hash, table.second))
  emit(alu32('rsh', hash, 32 - table.slotBits))
  emit(alu64('mul', hash, table.slotBytes))
  emit(loadMapValue(place, RULE_TABLES, table.at + table.slotsAt))
  emit(alu64('add', place, hash))
  words.forEach((word, index) => {
    const wanted = evaluator.toRegister(word)
    emit(load('u32', piece, place, 4 * index))
    emit(jumpIf32(piece, '!=', wanted, context.missLabel()))
    file.release(wanted)
  })
  emit(load('u32', piece, place, 4 * words.length))
  if (context.mayHaveFound) {
    emit(load('u32', hash, R10, FOUND_SLOT))
    emit(jumpIf32(hash, '<=', piece, context.hitLabel()))
  }
  emit(store('u32', R10, FOUND_SLOT, piece))
  for (const register of [hash, place, piece]) file.release(register)
}

function emitHash(words: readonly Expression[], { first }: RuleTable, context: LookupContext): Register {
  const { file, emit, evaluator } = context
  const hash = file.take()
  words.forEach((expression, index) => {
    const word = evaluator.toRegister(expression)
    emit(index === 0 ? mov32(hash, word) : alu32('xor', hash, word))
    file.release(word)
    emit(alu64('mul', hash, first))
    const high = file.take()
    emit(mov64(high, hash))
    emit(alu64('rsh', high, 32))
    emit(alu32('xor', hash, high))
    file.release(high)
  })
  return hash
}
