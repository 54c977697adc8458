import { readdirSync, readFileSync } from 'node:fs'
import type { NetworkNamespace } from './namespace.js'
import { type SchedulingPolicy, setAffinity, setPolicy } from './scheduler.js'
import { KernelError } from './syscall.js'
import { writeDeviceAttribute } from './sysfs.js'

/** Where the packets of a device are processed, and what could not be arranged. */
export interface NapiPlacement {
  /** The device's NAPI threads; empty where its packets are processed wherever they arrive. */
  readonly threads: readonly number[]
  /** One sentence each; empty when everything is as asked. */
  readonly problems: readonly string[]
}

/**
 * Moves the receive processing of a device out of the interrupted CPU into
 * threads of its own, and those to `cpus` (linux: Documentation/networking/napi.rst,
 * "Threaded NAPI"). Needs a device that has NAPI: a veth has it while GRO is on
 * or an XDP program attached. Never throws a KernelError: a container may allow
 * only part of this, so what failed is said in `problems`.
 */
export function placeNapi(
  namespace: NetworkNamespace,
  device: string,
  wanted: { readonly cpus?: readonly number[]; readonly scheduling?: SchedulingPolicy },
): NapiPlacement {
  const problems: string[] = []
  const attempt = (consequence: string, run: () => void) => {
    try {
      run()
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      problems.push(`${error.message}; ${consequence}`)
    }
  }

  attempt('its packets stay on the CPU they arrive at', () => writeDeviceAttribute(namespace, device, 'threaded', 1))
  const threads = problems.length === 0 ? findNapiThreads(device) : []
  if (problems.length === 0 && threads.length === 0) {
    problems.push(
      `no NAPI thread of ${device} is to be seen; switch its GRO on, and look from the host's PID namespace`,
    )
  }
  for (const tid of threads) {
    const { cpus, scheduling } = wanted
    if (cpus) attempt('it runs where the scheduler likes', () => setAffinity(tid, cpus))
    if (scheduling) attempt('it is scheduled like any thread', () => setPolicy(tid, scheduling))
  }
  return { threads, problems }
}

/**
 * The kernel threads `napi/DEVICE-ID`, by pid. They carry no namespace, so a
 * device name that is used in several finds the threads of all of them.
 */
export function findNapiThreads(device: string): number[] {
  const prefix = `napi/${device}-`
  const isOfDevice = (name: string) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length))
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => isOfDevice(readName(pid)))
}

/** Empty for a process that has ended meanwhile. */
function readName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()
  } catch {
    return ''
  }
}
