import type { Code, Space, WorkerPool } from '../memory/index.js'
import { type Bell, openBell } from './bell.js'
import type { Device } from './device.js'
import { type Graph, GraphError } from './graph.js'
import type { WorkerDraft, WorkerHost } from './plan.js'
import { attachRing } from './ring.js'
import { openReceiver, openSender } from './ring-device.js'
import type { PlannedRing } from './worker-thread.js'

/** Reserved for the thread that starts the workers. */
export const MAIN = 'main'

/** What lets a worker's graph be drawn, again and again, over the same devices. */
interface DrawingHost extends WorkerHost {
  /** Draws; `use` gets the graph before what it no longer needs is closed. Where either throws, all stays as it was. */
  draw<Settings>(draft: WorkerDraft<Settings>, settings: Settings, use?: (graph: Graph) => void): Graph
  close(): void
}

/** The host of the worker `name`, with ends of the rings that it has. */
export function openHost(
  { name, rings }: { readonly name: string; readonly rings: readonly PlannedRing[] },
  space: Space,
  code: Code,
  pool: WorkerPool,
  bell: Bell,
): DrawingHost {
  let kept = new Map<string, object>()
  let asked = new Map<string, object>()

  function keep<T extends object>(key: string, make: () => T): T {
    const value = (asked.get(key) ?? kept.get(key) ?? make()) as T
    asked.set(key, value)
    return value
  }

  function ringBetween(from: string, to: string): PlannedRing {
    const ring = rings.find((each) => each.from === from && each.to === to)
    if (ring !== undefined) return ring
    throw new GraphError(`the plan has no ring from ${from} to ${to}; name ${to} in the "to" of ${from}`)
  }

  function sender(to: string): Device {
    const ring = ringBetween(name, to)
    return openSender(
      space,
      code,
      `to ${to}`,
      attachRing(code, ring),
      openBell(space, code, ring.bell, ring.event),
      ring.publish,
    )
  }

  /** The thread that starts workers is none of them: what comes from there, comes from without. */
  const peerOf = (worker: string) => (worker === MAIN || name === MAIN ? {} : { peer: worker })

  const receiver = (from: string): Device =>
    openReceiver(space, code, pool, `from ${from}`, attachRing(code, ringBetween(from, name)), bell)

  const host: WorkerHost = {
    name,
    space,
    code,
    pool,
    to: (worker) => keep(`to ${worker}`, () => ({ ...sender(worker), ...peerOf(worker) })),
    from: (worker) => keep(`from ${worker}`, () => ({ ...receiver(worker), ...peerOf(worker) })),
    keep,
  }
  return {
    ...host,
    draw(draft, settings, use = () => {}) {
      asked = new Map()
      try {
        const graph = draft.graph(host, settings)
        use(graph)
        closeAll(kept, asked)
        kept = asked
        return graph
      } catch (error) {
        closeAll(asked, kept)
        throw error
      }
    },
    close: () => closeAll(kept, new Map()),
  }
}

/** Closes what stands in the one and not in the other. */
function closeAll(values: ReadonlyMap<string, object>, but: ReadonlyMap<string, object>): void {
  for (const [key, value] of values) if (!but.has(key)) (value as Partial<Device>).close?.()
}
