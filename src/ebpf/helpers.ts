import type { Helper, Machine } from './execute.js'
import { helperId } from './helper-names.js'
import type { MapStore } from './map-store.js'
import { locate, REGION, REGION_SHIFT } from './memory.js'

/** Where helpers get what is not in the program's memory. */
export interface Surroundings {
  readonly maps: readonly MapStore[]
  /** Nanoseconds since boot. */
  readonly clock: () => number
  /** A 32-bit number. */
  readonly random: () => number
}

const EINVAL = -22
const XDP_REDIRECT = 4

/** The address that stands for a map in a program: no memory, so it can only be given to helpers. */
export function mapHandle(index: number): number {
  return ((REGION.handles << REGION_SHIFT) + index) | 0
}

/** Helpers on maps, time and numbers, which every program type has, by number. */
export function commonHelpers({ maps, clock, random }: Surroundings): Record<number, Helper> {
  const mapOf = ({ lo, hi }: Machine) => (hi[1] === 0 ? maps[lo[1] - mapHandle(0)] : undefined)
  const time: Helper = (machine) => {
    const nanoseconds = clock()
    machine.lo[0] = nanoseconds % 2 ** 32
    machine.hi[0] = nanoseconds / 2 ** 32
    return undefined
  }
  return {
    [helperId('bpf_map_lookup_elem')]: (machine) => {
      const map = mapOf(machine)
      if (!map) return NO_MAP
      const keyAt = readable(machine, 2, map.spec.keyBytes)
      if (keyAt < 0) return unreadable('the key', map)
      const entry = map.find(keyAt)
      machine.lo[0] = entry < 0 ? 0 : map.addressOf(entry)
      machine.hi[0] = 0
      return undefined
    },
    [helperId('bpf_map_update_elem')]: (machine) => {
      const map = mapOf(machine)
      if (!map) return NO_MAP
      const keyAt = readable(machine, 2, map.spec.keyBytes)
      if (keyAt < 0) return unreadable('the key', map)
      const valueAt = readable(machine, 3, map.spec.valueBytes)
      if (valueAt < 0) return unreadable('the value', map)
      const flags = machine.hi[4] === 0 ? machine.lo[4] >>> 0 : 0xffffffff
      return answer(machine, map.put(keyAt, valueAt, flags))
    },
    [helperId('bpf_map_delete_elem')]: (machine) => {
      const map = mapOf(machine)
      if (!map) return NO_MAP
      const keyAt = readable(machine, 2, map.spec.keyBytes)
      return keyAt < 0 ? unreadable('the key', map) : answer(machine, map.remove(keyAt))
    },
    [helperId('bpf_redirect_map')]: (machine) => {
      const map = mapOf(machine)
      if (!map) return NO_MAP
      const { view } = machine.memory
      view.setInt32(machine.memory.base[REGION.scratch], machine.lo[2], true)
      // Without an entry the low bits of the flags are the verdict (include/linux/filter.h).
      const isThere = map.find(machine.memory.base[REGION.scratch]) >= 0
      return answer(machine, isThere ? XDP_REDIRECT : machine.lo[3] & 3)
    },
    [helperId('bpf_ktime_get_ns')]: time,
    [helperId('bpf_ktime_get_boot_ns')]: time,
    [helperId('bpf_ktime_get_coarse_ns')]: time,
    [helperId('bpf_get_prandom_u32')]: (machine) => {
      machine.lo[0] = random()
      machine.hi[0] = 0
      return undefined
    },
    [helperId('bpf_get_smp_processor_id')]: (machine) => answer(machine, 0),
    [helperId('bpf_csum_diff')]: checksumDifference,
  }
}

/** Sets the return value, sign-extended to 64 bits. */
export function answer({ lo, hi }: Machine, value: number): undefined {
  lo[0] = value
  hi[0] = value >> 31
}

/** Index in memory of `size` bytes at the address in an argument's register, or -1. */
export function readable({ memory, lo, hi }: Machine, register: number, size: number): number {
  return locate(memory, memory.readEnd, lo[register], hi[register], 0, size)
}

const NO_MAP = 'the first argument of the helper is no map'

function unreadable(what: string, map: MapStore): string {
  return `${what} for map '${map.spec.name}' does not lie in readable memory`
}

/** s64 bpf_csum_diff(from, fromBytes, to, toBytes, seed), folded to 16 bits as kernels since 6.13 do. */
const checksumDifference: Helper = (machine) => {
  const { lo } = machine
  const fromBytes = lo[2]
  const toBytes = lo[4]
  if ((fromBytes | toBytes) & 3 || fromBytes < 0 || toBytes < 0) return answer(machine, EINVAL)
  const from = fromBytes ? readable(machine, 1, fromBytes) : 0
  const to = toBytes ? readable(machine, 3, toBytes) : 0
  if (from < 0 || to < 0) return 'bytes to be summed do not lie in readable memory'
  const seed = lo[5] >>> 0
  let sum = seed
  if (fromBytes && toBytes) {
    sum = endAround(wordSum(machine, to, toBytes, seed) + (~wordSum(machine, from, fromBytes, 0) >>> 0))
  } else if (toBytes) sum = wordSum(machine, to, toBytes, seed)
  else if (fromBytes) sum = ~wordSum(machine, from, fromBytes, ~seed >>> 0) >>> 0
  const half = (sum >>> 16) + (sum & 0xffff)
  return answer(machine, (half >>> 16) + (half & 0xffff))
}

/** Ones' complement sum of 32-bit words. */
function wordSum({ memory }: Machine, at: number, lengthBytes: number, seed: number): number {
  let sum = seed
  for (let offset = 0; offset < lengthBytes; offset += 4) {
    sum = endAround(sum + memory.view.getUint32(at + offset, true))
  }
  return sum
}

function endAround(sum: number): number {
  return sum > 0xffffffff ? sum - 0xffffffff : sum
}
