import type { Test } from './condition.js'
import type { Graph, Node, NodeId } from './graph.js'
import type { Value } from './value.js'

/**
 * The graph as text, one node a line, from the entry down. `[14]` is a byte of
 * the packet, `[12:2]` two bytes, `[x + 16:2]` two bytes 16 behind x.
 *
 *     n3  24 bytes else no match
 *     n2  [12:2] = 0x800  ? n1 : no match
 *     n1  [23] = 17  ? rule 0 : no match
 */
export function printGraph({ nodes, entry }: Graph): string {
  const lines: string[] = []
  for (let id = entry; id >= 0; id--) {
    const node = nodes[id]!
    if (node.kind !== 'leaf' || id === entry) lines.push(`${`n${id}`.padEnd(5)}${printNode(node, nodes)}`)
  }
  return `${lines.join('\n')}\n`
}

function printNode(node: Node, nodes: readonly Node[]): string {
  const name = (id: NodeId) => {
    const target = nodes[id]!
    return target.kind === 'leaf' ? printLeaf(target.rule) : `n${id}`
  }
  if (node.kind === 'leaf') return printLeaf(node.rule)
  if (node.kind === 'check') {
    const from = node.base === null ? '' : `${printValue(node.base)} + `
    return `${from}${node.bytes} bytes  else ${name(node.fail)}`
  }
  if (node.kind === 'lookup') {
    const { values, table } = node
    const entries = `${table.rules.length} entries, rule ${table.rules[0]} …`
    return `${values.map(printValue).join(', ')} in {${entries}}  ? found, ${name(node.hit)} : ${name(node.miss)}`
  }
  return `${printTest(node.test)}  ? ${name(node.yes)} : ${name(node.no)}`
}

function printLeaf(rule: number | null): string {
  return rule === null ? 'no match' : `rule ${rule}`
}

function printTest(test: Test): string {
  if (test.operator === 'in') return `${test.words.map(printValue).join(' ')} in @${test.set}`
  return `${printValue(test.left)} ${test.operator} ${printValue(test.right)}`
}

/** The value as in an expression, except that addresses count from the start of the packet. */
export function printValue(value: Value): string {
  switch (value.kind) {
    case 'constant':
      return value.value < 256 ? String(value.value) : `0x${value.value.toString(16)}`
    case 'length':
      return 'len'
    case 'load': {
      const at = value.base === null ? `${value.offset}` : `${printValue(value.base)} + ${value.offset}`
      return value.size === 1 ? `[${at}]` : `[${at}:${value.size}]`
    }
    case 'binary': {
      const { operator, left, right } = value
      // The folded form of x - 3.
      if (operator === '+' && right.kind === 'constant' && right.value > 0x8000_0000)
        return `(${printValue(left)} - ${2 ** 32 - right.value})`
      return `(${printValue(left)} ${operator} ${printValue(right)})`
    }
  }
}
