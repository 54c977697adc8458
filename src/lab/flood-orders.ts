import type { FloodSpec } from './flood-frame.js'

/** Start sending; ends by itself after `seconds`. */
export interface FloodStart {
  readonly kind: 'start'
  readonly spec: FloodSpec
  readonly interfaceIndex: number
  readonly packetsPerSecond: number
  readonly seconds: number
}

/** What was sent, once it has ended. */
export interface FloodReport {
  readonly kind: 'report'
  readonly sent: number
  readonly bytes: number
  readonly elapsedMs: number
  /** How often the generator was late by more than it may make up for. */
  readonly late: number
}

/** The flood could not go on; one sentence. */
export interface FloodFailure {
  readonly kind: 'failure'
  readonly message: string
}

/** Sent after the order to stop: the process hears no message while it is in the kernel. */
export const STOP_SIGNAL = 'SIGUSR2'
