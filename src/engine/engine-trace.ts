import type { Space, WorkerPool } from '../memory/index.js'
import type { OpenStage } from './open-stage.js'
import { newTraceId } from './packet-marks.js'
import type { Judge } from './stage.js'
import { letFind, openTracer, packetsFound, TRACE_BYTES, TRACE_SHARED_BYTES, type Trace, type Tracer } from './trace.js'
import { openTraceRecord, PATIENCE_MS } from './trace-record.js'

export interface TraceOptions {
  /** What is followed: packets of which it says rule 0. */
  readonly judge: Judge
  /** So many packets, 1 or more; then the trace ends by itself. */
  readonly limit: number
  /** Called when it has ended, and nothing uses the judge any more. */
  readonly ended?: () => void
}

/** A trace of one engine. */
export interface EngineTrace {
  readonly trace: Trace
  readonly tracer: Tracer
}

/** Starts a trace; `title` begins the names of its regions, and `ended` is called when it ends. Throws LayoutError. */
export function openEngineTrace(
  space: Space,
  pool: WorkerPool,
  title: string,
  { judge, limit, ended: told }: TraceOptions,
  ended: () => void,
): EngineTrace {
  const name = `${title} state`
  const { offset } = space.reserve({ name, kind: 'state', bytes: TRACE_SHARED_BYTES + TRACE_BYTES })
  const place = { id: newTraceId(), limit, shared: offset, verdicts: offset + TRACE_SHARED_BYTES }
  letFind(space, place)
  const tracer = openTracer(space, pool, place, judge)
  const record = openTraceRecord()
  let isOpen = true

  function stop(): void {
    if (!isOpen) return
    isOpen = false
    record.add(tracer.take())
    space.free(name)
    ended()
    told?.()
  }

  return {
    tracer: {
      ...tracer,
      flush(stages: readonly OpenStage[], bundle, isWatched) {
        tracer.flush(stages, bundle, isWatched)
        record.add(tracer.take())
        const isFull = packetsFound(space, place) >= limit
        if (isFull && (!tracer.isAwaiting(stages) || record.silentMs() > PATIENCE_MS)) stop()
      },
    },
    trace: {
      take: () => record.take(!isOpen),
      isDone: () => !isOpen,
      stop,
    },
  }
}
