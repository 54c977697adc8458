import type { ChildProcess } from 'node:child_process'
import { nextMessage } from './child.js'
import type { FloodFailure, FloodReport, FloodStart } from './flood-process.js'

/** A generator in its own process: one flood at a time. */
export interface FloodGenerator {
  /** Sends until `stop`, or for `seconds` at most. */
  start(flood: Omit<FloodStart, 'kind'>): void
  /** What the running flood has sent so far. */
  latest(): FloodReport
  /** Ends the flood and gives the exact totals. */
  stop(): Promise<FloodReport>
}

const NOTHING: FloodReport = { kind: 'report', running: false, sent: 0, bytes: 0, elapsedMs: 0, late: 0 }

/** Drives the child that `flood-process` is. Resolves once the child is ready. */
export async function openFloodGenerator(child: ChildProcess): Promise<FloodGenerator> {
  let latest = NOTHING
  let ended: Promise<FloodReport> | null = null
  child.on('message', (message: FloodReport) => {
    if (message.kind === 'report') latest = message
  })
  await nextMessage(child, 'ready')
  return {
    start(flood) {
      latest = { ...NOTHING, running: true }
      ended = finalReport(child)
      // A failed flood is told by stop(); until then nobody may be waiting for it.
      ended.catch(() => {})
      child.send({ kind: 'start', ...flood } satisfies FloodStart)
    },
    latest: () => latest,
    async stop() {
      if (ended === null) return NOTHING
      child.send({ kind: 'stop' })
      const report = await ended
      ended = null
      return report
    },
  }
}

function finalReport(child: ChildProcess): Promise<FloodReport> {
  return new Promise((resolve, reject) => {
    const listen = (message: FloodReport | FloodFailure) => {
      if (message.kind === 'error') {
        done()
        reject(new Error(message.message))
      } else if (message.kind === 'report' && !message.running) {
        done()
        resolve(message)
      }
    }
    const onExit = () => {
      done()
      reject(new Error('the flood generator ended early: run the experiment again'))
    }
    const done = () => {
      child.off('message', listen)
      child.off('exit', onExit)
    }
    child.on('message', listen)
    child.once('exit', onExit)
  })
}
