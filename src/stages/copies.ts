import type { StageHost } from '../engine/index.js'

/** Of a stage that copies packets. */
export interface Copies {
  /** Packets that it has copied since it was started. */
  read(): number
}

/** The counter of a stage that copies, which can still be read when the stage is closed. */
export function reserveCopies() {
  let read = () => 0
  return {
    read: () => read(),
    start({ space, reserve }: StageHost) {
      const counter = reserve('copied', 'counters', 8)
      read = () => space.counters[counter / 8]!
      return {
        counter,
        close() {
          const last = read()
          read = () => last
        },
      }
    },
  }
}
