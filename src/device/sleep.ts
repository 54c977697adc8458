import { createWaiter, watchDescriptor } from '../kernel/index.js'

/** What waits for a descriptor of a device, in the thread's event loop. */
export interface Sleep {
  /** Whether there is something to read now. */
  isReady(): boolean
  /**
   * Resolves when there is something to read, after `timeoutMs`, or with
   * `wake`. A descriptor whose device is gone always looks readable: for it
   * `isGone` waits for the time alone.
   */
  wait(timeoutMs: number, isGone?: boolean): Promise<void>
  /** Ends the present `wait`. */
  wake(): void
  /** Ends the present `wait`; must come before the descriptor is closed. */
  close(): void
}

/** Sleeps for `fd`; while nobody waits, the event loop does not look at it. */
export function createSleep(fd: number): Sleep {
  const waiter = createWaiter([fd])
  let wake = () => {}
  const watch = watchDescriptor(fd, 'readable', () => wake())
  watch.pause()
  return {
    isReady: () => waiter.wait(0) > 0,
    wait: (timeoutMs, isGone = false) =>
      new Promise((resolve) => {
        wake()
        const timer = setTimeout(() => wake(), timeoutMs)
        wake = () => {
          clearTimeout(timer)
          watch.pause()
          wake = () => {}
          resolve()
        }
        if (!isGone) watch.resume()
      }),
    wake: () => wake(),
    close() {
      wake()
      watch.close()
    },
  }
}
