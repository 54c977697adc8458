import { readXskStatistics } from '../kernel/index.js'
import type { Space } from '../memory/index.js'

/** Why the kernel loses packets at a queue, by names that say where to look. */
export const KERNEL_REASONS = [
  'receive ring full',
  'no frame to receive into',
  'too long for a frame',
  'bad address received into',
  'bad address sent from',
] as const

/** Rounds after which the kernel is asked though the queue is never empty; what is lost just then is counted by the next. */
const ROUNDS_A_LOOK = 1024

/** Takes up what the kernel has counted for a socket into counters of the memory, where all threads see it. */
export interface KernelLosses {
  /** Asks the kernel. */
  look(): void
  /** Once a round: asks it now and then. */
  round(): void
}

/** `at` is the address of the first of KERNEL_REASONS; what has been counted there goes on. */
export function openKernelLosses({ counters }: Space, fd: number, at: number): KernelLosses {
  const before = KERNEL_REASONS.map((_, reason) => counters[at / 8 + reason]!)
  let rounds = 0
  function look(): void {
    const counted = readXskStatistics(fd)
    const losses = [
      counted.receiveRingFull,
      counted.fillRingEmpty,
      // In copy mode the kernel counts what found no frame here as well.
      Math.max(0, counted.receiveDropped - counted.fillRingEmpty),
      counted.receiveInvalid,
      counted.transmitInvalid,
    ]
    for (let reason = 0; reason < losses.length; reason++) counters[at / 8 + reason] = before[reason]! + losses[reason]!
  }
  return {
    look,
    round() {
      if (++rounds % ROUNDS_A_LOOK === 0) look()
    },
  }
}
