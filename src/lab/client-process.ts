import { get } from 'node:http'
import { startLabChild } from './child.js'
import type { MeasureProgress, MeasureRequest, MeasureResult } from './client-orders.js'

/**
 * The client of the service: starts requests at a steady rate, whether or not
 * earlier ones were answered, so that a stalled service cannot hide behind a
 * client that waits for it (coordinated omission). Each request opens a TCP
 * connection of its own: its SYN has to come through the flood too.
 */

const REPORT_MS = 200

const child = startLabChild()
child.onMessage((message) => {
  const request = message as MeasureRequest
  if (request.kind === 'measure') void measure(request).then((result) => child.send(result))
})
child.send({ kind: 'ready' })

async function measure(request: MeasureRequest): Promise<MeasureResult> {
  const latenciesMs: number[] = []
  const pending: Promise<void>[] = []
  let failed = 0
  let reported = 0
  const ask = async () => {
    const latency = await requestOnce(request)
    if (latency === null) failed++
    else latenciesMs.push(latency)
  }
  const report = setInterval(() => {
    const fresh = latenciesMs.slice(reported)
    reported = latenciesMs.length
    child.send({ kind: 'progress', requests: pending.length, failed, latenciesMs: fresh } satisfies MeasureProgress)
  }, REPORT_MS)
  const start = performance.now()
  const spacingMs = 1000 / request.requestsPerSecond
  for (let n = 0; n * spacingMs < request.durationMs; n++) {
    await sleepUntil(start + n * spacingMs)
    pending.push(ask())
  }
  await Promise.all(pending)
  clearInterval(report)
  return { kind: 'result', requests: pending.length, failed, latenciesMs }
}

function sleepUntil(time: number): Promise<void> {
  const wait = time - performance.now()
  return wait <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, wait))
}

/** Milliseconds from connect to the last byte of the answer; null where it did not come in time. */
function requestOnce({ host, port, timeoutMs }: MeasureRequest): Promise<number | null> {
  return new Promise((resolve) => {
    const start = performance.now()
    const request = get({ host, port, path: '/', agent: false }, (response) => {
      response.on('data', () => {})
      response.on('end', () => finish(response.statusCode === 200 ? performance.now() - start : null))
      response.on('error', () => finish(null))
    })
    const timer = setTimeout(() => finish(null), timeoutMs)
    const finish = (latency: number | null) => {
      clearTimeout(timer)
      resolve(latency)
      request.destroy()
    }
    request.on('error', () => finish(null))
  })
}
