import type { LookupTable, Membership } from '../../ir/index.js'
import { access, call, get, type Instruction, type WasmFunction } from '../../wasm/index.js'
import { buildRuleTable } from '../sets/rule-table.js'
import { lookupTable } from './lookup-table.js'
import { lookupV4 } from './lookup-v4.js'
import { lookupV6 } from './lookup-v6.js'

/**
 * What a look-up reads. A matcher finds it in linear memory by a list of
 * addresses, so that it can lie anywhere, and a set can be changed by one store.
 */
export type MatcherImage =
  /** The addresses of one family of a named set: an image of the tables that the eBPF program reads as well. */
  | { readonly kind: 'set'; readonly set: string; readonly family: Membership['family'] }
  /** What rules of one shape became. */
  | { readonly kind: 'table'; readonly image: Uint8Array }

/** The parameter with the address of the list. */
export const IMAGES = 'images'

const WORD_BYTES = 4

/** Collects the look-ups of a matcher; each gives the code that is put behind its operands. */
export function createLookups() {
  const images: MatcherImage[] = []
  const functions = new Map<string, WasmFunction>()
  const sets = new Map<string, number>()
  const ask = (image: number, name: string): Instruction[] => [
    get(IMAGES),
    access('i32.load', image * WORD_BYTES),
    call(name),
  ]
  return {
    found: {
      images,
      get functions() {
        return [...functions.values()]
      },
    },
    /** With the words of an address on the stack: 1 where it is in the set, else 0. */
    intoSet({ set, family }: Membership): Instruction[] {
      const key = `${set}/${family}`
      const image = sets.get(key) ?? images.push({ kind: 'set', set, family }) - 1
      sets.set(key, image)
      const name = `in set ${family}`
      if (!functions.has(name)) functions.set(name, family === 4 ? lookupV4(name) : lookupV6(name))
      return ask(image, name)
    },
    /** With a tuple on the stack: its rule, or NO_RULE. */
    intoTable({ width, keys, rules }: LookupTable): Instruction[] {
      const table = buildRuleTable(keys, width, rules)
      const image = images.push({ kind: 'table', image: table.image }) - 1
      const name = `rule of table ${image}`
      functions.set(name, lookupTable(name, width, table))
      return ask(image, name)
    },
  }
}
