/** One measurement: what to ask, how often, for how long. */
export interface MeasureRequest {
  readonly kind: 'measure'
  readonly host: string
  readonly port: number
  readonly durationMs: number
  readonly requestsPerSecond: number
  /** A request without its whole answer after this long has failed. */
  readonly timeoutMs: number
}

/** So far in the running measurement. `latenciesMs` are those since the last report. */
export interface MeasureProgress {
  readonly kind: 'progress'
  readonly requests: number
  readonly failed: number
  readonly latenciesMs: readonly number[]
}

/** The whole measurement: every request that was started is in it. */
export interface MeasureResult {
  readonly kind: 'result'
  readonly requests: number
  readonly failed: number
  readonly latenciesMs: readonly number[]
}
