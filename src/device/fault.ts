import type { Device } from '../engine/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  type Code,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  MOST_IN_BUNDLE,
  type Space,
  type WorkerPool,
} from '../memory/index.js'

/** What happens to packets, each from 0 (never) to 1 (always), by itself and by chance. */
export interface Faults {
  readonly loses?: number
  /** Comes twice, the copy right behind it. */
  readonly duplicates?: number
  /** Is overtaken by one to eight packets that come behind it. */
  readonly reorders?: number
  /** One bit of it is turned over. */
  readonly corrupts?: number
  /** Comes up to `delayMs` later; 10 where it is not said. */
  readonly delays?: number
  readonly delayMs?: number
  /** The same seed does the same to the same packets. */
  readonly seed: number
}

/** How many packets met what. */
export type FaultCounts = Readonly<Record<'lost' | 'duplicated' | 'reordered' | 'corrupted' | 'delayed', number>>

export interface FaultDevice extends Device {
  faults(): FaultCounts
}

const MOST_OVERTAKERS = 8
/** Who is to be overtaken and by nobody is, comes after so long. */
const OVERTAKEN_MS = 10
const WORDS = DESCRIPTOR_BYTES / 4

/**
 * An unreliable way to a device, for tests: what is received from it has been
 * lost, doubled, put in another order, corrupted or delayed; what is sent goes
 * through as it is. Wrap both ends of a link for both directions. Closing closes
 * the device too. Throws LayoutError.
 */
export function openFault(
  space: Space,
  code: Code,
  pool: WorkerPool,
  device: Device,
  { loses = 0, duplicates = 0, reorders = 0, corrupts = 0, delays = 0, delayMs = 10, seed }: Faults,
): FaultDevice {
  const { words, bytes } = space
  const copy = code.find('poolCopy')
  const name = `fault ${device.name}`
  const region = space.reserve({ name, kind: 'bundle', bytes: BUNDLE_BYTES })
  const incoming = region.offset
  const held = openHeld(space, pool, name)
  const { chance, below } = random(seed)
  const counts = { lost: 0, duplicated: 0, reordered: 0, corrupted: 0, delayed: 0 }
  let isOpen = true

  /** What becomes of the packet whose descriptor is at that address. */
  function disturb(descriptor: number, now: number): void {
    if (chance(loses)) {
      counts.lost++
      pool.give(descriptor, 1)
      return
    }
    const isTwice = chance(duplicates)
    const isLate = chance(delays)
    const isOvertaken = chance(reorders)
    if (isLate) counts.delayed++
    if (isOvertaken) counts.reordered++
    const due = isLate ? now + below(delayMs * 1000) / 1000 : isOvertaken ? now + OVERTAKEN_MS : 0
    // The copy is made first, so that only one of both is corrupted.
    const extra = isTwice && (copy(pool.address, descriptor, region.offset) as number) === 1
    corrupt(descriptor)
    held.put(descriptor, due, isOvertaken ? 1 + below(MOST_OVERTAKERS) : 0)
    if (!extra) return
    counts.duplicated++
    const last = words[incoming >>> 2]! - 1
    held.put(incoming + BUNDLE_DESCRIPTORS + last * DESCRIPTOR_BYTES, due, 0)
    words[incoming >>> 2] = last
  }

  function corrupt(descriptor: number): void {
    const length = words[(descriptor + DESCRIPTOR_CAPTURED) >>> 2]!
    if (length === 0 || !chance(corrupts)) return
    counts.corrupted++
    bytes[words[(descriptor + DESCRIPTOR_ADDRESS) >>> 2]! + below(length)]! ^= 1 << below(8)
  }

  return {
    name: device.name,
    faults: () => ({ ...counts }),
    receive(bundle, most) {
      if (!isOpen) return 0
      const now = performance.now()
      // Each packet may become two, for which there must be room here and there.
      device.receive(incoming, Math.min(most, held.room() >> 1, MOST_IN_BUNDLE >> 1))
      const count = words[incoming >>> 2]!
      for (let index = 0; index < count; index++) disturb(incoming + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES, now)
      words[incoming >>> 2] = 0
      return held.take(bundle, most, now)
    },
    send: (bundle) => (isOpen ? device.send(bundle) : 0),
    flush: device.flush,
    isReady: () => isOpen && (device.isReady() || held.dueMs(performance.now()) === 0),
    async wait(timeoutMs) {
      const dueMs = isOpen ? held.dueMs(performance.now()) : 0
      if (dueMs === 0) return
      if (dueMs === Number.POSITIVE_INFINITY) return device.wait(timeoutMs)
      await device.wait(Math.min(timeoutMs, Math.ceil(dueMs)))
    },
    statistics() {
      const { drops, receivedPackets, copiedPackets, ...rest } = device.statistics()
      return {
        ...rest,
        receivedPackets: receivedPackets - counts.lost + counts.duplicated - held.count(),
        copiedPackets: copiedPackets + counts.duplicated,
        drops: { ...drops, lost: counts.lost },
      }
    },
    ...(device.state === undefined ? {} : { state: device.state }),
    ...(device.isHeldUp === undefined ? {} : { isHeldUp: device.isHeldUp }),
    close() {
      if (!isOpen) return
      isOpen = false
      held.close()
      device.close()
      space.free(region.name)
    },
  }
}

const HELD = 4 * MOST_IN_BUNDLE

/** Packets that are on the way, in their order, each with a time before which it does not come. */
function openHeld({ reserve, free, words }: Space, pool: WorkerPool, name: string) {
  // One more, for the one that is being moved.
  const region = reserve({ name: `${name} held`, kind: 'state', bytes: (HELD + 1) * DESCRIPTOR_BYTES })
  const first = region.offset >>> 2
  const dues = new Float64Array(HELD)
  const overtakers = new Uint8Array(HELD)
  let count = 0

  /** Who has been overtaken by as many as it should be comes right behind the last of them. */
  function moveToEnd(index: number): void {
    const [from, end, spare] = [first + index * WORDS, first + count * WORDS, first + HELD * WORDS]
    words.copyWithin(spare, from, from + WORDS)
    words.copyWithin(from, from + WORDS, end)
    words.copyWithin(end - WORDS, spare, spare + WORDS)
    dues.copyWithin(index, index + 1, count)
    overtakers.copyWithin(index, index + 1, count)
    dues[count - 1] = 0
    overtakers[count - 1] = 0
  }

  return {
    count: () => count,
    room: () => HELD - count,
    put(descriptor: number, due: number, toBeOvertakenBy: number) {
      words.copyWithin(first + count * WORDS, descriptor >>> 2, (descriptor >>> 2) + WORDS)
      dues[count] = due
      overtakers[count] = toBeOvertakenBy
      count++
      for (let before = count - 1, index = 0; before > 0; before--) {
        if (overtakers[index]! > 0 && --overtakers[index]! === 0) moveToEnd(index)
        else index++
      }
    },
    /** Appends what is due, up to `most`; gives how many. */
    take(bundle: number, most: number, now: number): number {
      const held = words[bundle >>> 2]!
      const room = Math.min(most, MOST_IN_BUNDLE - held)
      let taken = 0
      let kept = 0
      for (let index = 0; index < count; index++) {
        const from = first + index * WORDS
        if (taken < room && dues[index]! <= now) {
          words.copyWithin(((bundle + BUNDLE_DESCRIPTORS) >>> 2) + (held + taken++) * WORDS, from, from + WORDS)
          continue
        }
        words.copyWithin(first + kept * WORDS, from, from + WORDS)
        dues[kept] = dues[index]!
        overtakers[kept++] = overtakers[index]!
      }
      count = kept
      words[bundle >>> 2] = held + taken
      return taken
    },
    /** Milliseconds until one is due; infinite where there is none. */
    dueMs(now: number): number {
      let least = Number.POSITIVE_INFINITY
      for (let index = 0; index < count; index++) least = Math.min(least, Math.max(0, dues[index]! - now))
      return least
    },
    close() {
      pool.give(region.offset, count)
      count = 0
      free(region.name)
    },
  }
}

/** Numbers of Mulberry32, without an allocation for any. */
function random(seed: number) {
  let state = seed | 0
  const word = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    chance: (probability: number) => word() < probability * 2 ** 32,
    below: (limit: number) => word() % limit,
  }
}
