import { divides, type Graph, loadsOf, type NodeId, type Value, valuesOf } from '../ir/index.js'

/**
 * The order in which nodes become code: each behind all that lead to it, so
 * that every jump goes forward and what the registers hold is known, and each
 * test directly before the answer that goes on, so that this one falls through.
 */
export function layOut(graph: Graph): NodeId[] {
  const { nodes, entry } = graph
  const visited = new Uint8Array(nodes.length)
  const finished: NodeId[] = []
  const stack: { id: NodeId; next: readonly NodeId[]; at: number }[] = []
  const visit = (id: NodeId) => {
    if (visited[id] === 1) return
    visited[id] = 1
    stack.push({ id, next: lastFirst(graph, id), at: 0 })
  }
  visit(entry)
  while (stack.length > 0) {
    const top = stack.at(-1)!
    const next = top.next[top.at++]
    if (next === undefined) finished.push(stack.pop()!.id)
    else visit(next)
  }
  return finished.reverse()
}

/** Successors, the one that should follow directly at the end: a depth-first walk finishes it last. */
function lastFirst({ nodes }: Graph, id: NodeId): readonly NodeId[] {
  const node = nodes[id]!
  if (node.kind === 'leaf') return []
  if (node.kind === 'check') return [node.fail, node.next]
  if (node.kind === 'lookup') return [node.fail, node.miss, node.hit]
  const rank = (target: NodeId) => {
    const answer = nodes[target]!
    return answer.kind !== 'leaf' ? 2 : answer.rule === null ? 0 : 1
  }
  const answers = rank(node.no) > rank(node.yes) ? [node.yes, node.no] : [node.no, node.yes]
  return valuesOf(node.test).some(canStillFail) ? [node.fail, ...answers] : answers
}

/** Behind its checks a test fails by a division, or where a pointer that was given up has to be bounded again. */
function canStillFail(value: Value): boolean {
  return divides(value) || loadsOf(value).some(({ base }) => base !== null)
}
