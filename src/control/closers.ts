/** What has been opened so far and is closed together: when something behind it fails, or at the end. */
export interface Closers {
  /** Is closed with the others, before all that were there already. */
  later<T extends { close(): unknown }>(thing: T): T
  /** The same for what is no object with `close`. */
  add(close: () => unknown): void
  /** Closes each once, the last one first. */
  close(): void
  /** The same, each when the one before it is done. */
  closeInTurn(): Promise<void>
}

export function createClosers(): Closers {
  const closers: (() => unknown)[] = []
  const taken = () => closers.splice(0).toReversed()
  return {
    later(thing) {
      closers.push(() => thing.close())
      return thing
    },
    add(close) {
      closers.push(close)
    },
    close() {
      for (const close of taken()) close()
    },
    async closeInTurn() {
      for (const close of taken()) await close()
    },
  }
}
