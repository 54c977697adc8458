/**
 * `process.exit()`, and an error that nobody catches, end threads wherever they
 * are; the library that watches descriptors aborts the process where its
 * callback meets that. So what has threads is told before, in the process's
 * last moment, in which there is no event loop any more.
 */
const leaving = new Set<() => void>()
let isListening = false

/** Calls `leave` when the process ends while its event loop works; what it gives takes that back. */
export function beforeExit(leave: () => void): () => void {
  if (!isListening) {
    process.on('exit', () => {
      for (const each of leaving) each()
    })
  }
  isListening = true
  leaving.add(leave)
  return () => void leaving.delete(leave)
}
