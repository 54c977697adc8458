import type { Graph } from './graph.js'
import type { Stage } from './stage.js'

/** An edge of a graph, from a device or from a stage. */
export interface GraphEdge {
  readonly from: string
  /** Null: from a device. */
  readonly output: string | null
  readonly to: string
}

/**
 * The graph with a stage more on each edge. What `stageFor` gives has one
 * output and a name of its own; all other stages stay the same, so that
 * `Engine.change` to this graph and back keeps their state.
 */
export function onEdges({ sources, stages, edges }: Graph, stageFor: (edge: GraphEdge) => Stage): Graph {
  const added = new Map<string, Stage[]>()
  const newEdges: Graph['edges'][number][] = []
  const add = (edge: GraphEdge): string => {
    const stage = stageFor(edge)
    added.set(edge.to, [...(added.get(edge.to) ?? []), stage])
    newEdges.push({ from: stage.name, output: stage.outputs[0]!, to: edge.to })
    return stage.name
  }
  return {
    sources: sources.map(({ device, to }) => ({ device, to: add({ from: device.name, output: null, to }) })),
    edges: [...edges.map(({ from, output, to }) => ({ from, output, to: add({ from, output, to }) })), ...newEdges],
    stages: stages.flatMap((stage) => [...(added.get(stage.name) ?? []), stage]),
  }
}
