import type { Heard, Listener, ListenerRequest, Listeners } from './listeners.js'

/** A listener at work. */
export interface RouterListener {
  heard(): Heard
  /** Resolves when no packet meets it any more, with what it has been about in all. */
  close(): Promise<Heard>
}

/**
 * Lets listeners come and go while packets pass: one change after the other,
 * because a thread may still have in its graph what the change before took out.
 * `change` resolves when all threads have these at their hooks.
 */
export function openListening(listeners: Listeners, change: (all: readonly Listener[]) => Promise<void>) {
  let turn: Promise<unknown> = Promise.resolve()
  function inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = turn.then(run)
    turn = result.catch(() => {})
    return result
  }

  async function takeAway(listener: Listener): Promise<Heard> {
    listeners.remove(listener)
    // A worker that has ended meanwhile is started without it.
    await change(listeners.all()).catch(() => {})
    const heard = listeners.heard(listener)
    listeners.free(listener)
    return heard
  }

  return (request: ListenerRequest): Promise<RouterListener> =>
    inTurn(async () => {
      const listener = listeners.add(request)
      try {
        await change(listeners.all())
      } catch (error) {
        await takeAway(listener)
        throw error
      }
      let last: Heard | null = null
      let ended: Promise<Heard> | null = null
      return {
        heard: () => last ?? listeners.heard(listener),
        close() {
          ended ??= inTurn(async () => {
            last = await takeAway(listener)
            return last
          })
          return ended
        },
      }
    })
}
