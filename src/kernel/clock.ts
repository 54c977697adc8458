import { readFileSync } from 'node:fs'

/**
 * Nanoseconds since boot with sleep counted (CLOCK_BOOTTIME), which is what
 * bpf_ktime_get_boot_ns gives; to 10 ms, as /proc/uptime has it (proc(5)).
 */
export function bootTimeNs(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1e9
}
