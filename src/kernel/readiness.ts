import koffi from 'koffi'
import { addressOf, trySyscall } from './syscall.js'

/** What a descriptor can be waited for. */
export type Readiness = 'readable' | 'writable'

/** A descriptor that the event loop waits for. It keeps the process alive until it is closed. */
export interface Watch {
  /** Stops and resumes; a watch begins resumed. */
  pause(): void
  resume(): void
  close(): void
}

/** Those of this thread that are not paused. */
const active = new Set<Watch>()

/**
 * Pauses every watch of this thread. A thread that may be ended by another must
 * have none while that can happen: koffi ends the whole process where its
 * callback meets a thread that is being ended.
 */
export function pauseWatches(): void {
  for (const watch of active) watch.pause()
}

/**
 * Calls `onReady` from the thread's event loop, again and again while `fd` is
 * ready: take what is there, or pause. A loop has one watch for a descriptor;
 * the watch must be closed before the descriptor is. `fd` becomes non-blocking.
 */
export function watchDescriptor(fd: number, readiness: Readiness, onReady: () => void): Watch {
  const wanted = readiness === 'readable' ? { readable: true } : { writable: true }
  const handle = koffi.node.poll(fd, wanted, onReady)
  let isOpen = true
  let isPaused = false
  const watch: Watch = {
    pause() {
      if (isOpen && !isPaused) handle.stop()
      isPaused = true
      active.delete(watch)
    },
    resume() {
      if (!isOpen) return
      if (isPaused) handle.start(wanted, onReady)
      isPaused = false
      active.add(watch)
    },
    close() {
      if (isOpen) handle.close()
      isOpen = false
      active.delete(watch)
    },
  }
  active.add(watch)
  return watch
}

const POLLIN = 1
const POLLOUT = 4
/** struct pollfd: fd, events, revents. */
const POLLFD_BYTES = 8

/** Descriptors that a thread of its own sleeps for. */
export interface Waiter {
  /**
   * Sleeps until one is ready, at most so long; 0 looks and does not sleep.
   * Gives how many are ready, or `-errno` (EINTR after a signal). Allocates
   * nothing. A worker that is to end waits for this call: keep it short.
   */
  wait(timeoutMs: number): number
  /** Whether the descriptor at `index` was ready, or broken, at the last `wait`. */
  isReady(index: number): boolean
}

/** A waiter for `fds`: ppoll(2). */
export function createWaiter(fds: readonly number[], readiness: Readiness = 'readable'): Waiter {
  const entries = new Int16Array((fds.length * POLLFD_BYTES) / 2)
  const words = new Int32Array(entries.buffer)
  fds.forEach((fd, index) => {
    words[index * 2] = fd
    entries[index * 4 + 2] = readiness === 'readable' ? POLLIN : POLLOUT
  })
  // struct timespec: two 64-bit numbers, of which the low halves are enough.
  const timeout = new Int32Array(4)
  const [entriesAt, timeoutAt] = [Number(addressOf(entries)), Number(addressOf(timeout))]
  return {
    wait(timeoutMs) {
      timeout[0] = Math.floor(timeoutMs / 1000)
      timeout[2] = (timeoutMs % 1000) * 1e6
      return trySyscall('ppoll', entriesAt, fds.length, timeoutAt, 0, 0)
    },
    isReady: (index) => entries[index * 4 + 3] !== 0,
  }
}
