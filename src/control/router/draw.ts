import { type Device, draw, type Graph, type Line, receive, type Stage, send } from '../../engine/index.js'
import { arrived, type Flows, owner, remember, restore, track, translate } from '../../flow/index.js'
import {
  type ErrorsOptions,
  errors,
  forward,
  fragment,
  type HoldOptions,
  hold,
  type RoutesPlace,
} from '../../route/index.js'
import { discard } from '../../stages/index.js'

/** Where packets come in and go out. */
export interface DrawnPort {
  /** Unique: stages are called after it. */
  readonly name: string
  /** Its queues, which are received from. */
  readonly from: readonly Device[]
  /** What is sent to: a queue of the device, or what stands before it. */
  readonly to: Device
  /** Where addresses are translated: gives fragments that are for the router itself to its kernel. */
  readonly handOver?: Stage
}

/** Another worker that has a part of the flows. */
export interface DrawnPeer {
  readonly number: number
  readonly from: Device
  readonly to: Device
}

/** A stage at a hook: what goes on leaves by its first output. */
export interface HookStage extends Stage {
  /** Where its output `copies` leads, if it has one. */
  readonly copiesTo?: Device
}

/**
 * Who wants to see packets on their way, as netfilter's hooks of the same names:
 * a stage for each port, or null where nobody is there. Where nobody stands, the graph
 * has nothing: not a call, not a comparison.
 */
export interface Hooks {
  /** What has come in by a port, before anything is known of it. */
  readonly prerouting?: readonly ((port: DrawnPort) => HookStage | null)[]
  /** What goes from one port to another, as it will leave. */
  readonly forward?: readonly ((from: DrawnPort, to: DrawnPort) => HookStage | null)[]
  /** What leaves by a port, from whichever it came. */
  readonly postrouting?: readonly ((port: DrawnPort) => HookStage | null)[]
}

export type HookPoint = keyof Hooks

export interface RouterDrawing {
  /** As many as the tables have, in their order. */
  readonly ports: readonly DrawnPort[]
  readonly tables: RoutesPlace
  readonly ask: HoldOptions['ask']
  readonly hooks?: Hooks
  /** Where connections are tracked; their packets then leave by what was decided for the first. */
  readonly flows?: Flows
  /** Those that have the flows that are not in `flows`. */
  readonly peers?: readonly DrawnPeer[]
  readonly icmp?: ErrorsOptions
}

/**
 * The graph of a router. For each port:
 *
 *     receive ─▶ prerouting ─▶ track ─▶ route ─ port N ─▶ forward ─▶ remember ─▶ postrouting ─▶ send
 *                                │ cached N              ▲                      ▲
 *                                └──────────────▶ forward' ─────────────────────┘
 *
 * with what is not wanted left out. Packets whose next hop's address is not
 * known wait in `hold`, and are routed once more by `again`. What is too long is
 * cut by `fragment`, and its pieces are routed. What cannot be forwarded becomes an ICMP error, which the
 * router sends as packets of its own. Where other workers have flows as well,
 * packets go to theirs before they are tracked:
 *
 *     receive ─▶ owner ─ own ─▶ track
 *                  │ worker N        ▲ port P
 *                  └─▶ send   receive from worker N ─▶ arrived
 */
export function drawRouter({ ports, tables, ask, hooks = {}, flows, peers = [], icmp }: RouterDrawing): Graph {
  const lines: Line[] = []
  /** The stages of a hook, and the lines of their copies. */
  function stand(stages: readonly (HookStage | null)[], prefix = ''): Stage[] {
    return stages.flatMap((made) => {
      if (made === null) return []
      const stage = renamed(made, prefix)
      if (made.copiesTo !== undefined) lines.push([`${stage.name}.copies`, send(made.copiesTo)])
      return [stage]
    })
  }
  const ends = ports.map((port) => [...stand((hooks.postrouting ?? []).map((make) => make(port))), send(port.to)])
  const [forKernel, unresolved, invalid] = [discard('for the kernel'), discard('unresolved'), discard('invalid')]
  const answer = errors('errors', tables, icmp)
  const answered = flows?.translates ? [restore('restore', flows), answer] : [answer]
  const handedOver = arrived('arrived', ports.length)
  for (const { from } of peers) lines.push([receive(from), handedOver])

  /** From an output that leads to a port, to its end. */
  function leave(begin: string, from: number, to: number, prefix: 'again ' | 'cached ' | 'pieces ' | ''): void {
    const [source, target] = [ports[from]!, ports[to]!]
    const seen = stand(
      (hooks.forward ?? []).map((make) => make(source, target)),
      prefix,
    )
    const isTranslated = prefix === 'cached '
    const learning =
      flows && !isTranslated && prefix !== 'pieces '
        ? [remember(`${prefix}remember ${source.name} ${target.name}`, flows, { inPort: from, port: to })]
        : []
    const translating =
      flows?.translates && !isTranslated
        ? [translate(`${prefix}translate ${source.name} ${target.name}`, flows, { routes: tables, port: to })]
        : []
    lines.push([begin, ...translating, ...seen, ...learning, ...ends[to]!])
  }

  ports.forEach((port, inPort) => {
    const route = forward(`route ${port.name}`, tables, { inPort })
    const again = forward(`again ${port.name}`, tables, { inPort })
    const held = hold(`hold ${port.name}`, tables, { ask })
    const tracked = flows && track(`track ${port.name}`, flows, { routes: tables, inPort })
    const seen = stand((hooks.prerouting ?? []).map((make) => make(port)))
    const whose = flows && peers.length > 0 ? owner(`owner ${port.name}`, flows, { inPort }) : null
    const first = [...(whose ? [whose] : []), ...(tracked ? [tracked] : [])]
    for (const queue of port.from) lines.push([receive(queue), ...seen, ...first, route])
    if (whose) for (const { number, to } of peers) lines.push([`${whose.name}.worker ${number}`, send(to)])
    if (tracked) {
      if (whose) lines.push([`${handedOver.name}.port ${inPort}`, tracked])
      for (const output of ['new', 'related', 'untracked']) lines.push([`${tracked.name}.${output}`, route])
      lines.push([`${tracked.name}.invalid`, invalid])
      for (const to of tracked.outputs.keys())
        if (tracked.outputs.includes(`cached ${to}`)) leave(`${tracked.name}.cached ${to}`, inPort, to, 'cached ')
      for (const { number, to } of peers) lines.push([`${tracked.name}.worker ${number}`, send(to)])
    }
    ports.forEach((_, to) => {
      leave(`${route.name}.port ${to}`, inPort, to, '')
      leave(`${again.name}.port ${to}`, inPort, to, 'again ')
    })
    lines.push([`${route.name}.unresolved`, held, again])
    lines.push([`${held.name}.failed`, ...answered])
    lines.push([`${again.name}.unresolved`, unresolved])
    const cut = fragment(`fragment ${port.name}`, tables, flows?.translates ? flows.identify : 0)
    lines.push([`${route.name}.errors`, cut, ...answered], [`${again.name}.errors`, ...answered])
    const own = port.handOver ? [port.handOver, forKernel] : [forKernel]
    lines.push([`${route.name}.local`, ...own], [`${again.name}.local`, forKernel])
    const pieces = forward(`pieces ${port.name}`, tables, { inPort })
    lines.push([`${cut.name}.fragments`, pieces], [`${pieces.name}.errors`, ...answered])
    lines.push([`${pieces.name}.unresolved`, held], [`${pieces.name}.local`, forKernel])
    ports.forEach((_, to) => {
      leave(`${pieces.name}.port ${to}`, inPort, to, 'pieces ')
    })
  })
  lines.push(...drawAnswers(answer, ends, { tables, ask, forKernel, unresolved }))
  return draw(...lines)
}

/** The way of ICMP errors, who wait for a neighbour as others do. Nobody is told of one that does not find its way. */
function drawAnswers(
  answer: Stage,
  ends: readonly (readonly Stage[])[],
  { tables, ask, ...others }: Pick<RouterDrawing, 'tables' | 'ask'> & Record<'forKernel' | 'unresolved', Stage>,
): Line[] {
  const [route, again] = [
    forward('answers', tables, { inPort: null }),
    forward('answers again', tables, { inPort: null }),
  ]
  const held = hold('answers held', tables, { ask })
  const lost = discard('answer without a way')
  return [
    [`${answer.name}.answers`, route],
    [`${route.name}.unresolved`, held, again],
    [`${held.name}.failed`, lost],
    [`${again.name}.unresolved`, others.unresolved],
    ...[route, again].flatMap(({ name }): Line[] => [
      ...ends.map((end, to): Line => [`${name}.port ${to}`, ...end]),
      [`${name}.local`, others.forKernel],
      [`${name}.errors`, lost],
    ]),
  ]
}

/** The same stage on another way has a name of its own. */
function renamed(stage: Stage, prefix: string): Stage {
  return prefix === '' ? stage : { ...stage, name: `${prefix}${stage.name}` }
}
