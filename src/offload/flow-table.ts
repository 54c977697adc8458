import { ERRNO, KernelError, lookupBatch, takeElement, updateElement, withMapMemory } from '../kernel/index.js'
import type { LoadedMap } from '../loader/index.js'
import { decodeFlow, encodeFlow, encodeKey, hasPorts, type ReadFlow } from './flow-entry.js'
import { FLOW_BYTES, FLOW_KEY, FLOWS, GENERATION } from './formats.js'
import type { CountedFlow, OffloadKey, Tier } from './tier.js'

/** The flow table of a forwarder: the tier in the drivers. */
export interface DriverFlows extends Tier {
  /**
   * Takes out flows of an older generation, and those without a packet for
   * `idleMs`: once a second or so. What they have counted is in what is given.
   */
  sweep(idleMs: number, now: number): readonly CountedFlow[]
  /** How many there were at the last sweep. */
  active(): number
}

const FAMILIES = [4, 6] as const

/** Opens the table over the maps of a forwarding program that has one. */
export function openDriverFlows(maps: ReadonlyMap<string, LoadedMap>): DriverFlows {
  const mapOf = (family: 4 | 6) => maps.get(FLOWS[family])!
  const capacity = mapOf(4).spec.maxEntries
  const buffers = {
    4: { keys: new Uint8Array(capacity * FLOW_KEY[4].bytes), values: new Uint8Array(capacity * FLOW_BYTES[4]) },
    6: { keys: new Uint8Array(capacity * FLOW_KEY[6].bytes), values: new Uint8Array(capacity * FLOW_BYTES[6]) },
  }
  const generationMap = maps.get(GENERATION)!
  /** Of each flow, by its key as text: packets when they last changed, and the time. */
  let seen = new Map<string, { packets: number; at: number }>()
  let generation = 0
  let active = 0

  function* entries(): IterableIterator<ReadFlow> {
    for (const family of FAMILIES) {
      const { keys, values } = buffers[family]
      const [keyBytes, valueBytes] = [FLOW_KEY[family].bytes, FLOW_BYTES[family]]
      const count = lookupBatch(mapOf(family).fd, keys, values, capacity)
      for (let entry = 0; entry < count; entry++) {
        const key = keys.subarray(entry * keyBytes, (entry + 1) * keyBytes)
        yield decodeFlow(family, key, values.subarray(entry * valueBytes, (entry + 1) * valueBytes))
      }
    }
  }

  function withdraw(key: OffloadKey): CountedFlow | null {
    const [bytes, value] = [encodeKey(key), new Uint8Array(FLOW_BYTES[key.family])]
    return takeElement(mapOf(key.family).fd, bytes, value) ? decodeFlow(key.family, bytes, value) : null
  }

  return {
    name: 'driver',
    capacity,
    install(flow) {
      if (!hasPorts(flow.key.protocol)) return false
      try {
        updateElement(mapOf(flow.key.family).fd, encodeKey(flow.key), encodeFlow(flow, generation))
        return true
      } catch (error) {
        if (error instanceof KernelError && error.errno === ERRNO.E2BIG) return false
        throw error
      }
    },
    withdraw,
    counters: () => [...entries()],
    invalidate() {
      generation = (generation + 1) >>> 0
      // Programs read the word as it is now: no packet meets an old entry once this has returned.
      withMapMemory(generationMap.fd, generationMap.spec.valueBytes, (memory) =>
        Atomics.store(new Uint32Array(memory, 0, 1), 0, generation),
      )
    },
    sweep(idleMs, now) {
      const ended: CountedFlow[] = []
      const still = new Map<string, { packets: number; at: number }>()
      for (const flow of entries()) {
        const name = nameOf(flow.key)
        const before = seen.get(name)
        const at = before !== undefined && before.packets === flow.packets ? before.at : now
        if (flow.generation === generation && now - at < idleMs) {
          still.set(name, { packets: flow.packets, at })
          continue
        }
        const last = withdraw(flow.key)
        if (last !== null) ended.push(last)
      }
      seen = still
      active = still.size
      return ended
    },
    active: () => active,
  }
}

/** A flow's key as text. */
export function nameOf(key: OffloadKey): string {
  return Buffer.from(encodeKey(key).buffer).toString('latin1')
}
