import { type NetworkNamespace, spawnInNamespace } from '../kernel/index.js'
import { nextMessage } from './child.js'
import { openFloodGenerator } from './flood.js'
import type { FloodProgress, FloodReport, FloodStart } from './flood-orders.js'

/** A flood in a process of its own, which ends by itself. */
export interface RunningFlood {
  /** Of the last moment that is known. */
  progress(): Pick<FloodReport, 'sent' | 'bytes'>
  /** What was sent in all. Rejects where the kernel sends no live frames. */
  readonly report: Promise<FloodReport>
  stop(): void
  close(): void
}

/** Starts the generator in `namespace`, null for the thread's own, with its one flood. */
export function startFlood(namespace: NetworkNamespace | null, flood: Omit<FloodStart, 'kind'>): RunningFlood {
  const child = spawnInNamespace(namespace, new URL('./flood-process.js', import.meta.url))
  let last: FloodProgress | FloodReport = { kind: 'progress', sent: 0, bytes: 0 }
  let stop = () => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  const work = async () => {
    const generator = await openFloodGenerator(child)
    child.on('message', (message: FloodProgress) => {
      if (message.kind === 'progress') last = message
    })
    generator.start(flood)
    await Promise.race([stopped, nextMessage(child, 'report'), nextMessage(child, 'failure')])
    return generator.stop()
  }
  return {
    progress: () => last,
    report: work(),
    stop,
    close: () => void child.kill('SIGKILL'),
  }
}
