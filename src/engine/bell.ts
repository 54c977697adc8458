import { clearEvent, raiseEvent } from '../kernel/index.js'
import { BELL_LOOP, BELL_POLL, type Code, type Space, WORKER_BELL, WORKER_WAKES } from '../memory/index.js'

/** What a worker sleeps at: a word that whoever has something for it sets to 0. */
export interface Bell {
  /** Wakes the worker, if it sleeps; from any thread that has a bell of this word. */
  ring(): void
  /**
   * Resolves when the bell rings, at once where `isReady` says so, and after
   * `timeoutMs`. Only in the worker's thread. Costs nothing meanwhile: the
   * event loop sleeps.
   */
  wait(isReady: () => boolean, timeoutMs: number): Promise<void>
  /** What wakes the worker while it sleeps in poll(2); missing where it is not to. */
  readonly descriptor?: number
  /** Around such a sleep, in the worker's thread: before the last look, and behind. */
  poll(isAsleep: boolean): void
}

/**
 * What lets the worker of that control area have one more round that begins
 * after the call, from any thread: also one that has looked already and is about to sleep.
 */
export function openWake(space: Space, code: Code, control: number, descriptor?: number): () => void {
  const words = new Int32Array(space.memory.buffer)
  const { ring } = openBell(space, code, control, descriptor)
  return () => {
    // A bell that rings before the worker sleeps is not heard; the count is, when it looks before it does.
    Atomics.add(words, (control + WORKER_WAKES) / 4, 1)
    ring()
  }
}

/** ES2024's wait in the event loop, which the libraries of ES2023 do not declare. */
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: false } | { readonly async: true; readonly value: Promise<string> }

const { waitAsync } = Atomics as unknown as { readonly waitAsync: WaitAsync }

/** A bell whose word is at `address`, of a worker that the event `descriptor` wakes from poll(2), where it has one. */
export function openBell({ memory }: Space, code: Code, address: number, descriptor?: number): Bell {
  const words = new Int32Array(memory.buffer)
  const index = (address + WORKER_BELL) / 4
  const bellRing = code.find('bellRing')
  const ring = () => {
    if (bellRing(address) === BELL_POLL) raiseEvent(descriptor!)
  }
  /** Somebody has rung and the event is not cleared: perhaps he has not come to raise it yet. */
  let isRaised = false
  let isPolling = false
  /** Who waits for the bell's next ring; null where nobody does. */
  let sleepers: Set<() => void> | null = null

  function fallAsleep(): Set<() => void> {
    const fallen = new Set<() => void>()
    const woken = () => {
      if (sleepers === fallen) sleepers = null
      for (const wake of fallen) wake()
    }
    const slept = waitAsync(words, index, BELL_LOOP)
    if (slept.async) void slept.value.then(woken)
    else queueMicrotask(woken)
    return fallen
  }

  return {
    ring,
    wait(isReady, timeoutMs) {
      // First the word, then the look: who comes after the look finds the word set.
      const isRung = Atomics.exchange(words, index, BELL_LOOP) === 0
      if (isReady()) return Promise.resolve()
      return new Promise((resolve) => {
        const timer = setTimeout(ring, timeoutMs)
        // Who has been rung for and does not know it yet is not who waits from now on.
        if (sleepers === null || isRung) sleepers = fallAsleep()
        sleepers.add(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    },
    ...(descriptor === undefined ? {} : { descriptor }),
    poll(isAsleep) {
      // All rings to a worker share its bell.
      if (isAsleep === isPolling) return
      isPolling = isAsleep
      if (isAsleep) Atomics.store(words, index, BELL_POLL)
      else if (Atomics.exchange(words, index, 0) === 0) isRaised = true
      if (isRaised && clearEvent(descriptor!)) isRaised = false
    },
  }
}
