import type { Test } from './condition.js'
import type { Graph } from './graph.js'
import { findRule } from './lookup-table.js'
import { compute, type Value } from './value.js'

/** What a rule can see of a packet: the captured bytes, and how many there were on the wire. */
export interface Packet {
  readonly bytes: Uint8Array
  readonly wireLength: number
}

/** Whether the address in `words`, one for IPv4 or four for IPv6, is in the set called `set`. */
export type SetLookup = (set: string, family: 4 | 6, words: readonly number[]) => boolean

/**
 * The slow, plain oracle: walks the graph over one packet and gives the index
 * of the first rule that matches, or null. A graph that asks for sets needs a
 * `lookup`; without one it throws when it comes to the question.
 */
export function interpret({ nodes, entry }: Graph, packet: Packet, lookup: SetLookup = noSets): number | null {
  let id = entry
  let found: number | null = null
  for (;;) {
    const node = nodes[id]!
    if (node.kind === 'leaf') return earlier(found, node.rule)
    if (node.kind === 'check') {
      const base = node.base === null ? 0 : evaluate(node.base, packet)
      id = base !== null && base + node.bytes <= packet.bytes.length ? node.next : node.fail
    } else if (node.kind === 'lookup') {
      const tuple = evaluateAll(node.values, packet)
      const rule = tuple === null ? null : findRule(node.table, tuple)
      id = tuple === null ? node.fail : rule === null ? node.miss : node.hit
      found = earlier(found, rule)
    } else {
      const answer = ask(node.test, packet, lookup)
      id = answer === null ? node.fail : answer ? node.yes : node.no
    }
  }
}

function ask(test: Test, packet: Packet, lookup: SetLookup): boolean | null {
  if (test.operator === 'in') {
    const words = evaluateAll(test.words, packet)
    return words === null ? null : lookup(test.set, test.family, words)
  }
  const left = evaluate(test.left, packet)
  const right = evaluate(test.right, packet)
  if (left === null || right === null) return null
  switch (test.operator) {
    case '=':
      return left === right
    case '>':
      return left > right
    case '>=':
      return left >= right
  }
}

function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other)
}

function evaluateAll(values: readonly Value[], packet: Packet): number[] | null {
  const numbers = values.map((value) => evaluate(value, packet))
  return numbers.every((number) => number !== null) ? numbers : null
}

function noSets(set: string): never {
  throw new Error(`the graph asks for the set @${set}, and no look-up was given; pass one to interpret`)
}

/** The number, or null where a byte is not captured or a divisor is zero. */
export function evaluate(value: Value, packet: Packet): number | null {
  switch (value.kind) {
    case 'constant':
      return value.value
    case 'length':
      return packet.wireLength >>> 0
    case 'load': {
      const base = value.base === null ? 0 : evaluate(value.base, packet)
      return base === null ? null : bigEndian(packet.bytes, base + value.offset, value.size)
    }
    case 'binary': {
      const left = evaluate(value.left, packet)
      const right = evaluate(value.right, packet)
      return left === null || right === null ? null : compute(value.operator, left, right)
    }
  }
}

function bigEndian(bytes: Uint8Array, at: number, size: number): number | null {
  if (at + size > bytes.length) return null
  let number = 0
  for (let index = at; index < at + size; index++) number = number * 256 + bytes[index]!
  return number
}
