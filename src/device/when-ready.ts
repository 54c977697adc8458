const PAUSE = new Int32Array(new SharedArrayBuffer(4))
const PAUSE_MS = 1

/**
 * What `transfer` returns, which reads or writes a descriptor: one that somebody
 * has set to non-blocking mode, and that is not ready (EAGAIN), is waited for.
 */
export function whenReady(transfer: () => number): number {
  for (;;) {
    try {
      return transfer()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(PAUSE, 0, 0, PAUSE_MS)
    }
  }
}
