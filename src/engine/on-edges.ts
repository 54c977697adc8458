import type { Graph } from './graph.js'
import type { Stage } from './stage.js'

/** An edge of a graph, from a device or from a stage. */
interface GraphEdge {
  readonly from: string
  /** Null: from a device. */
  readonly output: string | null
  readonly to: string
}

/** What an edge is called: `STAGE.OUTPUT`, or `receive DEVICE`. */
export function edgeName({ from, output }: GraphEdge): string {
  return output === null ? `receive ${from}` : `${from}.${output}`
}

/** The names of all edges of a graph, those behind devices first. */
export function edgesOf({ sources, edges }: Graph): string[] {
  return [...sources.map(({ device, to }) => ({ from: device.name, output: null, to })), ...edges].map(edgeName)
}

/**
 * The graph with a stage more on each edge for which there is one. What
 * `stageFor` gives has one output and a name of its own; all other stages stay
 * the same, so that a change to this graph and back keeps their state.
 */
export function onEdges({ sources, stages, edges }: Graph, stageFor: (edge: GraphEdge) => Stage | null): Graph {
  const added = new Map<string, Stage[]>()
  const newEdges: Graph['edges'][number][] = []
  const add = (edge: GraphEdge): string => {
    const stage = stageFor(edge)
    if (stage === null) return edge.to
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
