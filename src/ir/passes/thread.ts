import { canFail } from '../condition.js'
import { decide, type Facts, learn, meet, NO_FACTS } from '../facts.js'
import { createGraphBuilder, type Graph, type NodeId } from '../graph.js'

/** Each round can make facts visible to the next one; the corpus needs two. */
const MOST_ROUNDS = 4

/**
 * Jump threading: an edge into a test whose answer the way there implies goes
 * past it.
 *
 *     ip? yes -> udp? yes -> ip? -> port    becomes    ip? yes -> udp? yes -> port
 *
 * No node is copied, so the graph never grows.
 */
export function threadJumps(graph: Graph): Graph {
  let current = graph
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const next = threadOnce(current)
    if (next === null) break
    current = next
  }
  return current
}

/** One round; null where nothing could be bypassed. */
function threadOnce({ nodes, entry }: Graph): Graph | null {
  const factsAt: (Facts | undefined)[] = new Array(nodes.length)
  const yesTo = new Int32Array(nodes.length)
  const noTo = new Int32Array(nodes.length)
  let changed = false

  const flow = (facts: Facts, target: NodeId): NodeId => {
    const to = bypass(target, facts)
    if (to !== target) changed = true
    const before = factsAt[to]
    factsAt[to] = before === undefined ? facts : meet(before, facts)
    return to
  }
  const bypass = (target: NodeId, facts: Facts): NodeId => {
    let id = target
    for (;;) {
      const node = nodes[id]!
      const answer = node.kind === 'decision' ? decide(facts, node.test) : null
      if (node.kind !== 'decision' || answer === null) return id
      id = answer ? node.yes : node.no
    }
  }

  factsAt[entry] = NO_FACTS
  for (let id = entry; id >= 0; id--) {
    const node = nodes[id]!
    const facts = factsAt[id]
    if (facts === undefined) continue
    if (node.kind === 'lookup') {
      // One entry's numbers say nothing that another entry's would not unsay.
      yesTo[id] = flow(facts, node.hit)
      noTo[id] = flow(facts, node.miss)
      factsAt[node.fail] = NO_FACTS
    }
    if (node.kind !== 'decision') continue
    yesTo[id] = flow(learn(facts, node.test, true), node.yes)
    noTo[id] = flow(learn(facts, node.test, false), node.no)
    // What a rule found out before a read failed holds, but is of no use behind it.
    if (canFail(node.test)) factsAt[node.fail] = NO_FACTS
  }
  if (!changed) return null

  const builder = createGraphBuilder()
  const rebuilt = new Int32Array(nodes.length)
  nodes.forEach((node, id) => {
    if (node.kind === 'leaf') rebuilt[id] = builder.leaf(node.rule)
    else if (node.kind === 'check')
      rebuilt[id] = builder.check(node.base, node.bytes, rebuilt[node.next]!, rebuilt[node.fail]!)
    else if (factsAt[id] === undefined) return
    else if (node.kind === 'lookup')
      rebuilt[id] = builder.lookup(
        node.values,
        node.table,
        rebuilt[yesTo[id]!]!,
        rebuilt[noTo[id]!]!,
        rebuilt[node.fail]!,
      )
    else rebuilt[id] = builder.decision(node.test, rebuilt[yesTo[id]!]!, rebuilt[noTo[id]!]!, rebuilt[node.fail]!)
  })
  return builder.finish(rebuilt[entry]!)
}
