import type { Space } from '../memory/index.js'
import { READER_BYTES, TABLES_READER_LINES, TABLES_READERS } from './formats.js'
import type { RoutesPlace } from './routes.js'

/** The line of the reader with the number of a worker, who is not at work; its address. */
export function openReader({ words }: Space, { address }: RoutesPlace, worker: number): number {
  const reader = words[(address + TABLES_READER_LINES) / 4]! + worker * READER_BYTES
  // A worker of that number that was ended at work is at work no more.
  Atomics.store(words, reader / 4, 0)
  noteReader(words, (address + TABLES_READERS) / 4, worker + 1)
  return reader
}

/** Writers look at the lines of all readers below the highest that there has been. */
function noteReader(words: Uint32Array, index: number, readers: number): void {
  for (let before = Atomics.load(words, index); before < readers; ) {
    const found = Atomics.compareExchange(words, index, before, readers)
    if (found === before) return
    before = found
  }
}
