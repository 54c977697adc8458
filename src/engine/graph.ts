import type { Device } from './device.js'
import type { RunningStage, Stage } from './stage.js'

/** Where packets come from: the begin of a line. */
export interface Source {
  readonly device: Device
}

/** Packets that leave output `output` of one stage go to another. */
export interface Edge {
  readonly from: string
  readonly output: string
  readonly to: string
}

/** What is connected with what: a plain value. */
export interface Graph {
  readonly sources: readonly { readonly device: Device; readonly to: string }[]
  /** In an order in which every stage stands before those it leads to. */
  readonly stages: readonly Stage[]
  readonly edges: readonly Edge[]
}

/** A graph that cannot work: one sentence with the stage and what to do. */
export class GraphError extends Error {
  override name = 'GraphError'
}

/** Names those of `edges` that have `edge` in their names, or all: a router has sixty. */
export function noEdge(edge: string, edges: readonly string[]): GraphError {
  const near = edges.filter((each) => each.includes(edge))
  const named = near.length > 0 ? near : edges
  return new GraphError(`there is no edge "${edge}"; choose one of${named.map((each) => `\n  ${each}`).join('')}`)
}

/** The packets that a device receives. */
export function receive(device: Device): Source {
  return { device }
}

/** Sends to a device, and drops what it has no room for. */
export function send(device: Device): Stage {
  return {
    name: `send ${device.name}`,
    outputs: [],
    drops: ['no room'],
    kind: 'send',
    settings: { device },
    start({ dropAll }): RunningStage {
      return {
        run(bundle) {
          device.send(bundle)
          dropAll(bundle, 0)
        },
        flush: () => device.flush(),
      }
    },
  }
}

/** The device that a stage sends to; null where it does something else. */
export function deviceOf({ kind, settings }: Stage): Device | null {
  return kind === 'send' ? (settings['device'] as Device) : null
}

/** From a device or, as `STAGE.OUTPUT`, from an output of a stage; through stages, each by its first output. */
export type Line = readonly [Source | string, ...Stage[]]

/**
 * A graph, line by line as one would draw it. A stage may stand in several
 * lines. Throws GraphError for outputs that lead nowhere or to two stages, for
 * names that are taken, and for circles.
 *
 *     draw(
 *       [receive(eth0), earlyDrop('flood', matcher), count('passed'), send(eth1)],
 *       ['flood.matched', count('matched'), discard('flood')],
 *     )
 */
export function draw(...lines: readonly Line[]): Graph {
  const stages = new Map<string, Stage>()
  const edges: Edge[] = []
  const sources: { device: Device; to: string }[] = []
  for (const [, ...line] of lines) for (const stage of line) addStage(stages, stage)
  for (const [begin, ...line] of lines) {
    const [first] = line
    if (first === undefined) throw new GraphError('a line has a begin and no stage; add one')
    if (typeof begin !== 'string') addSource(sources, begin, first)
    else addEdge(edges, outputNamed(stages, begin), first)
    line.forEach((stage, index) => {
      const next = line[index + 1]
      if (next !== undefined) addEdge(edges, firstOutput(stage), next)
    })
  }
  for (const stage of stages.values()) checkOutputs(stage, edges)
  return { sources, stages: inOrder(stages, edges), edges }
}

/** The graph as text, a line for each edge. */
export function printGraph({ sources, edges }: Graph): string {
  return [
    ...sources.map(({ device, to }) => `receive ${device.name} ─▶ ${to}\n`),
    ...edges.map(({ from, output, to }) => `${from} ─ ${output} ─▶ ${to}\n`),
  ].join('')
}

function addSource(sources: { device: Device; to: string }[], { device }: Source, { name: to }: Stage): void {
  if (sources.some((other) => other.device !== device && other.device.name === device.name))
    throw new GraphError(twoDevices('received from', device))
  sources.push({ device, to })
}

/** Edges and counters are known by names. */
function twoDevices(what: string, { name }: Device): string {
  return `two devices that are ${what} are called ${name}; open one of them by another name`
}

function addStage(stages: Map<string, Stage>, stage: Stage): void {
  const known = stages.get(stage.name)
  if (known === undefined) {
    stages.set(stage.name, stage)
    return
  }
  const [device, ofKnown] = [deviceOf(stage), deviceOf(known)]
  // The same device may be drawn as the end of several lines.
  if (known === stage || (device !== null && device === ofKnown)) return
  if (device !== null && ofKnown !== null) throw new GraphError(twoDevices('sent to', device))
  throw new GraphError(`two stages are called ${stage.name}; give one of them another name`)
}

function addEdge(edges: Edge[], { from, output }: Omit<Edge, 'to'>, { name: to }: Stage): void {
  const known = edges.find((edge) => edge.from === from && edge.output === output)
  if (known === undefined) edges.push({ from, output, to })
  else if (known.to !== to) throw new GraphError(`${from}.${output} leads to ${known.to} and to ${to}; leave one out`)
}

function firstOutput({ name: from, outputs }: Stage): Omit<Edge, 'to'> {
  const [output] = outputs
  if (output === undefined)
    throw new GraphError(`nothing can stand behind ${from}, which is an end; end the line there`)
  return { from, output }
}

function outputNamed(stages: ReadonlyMap<string, Stage>, text: string): Omit<Edge, 'to'> {
  const dot = text.lastIndexOf('.')
  const [from, output] = [text.slice(0, dot), text.slice(dot + 1)]
  const outputs = stages.get(from)?.outputs
  if (outputs === undefined) throw new GraphError(`no line has a stage ${from}, from which "${text}" begins; add one`)
  if (!outputs.includes(output))
    throw new GraphError(`${from} has no output ${output}; its outputs are ${outputs.join(', ') || 'none'}`)
  return { from, output }
}

function checkOutputs({ name, outputs }: Stage, edges: readonly Edge[]): void {
  for (const output of outputs) {
    if (edges.some((edge) => edge.from === name && edge.output === output)) continue
    throw new GraphError(`${name}.${output} leads nowhere; add a line from there, perhaps to a discard`)
  }
}

function inOrder(stages: ReadonlyMap<string, Stage>, edges: readonly Edge[]): Stage[] {
  const finished: Stage[] = []
  const states = new Map<string, 'open' | 'done'>()
  const visit = (name: string) => {
    if (states.get(name) === 'done') return
    if (states.get(name) === 'open')
      throw new GraphError(`${name} leads back to itself; packets would go round in circles, so leave an edge out`)
    states.set(name, 'open')
    for (const { to } of edges.filter(({ from }) => from === name)) visit(to)
    states.set(name, 'done')
    finished.push(stages.get(name)!)
  }
  for (const name of stages.keys()) visit(name)
  return finished.reverse()
}
