import { setTimeout } from 'node:timers/promises'

/** Waits until `check` holds, and gives up with `what` after `timeoutMs`: long, because a busy machine is no failure. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  for (let waitedMs = 0; !(await check()); waitedMs += 10) {
    if (waitedMs >= timeoutMs) throw new Error(`${what}: still not so after ${timeoutMs} ms`)
    await setTimeout(10)
  }
}

/** A counter of another thread, once it has stood still for 50 ms: what was sent before has been counted by then. */
export async function atRest(read: () => number): Promise<number> {
  let value = read()
  let sameFor = 0
  await eventually('a counter at rest', () => {
    const now = read()
    sameFor = now === value ? sameFor + 1 : 0
    value = now
    return sameFor >= 6
  })
  return value
}
