import { READER_ACTIVE, READER_BYTES, TABLES_GENERATION, TABLES_READER_LINES, TABLES_READERS } from './formats'

/**
 * A reader begins to look things up. The store comes before all its look-ups:
 * what a writer took away before it saw the reader idle, the reader does not find.
 */
export function enter(tables: u32, reader: u32): void {
  atomic.store<u32>(reader, atomic.load<u32>(tables, TABLES_GENERATION), READER_ACTIVE)
}

/** It has done with everything that it found. */
export function leave(reader: u32): void {
  atomic.store<u32>(reader, 0, READER_ACTIVE)
}

/** A change has been made, and what was kept of earlier answers is to be asked again. */
export function advance(tables: u32): void {
  const next = load<u32>(tables, TABLES_GENERATION) + 1
  atomic.store<u32>(tables, next === 0 ? 1 : next, TABLES_GENERATION)
}

/** Whether nobody can still see what was taken away while the generation was `generation`. */
export function isUnseen(tables: u32, generation: u32): bool {
  const lines = load<u32>(tables, TABLES_READER_LINES)
  const end = lines + atomic.load<u32>(tables, TABLES_READERS) * READER_BYTES
  for (let reader = lines; reader < end; reader += READER_BYTES) {
    const active = atomic.load<u32>(reader, READER_ACTIVE)
    // The difference, because the generation begins anew after 2^32 changes.
    if (active !== 0 && <i32>(active - generation) <= 0) return false
  }
  return true
}
