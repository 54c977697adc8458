import { setTimeout as pause } from 'node:timers/promises'
import { openBell } from '../../engine/index.js'
import type { Code, Space } from '../../memory/index.js'
import { type HoldOptions, openShare } from '../../route/index.js'

/**
 * What workers wait for, told to the thread that follows the kernel: a bell, and
 * for each worker a ring of addresses, one line each.
 *
 *     0        4       8                      64
 *     | told | heard |                        | hop | bytes | address 16 | sender | …      a worker's
 */
const LANE_HEAD_BYTES = 64
const TOLD = 0
const HEARD = 4
const SLOT_BYTES = 32
const ADDRESS = 8
const SENDER = 24
const SLOTS = 64
const LANE_BYTES = LANE_HEAD_BYTES + SLOTS * SLOT_BYTES
const BELL_BYTES = 64

/** Memory for so many workers. */
export function asksBytes(workers: number): number {
  return BELL_BYTES + workers * LANE_BYTES
}

/**
 * The telling side, of worker `worker`. What there is no room for is not told: whoever sends next asks again. No sender
 * has more of the ring than it leaves to the others, however late the other side hears.
 */
export function tellAsks(space: Space, code: Code, address: number, worker: number): HoldOptions['ask'] {
  const { words, bytes } = space
  const lane = laneAt(address, worker)
  const bell = openBell(space, code, address)
  const room = openShare(SLOTS)
  /** What an earlier thread of this worker has told is none of this one's. */
  let given = words[(lane + TOLD) / 4]!
  return (hop, asked, sender) => {
    const heard = Atomics.load(words, (lane + HEARD) / 4)
    for (; ((heard - given) | 0) > 0; given = (given + 1) >>> 0) room.give(words[(slotAt(lane, given) + SENDER) / 4]!)
    const told = words[(lane + TOLD) / 4]!
    if ((told - heard) >>> 0 >= SLOTS || !room.take(sender)) return
    const slot = slotAt(lane, told)
    words[slot / 4] = hop
    words[slot / 4 + 1] = asked.length
    bytes.set(asked, slot + ADDRESS)
    words[(slot + SENDER) / 4] = sender
    Atomics.store(words, (lane + TOLD) / 4, told + 1)
    bell.ring()
  }
}

export interface Asks {
  close(): void
}

/**
 * The hearing side: calls `ask` for each until it is closed. After as many as a
 * ring holds it lets others of its thread have their turn: workers can tell
 * faster than it hears, when somebody sends to all addresses of a network.
 */
export function hearAsks(space: Space, code: Code, address: number, workers: number, ask: HoldOptions['ask']): Asks {
  const { words, bytes } = space
  const bell = openBell(space, code, address)
  const lanes = Array.from({ length: workers }, (_, worker) => laneAt(address, worker))
  const waits = (lane: number) => Atomics.load(words, (lane + TOLD) / 4) !== words[(lane + HEARD) / 4]
  let isOpen = true

  function hear(lane: number): void {
    for (let count = 0; count < SLOTS && waits(lane); count++) {
      const heard = words[(lane + HEARD) / 4]!
      const slot = slotAt(lane, heard)
      const length = words[slot / 4 + 1]!
      ask(words[slot / 4]!, bytes.slice(slot + ADDRESS, slot + ADDRESS + length), words[(slot + SENDER) / 4]!)
      Atomics.store(words, (lane + HEARD) / 4, heard + 1)
    }
  }

  async function listen(): Promise<void> {
    while (isOpen) {
      for (const lane of lanes) hear(lane)
      if (lanes.some(waits)) await pause(PAUSE_MS)
      else await bell.wait(() => !isOpen || lanes.some(waits), WAIT_MS)
    }
  }

  void listen()
  return {
    close() {
      isOpen = false
      bell.ring()
    },
  }
}

const WAIT_MS = 1000
/** Then a lane has SLOTS times a hundred asks a second, of which the kernel is to have fewer anyway. */
const PAUSE_MS = 10

function laneAt(address: number, worker: number): number {
  return address + BELL_BYTES + worker * LANE_BYTES
}

function slotAt(lane: number, number: number): number {
  return lane + LANE_HEAD_BYTES + (number % SLOTS) * SLOT_BYTES
}
