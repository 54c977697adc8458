import type { JudgePlace, Space } from '../memory/index.js'
import { newTraceId } from './packet-marks.js'
import type { SupervisedWorker } from './supervised-worker.js'
import { letFind, packetsFound, TRACE_BYTES, TRACE_SHARED_BYTES, type Trace, type TracePart } from './trace.js'
import { openTraceRecord, PATIENCE_MS } from './trace-record.js'

export interface WorkersTraceOptions {
  /** What is followed: packets of which it says rule 0. */
  readonly matcher: JudgePlace
  /** So many packets, 1 or more; then the trace ends by itself. */
  readonly limit: number
  /** Called when it has ended in all workers, and nothing uses the matcher any more. */
  readonly ended?: () => void
}

/** A trace through the graphs of all workers. */
export interface WorkersTrace extends Trace {
  /** What a worker has seen of it. */
  add(worker: string, id: number, parts: readonly TracePart[]): void
}

/**
 * Follows packets from where they come into one of the workers, through rings,
 * until they go. `stopped` is called when the workers are told to end it. Throws LayoutError.
 */
export function openWorkersTrace(
  space: Space,
  workers: readonly Pick<SupervisedWorker<never>, 'name' | 'trace'>[],
  { matcher, limit, ended }: WorkersTraceOptions,
  stopped: () => void,
): WorkersTrace {
  const id = newTraceId()
  const name = 'workers trace'
  const bytes = TRACE_SHARED_BYTES + workers.length * TRACE_BYTES
  const { offset: shared } = space.reserve({ name, kind: 'state', bytes })
  const record = openTraceRecord()
  let isOpen = true
  const all = workers.map((worker, index) => {
    const verdicts = shared + TRACE_SHARED_BYTES + index * TRACE_BYTES
    return worker.trace({ id, limit, shared, verdicts, matcher })
  })
  void Promise.all(all).then(() => isOpen && letFind(space, { shared }))

  function stop(): void {
    if (!isOpen) return
    isOpen = false
    stopped()
    void Promise.all(workers.map((worker) => worker.trace(null))).then(() => {
      space.free(name)
      ended?.()
    })
  }

  return {
    add(worker, of, parts) {
      if (of === id) record.add(parts, worker)
    },
    take() {
      const taken = record.take(!isOpen)
      const isFull = isOpen && packetsFound(space, { shared }) >= limit
      if (isFull && (record.taken() === limit || record.silentMs() > PATIENCE_MS)) stop()
      return taken
    },
    isDone: () => !isOpen,
    stop,
  }
}
