import type { ChildProcess } from 'node:child_process'
import { nextMessage } from './child.js'
import { type FloodFailure, type FloodReport, type FloodStart, STOP_SIGNAL } from './flood-orders.js'

/** A generator in its own process: one flood at a time. */
export interface FloodGenerator {
  /** Sends until `stop`, or for `seconds` at most. */
  start(flood: Omit<FloodStart, 'kind'>): void
  /** Ends the flood and gives the exact totals. Rejects where the kernel sends no live frames. */
  stop(): Promise<FloodReport>
}

/** Drives the child that `flood-process` is. Resolves once the child is ready. */
export async function openFloodGenerator(child: ChildProcess): Promise<FloodGenerator> {
  let ended: Promise<FloodReport> | null = null
  await nextMessage(child, 'ready')
  return {
    start(flood) {
      ended = finalReport(child)
      // A failed flood is told by stop(); until then nobody may be waiting for it.
      ended.catch(() => {})
      child.send({ kind: 'start', ...flood } satisfies FloodStart)
    },
    async stop() {
      if (ended === null) throw new Error('there is no flood to stop: start one first')
      child.send({ kind: 'stop' })
      child.kill(STOP_SIGNAL)
      const report = await ended
      ended = null
      return report
    },
  }
}

async function finalReport(child: ChildProcess): Promise<FloodReport> {
  let refuse: (error: Error) => void
  const failure = new Promise<never>((_, reject) => {
    refuse = reject
  })
  const report = nextMessage<FloodReport>(child, 'report', (message) => {
    if (message.kind === 'failure') refuse(new Error((message as FloodFailure).message))
  })
  return Promise.race([report, failure])
}
