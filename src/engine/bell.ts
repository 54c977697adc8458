import { type Code, type Space, WORKER_BELL, WORKER_WAKES } from '../memory/index.js'

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
}

/**
 * What lets the worker of that control area have one more round that begins
 * after the call, from any thread: also one that has looked already and is about to sleep.
 */
export function openWake(space: Space, code: Code, control: number): () => void {
  const words = new Int32Array(space.memory.buffer)
  const { ring } = openBell(space, code, control)
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

/** A bell whose word is at `address`. */
export function openBell({ memory }: Space, code: Code, address: number): Bell {
  const words = new Int32Array(memory.buffer)
  const index = (address + WORKER_BELL) / 4
  const bellRing = code.find('bellRing')
  const ring = () => bellRing(address)
  const sleepers = new Set<() => void>()
  let isAsleep = false

  function woken(): void {
    isAsleep = false
    for (const wake of sleepers) wake()
    sleepers.clear()
  }

  function fallAsleep(): void {
    if (isAsleep) return
    const slept = waitAsync(words, index, 1)
    isAsleep = slept.async
    if (slept.async) void slept.value.then(woken)
    else woken()
  }

  return {
    ring,
    wait(isReady, timeoutMs) {
      // First the word, then the look: who comes after the look finds the word set.
      Atomics.store(words, index, 1)
      if (isReady()) return Promise.resolve()
      return new Promise((resolve) => {
        const timer = setTimeout(ring, timeoutMs)
        sleepers.add(() => {
          clearTimeout(timer)
          resolve()
        })
        fallAsleep()
      })
    },
  }
}
