import type { FloodSpec } from './flood-frame.js'

/** Start sending; ends by itself after `seconds`. */
export interface FloodStart {
  readonly kind: 'start'
  readonly spec: FloodSpec
  readonly interfaceIndex: number
  readonly packetsPerSecond: number
  readonly seconds: number
  /** Ends also after so many. */
  readonly mostPackets?: number
  /** What counts the flood's packets at its end, where something does: see FloodReport.heldBack. */
  readonly consumer?: FloodConsumer
}

/** A per-CPU array whose value 0 begins with the packets that were taken from the victim's ring. */
export interface FloodConsumer {
  readonly mapId: number
  readonly cpu: number
  readonly valueBytes: number
  readonly maxEntries: number
}

/** What was sent, once it has ended. */
export interface FloodReport {
  readonly kind: 'report'
  readonly sent: number
  readonly bytes: number
  readonly elapsedMs: number
  /** How often the generator was late by more than it may make up for. */
  readonly late: number
  /**
   * Packets that were left out because the victim's core stood still: sent,
   * they would have found its ring full. At most one in 16; nothing is held
   * back without a consumer.
   */
  readonly heldBack: number
}

/** What has been sent up to now; between two calls into the kernel, so every two seconds. */
export interface FloodProgress {
  readonly kind: 'progress'
  readonly sent: number
  readonly bytes: number
}

/** The flood could not go on; one sentence. */
export interface FloodFailure {
  readonly kind: 'failure'
  readonly message: string
}

/** Sent after the order to stop: the process hears no message while it is in the kernel. */
export const STOP_SIGNAL = 'SIGUSR2'

/**
 * Below this rate, in packets a second, frames are sent a call each, with the
 * thread asleep between; a call takes 16 ms and more, so few rates are kept.
 */
export const SLEEPING_RATE = 20_000
