import type { Device } from '../../engine/index.js'
import { type JudgePlace, loadJudge, type Space } from '../../memory/index.js'
import { LISTEN_SCRATCH_BYTES, type ListenOptions, listen } from '../../stages/index.js'
import type { DrawnPort, HookStage, Hooks } from './draw.js'
import { LISTENER_BYTES, type Listener } from './listeners.js'

/** What the stages of one thread's listeners need. */
export interface ListenerHost {
  readonly space: Space
  /** As a worker's: makes a thing once, and closes it when the graph is drawn without it. */
  keep<T extends object>(name: string, make: () => T): T
  /** The thread among those that have the same listeners. */
  readonly worker: number
  readonly ports: readonly DrawnPort[]
}

/** Listeners as hooks, in their order; where there are none, nothing. */
export function hooksFor(listeners: readonly Listener[], host: ListenerHost): Hooks {
  const at = (point: Listener['at']) => listeners.filter((listener) => listener.at === point)
  const stageOf = (listener: Listener, ...ports: readonly DrawnPort[]): HookStage | null => {
    if (ports.some((port) => place(host, port) === listener.copyTo)) return null
    const stage = listen(['hook', listener.number, ...ports.map(({ name }) => name)].join(' '), options(listener, host))
    return listener.copyTo === null ? stage : { ...stage, copiesTo: endOf(host, listener.copyTo) }
  }
  const isOf = (wanted: number | null, port: DrawnPort) => wanted === null || wanted === place(host, port)
  return {
    prerouting: at('prerouting').map((each) => (port) => (isOf(each.from, port) ? stageOf(each, port) : null)),
    forward: at('forward').map((each) => (from, to) => {
      return isOf(each.from, from) && isOf(each.to, to) ? stageOf(each, from, to) : null
    }),
    postrouting: at('postrouting').map((each) => (port) => (isOf(each.to, port) ? stageOf(each, port) : null)),
  }
}

function place({ ports }: ListenerHost, port: DrawnPort): number {
  return ports.indexOf(port)
}

function endOf({ ports }: ListenerHost, port: number): Device {
  return ports[port]!.to
}

function options(
  { number, action, matcher, counters }: Listener,
  { space, keep, worker }: ListenerHost,
): ListenOptions {
  const { judge } = keep(`matcher of hook ${number}`, () => judgeOf(matcher, space))
  const { at: scratch } = keep('scratch of hooks', () => {
    const region = space.reserve({ name: 'hooks', kind: 'state', bytes: LISTEN_SCRATCH_BYTES })
    return { at: region.offset, close: () => space.free(region.name) }
  })
  return { judge, action, counters: counters + worker * LISTENER_BYTES, scratch }
}

/** The same function for all stages of a listener, so that they are the same when the graph is drawn again. */
function judgeOf(matcher: JudgePlace, space: Space) {
  return { judge: loadJudge(matcher, space.memory) }
}
