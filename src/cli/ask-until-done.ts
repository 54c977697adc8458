import { setTimeout as sleep } from 'node:timers/promises'
import { listenForEnd } from './foreground.js'

/** How often a service is asked what it has found. */
const ASK_MS = 100

/**
 * Asks again and again until the answer is true, the user ends it, or `forMs`
 * have passed where that is said; after the end once more, for what came until
 * then.
 */
export async function askUntilDone(ask: () => Promise<boolean>, forMs: number | undefined): Promise<void> {
  const end = listenForEnd()
  let isEnded = false
  void end.promise.then(() => {
    isEnded = true
  })
  if (forMs !== undefined) end.after(forMs)
  try {
    for (let isDone = false; !isDone; ) {
      const isLast = isEnded
      isDone = (await ask()) || isLast
      if (!isDone) await Promise.race([sleep(ASK_MS), end.promise])
    }
  } finally {
    end.cancel()
  }
}
