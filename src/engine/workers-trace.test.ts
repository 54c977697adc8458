import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { once } from '../../test/support/stage-suite.js'
import { placeMatcher } from '../codegen/index.js'
import { compileFilter } from '../compile.js'
import { loadJudge } from '../memory/index.js'
import { discard } from '../stages/index.js'
import { draw, receive, startEngine } from './index.js'
import { openTracer, type Tracer } from './trace.js'
import type { WorkerTrace } from './worker-thread.js'
import { openWorkersTrace } from './workers-trace.js'

describe('a trace of workers', () => {
  it('finds no packet before the last of them knows of it', async () => {
    const bench = openBench()
    const { space, code, worker: pool } = bench
    const bundle = bench.bundle('sent')
    const engine = startEngine(space, code, pool, draw([receive(once(bench, bundle)), discard('end')]))
    const matcher = placeMatcher(space, 'all', compileFilter('').optimized)
    let followed: { readonly id: number; readonly tracer: Tracer } | null = null
    const early = {
      name: 'early',
      async trace(trace: WorkerTrace | null) {
        if (trace === null) return
        const tracer = openTracer(space, pool, trace, loadJudge(trace.matcher, space.memory))
        followed = { id: trace.id, tracer }
        engine.follow(tracer)
      },
    }
    let answer = () => {}
    const late = {
      name: 'late',
      trace: () =>
        new Promise<void>((resolve) => {
          answer = resolve
        }),
    }
    const trace = openWorkersTrace(space, [early, late], { matcher: matcher.place, limit: 1 }, () => {})
    const round = () => {
      bench.fill(bundle, [new Uint8Array(60)])
      engine.round()
      trace.add('early', followed!.id, followed!.tracer.take())
      return trace.take().length
    }
    assert.equal(round(), 0)
    answer()
    await new Promise(setImmediate)
    assert.equal(round(), 1)
    assert.equal(trace.isDone(), true)
    engine.close()
    matcher.close()
  })
})
