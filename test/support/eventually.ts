import { setTimeout } from 'node:timers/promises'

/** Waits until `check` holds, and gives up with `what` after `timeoutMs`. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 5000,
): Promise<void> {
  for (let waitedMs = 0; !(await check()); waitedMs += 10) {
    if (waitedMs >= timeoutMs) throw new Error(`${what}: still not so after ${timeoutMs} ms`)
    await setTimeout(10)
  }
}
