import {
  alu32,
  alu64,
  type Item,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMapValue,
  type MapSpec,
  mov32,
  R1,
  R2,
  R3,
  R10,
  store,
} from '../../../ebpf/index.js'
import type { Graph } from '../../../ir/index.js'
import { FOUND_SLOT } from '../emit-lookup.js'
import type { RuleCode } from './action.js'
import { SLOT_KEY } from './parts.js'

/** An array of one value: u32 slot of each rule. It belongs to the program, because the next one counts its rules anew. */
const RULE_SLOTS = 'rule_slots'

/** BPF_F_MMAPABLE: the loader writes the contents through a mapping. */
const MEMORY_MAPPED = 1 << 10

/**
 * Rules that stand in look-up tables. What a table holds for one says its place
 * in the list, by which the first of several is found, and below that its kind:
 * rules that do the same to a packet are one kind and share their code.
 */
export interface FoundRules {
  encode(rule: number): number
  /**
   * Puts the slot of the rule in FOUND_SLOT into SLOT_KEY and goes on with the
   * code of its kind; `next` is for a number that no table holds.
   */
  emitFound(graph: Graph, next: string, codeOf: (rule: RuleCode) => Item[]): Item[]
  maps(): MapSpec[]
}

/** For the rules of a program, first to last; graphs name them by their place there. */
export function createFoundRules(rules: readonly RuleCode[], graphs: readonly Graph[]): FoundRules {
  const inTables = new Set(graphs.flatMap(rulesInTables))
  const kinds = new Map<string, { readonly number: number; readonly rule: RuleCode }>()
  for (const index of inTables) {
    const rule = rules[index]!
    if (!kinds.has(kindOf(rule))) kinds.set(kindOf(rule), { number: kinds.size, rule })
  }
  const bits = Math.ceil(Math.log2(Math.max(kinds.size, 1)))
  const kindNumber = (rule: number) => kinds.get(kindOf(rules[rule]!))?.number ?? 0
  return {
    encode: (rule) => rule * 2 ** bits + kindNumber(rule),
    emitFound(graph, next, codeOf) {
      const names = new Set(rulesInTables(graph).map((index) => kindOf(rules[index]!)))
      const [first, ...others] = [...names].map((name) => kinds.get(name)!)
      const labelOf = (number: number) => `kind ${number} before ${next}`
      return [
        load('u32', R1, R10, FOUND_SLOT),
        mov32(R2, R1),
        alu32('rsh', R2, bits),
        jumpIf(R2, '>=', rules.length, next),
        alu64('lsh', R2, 2),
        loadMapValue(R3, RULE_SLOTS),
        alu64('add', R3, R2),
        load('u32', R2, R3, 0),
        store('u32', R10, SLOT_KEY, R2),
        alu32('and', R1, 2 ** bits - 1),
        ...others.map(({ number }) => jumpIf32(R1, '==', number, labelOf(number))),
        ...codeOf(first!.rule),
        ...others.flatMap(({ number, rule }) => [label(labelOf(number)), ...codeOf(rule)]),
      ]
    },
    maps() {
      if (inTables.size === 0) return []
      const bytes = new Uint8Array(Uint32Array.from(rules, ({ slot }) => slot).buffer)
      const size = { keyBytes: 4, valueBytes: bytes.length, maxEntries: 1 }
      return [{ name: RULE_SLOTS, kind: 'array', ...size, flags: MEMORY_MAPPED, contents: { at: 0, bytes } }]
    },
  }
}

/** The graph with its rules counted from `base` on. */
export function renumberRules(graph: Graph, base: number): Graph {
  const nodes = graph.nodes.map((node) => {
    if (node.kind === 'leaf') return node.rule === null ? node : { ...node, rule: node.rule + base }
    if (node.kind !== 'lookup') return node
    const rules = node.table.rules.map((rule) => rule + base)
    return { ...node, table: { ...node.table, rules, key: `${node.table.key} from ${base}` } }
  })
  return { nodes, entry: graph.entry }
}

function rulesInTables({ nodes }: Graph): number[] {
  return nodes.flatMap((node) => (node.kind === 'lookup' ? [...node.table.rules] : []))
}

function kindOf({ action, isShadow, hasEnd }: RuleCode): string {
  return JSON.stringify([action, isShadow, hasEnd])
}
