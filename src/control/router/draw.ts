import { type Device, draw, type Graph, type Line, receive, type Stage, send } from '../../engine/index.js'
import { type Flows, remember, track } from '../../flow/index.js'
import { forward, type HoldOptions, hold, type RoutesPlace } from '../../route/index.js'
import { discard } from '../../stages/index.js'

/** Where packets come in and go out. */
export interface DrawnPort {
  /** Unique: stages are called after it. */
  readonly name: string
  /** Its queues, which are received from. */
  readonly from: readonly Device[]
  /** What is sent to: a queue of the device, or what stands before it. */
  readonly to: Device
}

/**
 * Who wants to see packets on their way, as netfilter's hooks of the same names:
 * a stage of one output for each port, or nobody. Where nobody stands, the graph
 * has nothing: not a call, not a comparison.
 */
export interface Hooks {
  /** What has come in by a port, before anything is known of it. */
  readonly prerouting?: readonly ((port: DrawnPort) => Stage)[]
  /** What goes from one port to another, as it will leave. */
  readonly forward?: readonly ((from: DrawnPort, to: DrawnPort) => Stage)[]
  /** What leaves by a port, from whichever it came. */
  readonly postrouting?: readonly ((port: DrawnPort) => Stage)[]
}

export interface RouterDrawing {
  /** As many as the tables have, in their order. */
  readonly ports: readonly DrawnPort[]
  readonly tables: RoutesPlace
  readonly ask: HoldOptions['ask']
  readonly hooks?: Hooks
  /** Where connections are tracked; their packets then leave by what was decided for the first. */
  readonly flows?: Flows
}

/**
 * The graph of a router. For each port:
 *
 *     receive ─▶ prerouting ─▶ track ─▶ route ─ port N ─▶ forward ─▶ remember ─▶ postrouting ─▶ send
 *                                │ cached N              ▲                      ▲
 *                                └──────────────▶ forward' ─────────────────────┘
 *
 * with what is not wanted left out. Packets whose next hop's address is not
 * known wait in `hold`, and are routed once more by `again`.
 */
export function drawRouter({ ports, tables, ask, hooks = {}, flows }: RouterDrawing): Graph {
  const lines: Line[] = []
  const ends = ports.map((port) => drawEnd(port, hooks))
  const [forKernel, unresolved, error] = [discard('for the kernel'), discard('unresolved'), discard('error')]
  const [unreachable, invalid] = [discard('unreachable'), discard('invalid')]

  /** From an output that leads to a port, to its end. */
  function leave(begin: string, from: number, to: number, prefix: string, learns: boolean): void {
    const [source, target] = [ports[from]!, ports[to]!]
    const seen = (hooks.forward ?? []).map((make) => renamed(make(source, target), prefix))
    const learning =
      learns && flows
        ? [remember(`${prefix}remember ${source.name} ${target.name}`, flows, { inPort: from, port: to })]
        : []
    lines.push([begin, ...seen, ...learning, ...ends[to]!])
  }

  ports.forEach((port, inPort) => {
    const route = forward(`route ${port.name}`, tables, { inPort })
    const again = forward(`again ${port.name}`, tables, { inPort })
    const held = hold(`hold ${port.name}`, tables, { ask })
    const tracked = flows && track(`track ${port.name}`, flows, { routes: tables, inPort })
    const seen = (hooks.prerouting ?? []).map((make) => make(port))
    for (const queue of port.from) lines.push([receive(queue), ...seen, ...(tracked ? [tracked] : []), route])
    if (tracked) {
      for (const output of ['new', 'related', 'untracked']) lines.push([`${tracked.name}.${output}`, route])
      lines.push([`${tracked.name}.invalid`, invalid])
      for (let to = 0; to < tracked.outputs.length - TRACK_OUTPUTS; to++)
        leave(`${tracked.name}.cached ${to}`, inPort, to, 'cached ', false)
    }
    ports.forEach((_, to) => {
      leave(`${route.name}.port ${to}`, inPort, to, '', true)
      leave(`${again.name}.port ${to}`, inPort, to, 'again ', true)
    })
    lines.push([`${route.name}.unresolved`, held, again])
    lines.push([`${held.name}.failed`, unreachable])
    lines.push([`${again.name}.unresolved`, unresolved])
    for (const { name } of [route, again]) lines.push([`${name}.local`, forKernel], [`${name}.errors`, error])
  })
  return draw(...lines)
}

/** Outputs of `track` before the ports that it remembers. */
const TRACK_OUTPUTS = 5

function drawEnd(port: DrawnPort, hooks: Hooks): Stage[] {
  return [...(hooks.postrouting ?? []).map((make) => make(port)), send(port.to)]
}

/** The same stage on another way has a name of its own. */
function renamed(stage: Stage, prefix: string): Stage {
  return prefix === '' ? stage : { ...stage, name: `${prefix}${stage.name}` }
}
