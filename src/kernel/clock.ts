import { readFileSync } from 'node:fs'

/**
 * Nanoseconds since boot with sleep counted (CLOCK_BOOTTIME), which is what
 * bpf_ktime_get_boot_ns gives; to 10 ms, as /proc/uptime has it (proc(5)).
 */
export function bootTimeNs(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1e9
}

/**
 * A clock of the machine in nanoseconds (CLOCK_MONOTONIC), the same in all its
 * processes; unlike `process.hrtime` it makes neither BigInt nor array when it
 * is read. Numbers are exact for 104 days after boot, and then to 2 ns.
 */
export function createClock(): () => number {
  // `performance.now` counts from the start of this process by the same clock: the nearest of some pairs says when that was.
  let offset = 0
  let nearest = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 100; attempt++) {
    const before = performance.now()
    const now = Number(process.hrtime.bigint())
    const after = performance.now()
    if (after - before >= nearest) continue
    nearest = after - before
    offset = now - ((before + after) / 2) * 1e6
  }
  return () => performance.now() * 1e6 + offset
}
