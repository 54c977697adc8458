import type { Device, DeviceStatistics } from '../engine/index.js'
import { BUNDLE_DESCRIPTORS, type Code, type Space, type WorkerPool } from '../memory/index.js'
import { type Discipline, fifo, isShaped } from './discipline.js'
import { type Doorbell, openDoorbell } from './doorbell.js'
import { openIntake } from './intake.js'
import { type LimitBounds, openQueueMemory } from './queue-memory.js'
import type { SharedQueuePlace } from './shared-queue.js'
import { tellQueue } from './told-queue.js'

export interface QueueOptions {
  /** `fifo()` where it is not said. */
  readonly discipline?: Discipline
  /**
   * How many bytes the device may have unfinished, beyond one packet: `auto`
   * finds as few as keep it busy, and is `off` for a device that does not tell what
   * it has finished. `auto` where it is not said.
   */
  readonly byteLimit?: 'auto' | number | 'off'
  /** `burst` where it is not said. */
  readonly doorbell?: Doorbell
  /** What `ring full` takes the device's ring to hold; what it says itself, or 64, where it is not said. */
  readonly ringPackets?: number
  /** Through which other workers send here (`openProducer`). */
  readonly shared?: SharedQueuePlace
  /** Address of TOLD_QUEUE_BYTES, zeros at first, where it counts and says once a round what it holds, for other threads (`readQueue`). */
  readonly told?: number
  /** A clock that never goes back, in milliseconds; `performance.now` where it is not said. */
  readonly clock?: () => number
}

/** What a queue has done since it was opened, and what it holds. */
export interface QueueStatistics {
  /** Packets and bytes that wait. */
  readonly packets: number
  readonly bytes: number
  /** What the device may have unfinished; null without a limit. */
  readonly byteLimit: number | null
  readonly kicks: number
  readonly packetsPerKick: number
  /** Packets that found nobody before them, and went straight to the device. */
  readonly bypassed: number
  /** Times that packets were there and the byte limit held them back, and that the device took no more. */
  readonly heldBack: number
  readonly refused: number
  /** Packets that were marked instead of dropped. */
  readonly marked: number
}

/** What stands before a device: itself a device, which takes all that is sent, and lets it out in its order and time. */
export interface Queue extends Device {
  /** Lets rounds end without a kick, until `uncork`, which kicks. */
  cork(): void
  uncork(): void
  queued(): QueueStatistics
  /** What the operator should know of it, a sentence each. */
  readonly notes: readonly string[]
}

/** DQL_MAX_LIMIT of linux/dynamic_queue_limits.h. */
const MOST_LIMIT = 0x77ffffff
const SENT_AT_ONCE = 64
/** Bundles that are taken of other workers in a round. */
const TURNS_A_ROUND = 16
/** How often somebody who sleeps looks whether the device has finished something. */
const LOOK_MS = 1

/**
 * Puts a queue before a device: what is sent waits in the linear memory, and
 * goes out by the discipline, the byte limit and the doorbell, in each `flush`.
 * Receiving goes through. Drops `queue full` and `codel`. Closing it closes the
 * device, too. Throws LayoutError; then the device stays open.
 */
export function openQueue(
  space: Space,
  code: Code,
  pool: WorkerPool,
  device: Device,
  options: QueueOptions = {},
): Queue {
  const { discipline = fifo(), doorbell: trigger = 'burst', shared } = options
  const clock = options.clock ?? (() => performance.now())
  const { words } = space
  const title = `queue ${device.name}`
  const tells = device.pending !== undefined
  const limit = boundsOf(options.byteLimit ?? 'auto', tells)
  const memory = openQueueMemory(space, code, pool, title, discipline, limit, options.told)
  const { out } = memory
  const doorbell = openDoorbell(device, trigger, options.ringPackets ?? device.slots ?? SENT_AT_ONCE)
  const intake = shared === undefined ? null : openIntake(space, code, pool, title, shared)
  const most = trigger === 'packet' ? 1 : SENT_AT_ONCE
  const canBypass = !isShaped(discipline) && trigger !== 'packet'
  const counts = { bypassed: 0, heldBack: 0, refused: 0 }
  let isOpen = true
  /** What the device had unfinished when it or the limit let nothing through; -1 where nothing is stopped. */
  let stoppedAt = -1
  let stopWaiting = () => {}
  const nowUs = () => clock() * 1000
  const countOf = (bundle: number) => words[bundle >>> 2]!

  /** Hands a bundle to the device; gives how many it took. */
  function hand(bundle: number): number {
    if (limit.isOn) memory.offer(bundle)
    const sent = device.send(bundle)
    if (limit.isOn) memory.given(sent)
    if (sent > 0) doorbell.sent(sent)
    return sent
  }

  function learn(): void {
    if (limit.isOn) memory.done(device.pending!(), nowUs())
  }

  /** Packets that are let out at once: no more than the device has room for, because those cannot be overtaken any more. */
  function room(): number {
    return tells ? Math.min(most, device.slots! - device.pending!()) : most
  }

  /** Lets out what may go; where the device or the limit stops it, kicks the device once and looks again. */
  function run(): void {
    stoppedAt = -1
    let hasKicked = false
    while (memory.packets() > 0 || countOf(out) > 0) {
      const places = room()
      const count = places > 0 ? memory.run(places, nowUs()) : 0
      const sent = count > 0 ? hand(out) : 0
      if (sent > 0) hasKicked = false
      if (sent > 0 && sent === count) continue
      const isRefused = places <= 0 || count > sent
      if (!isRefused && memory.dueUs() > 0) return
      if (isRefused) counts.refused++
      else counts.heldBack++
      if (hasKicked) break
      hasKicked = doorbell.kick()
      learn()
      if (!hasKicked && sent === 0) break
    }
    if (memory.packets() > 0 || countOf(out) > 0) stoppedAt = device.pending?.() ?? 0
  }

  function takeShared(): void {
    if (intake === null) return
    for (let turn = 0; turn < TURNS_A_ROUND && intake.pull() > 0; turn++) {
      memory.take(intake.bundle, nowUs())
      run()
    }
  }

  /** What finds nobody before it, and no limit, goes straight on. */
  function bypass(bundle: number): void {
    if (!canBypass || memory.packets() > 0 || countOf(out) > 0) return
    learn()
    if (limit.isOn && memory.allowed(bundle) < countOf(bundle)) return
    counts.bypassed += hand(bundle)
  }

  function isDue(): boolean {
    if (!isOpen) return false
    if (intake?.isReady() === true) return true
    if (memory.packets() === 0 && countOf(out) === 0) return false
    if (stoppedAt >= 0) return tells && device.pending!() < stoppedAt
    const dueUs = memory.dueUs()
    return dueUs === 0 || dueUs <= nowUs()
  }

  const tell = options.told === undefined ? null : tellQueue(space, options.told)
  const telling = {
    packets: () => memory.packets() + countOf(out),
    bytes: memory.bytes,
    byteLimit: () => (limit.isOn ? memory.limitBytes() : -1),
    kicks: doorbell.kicks,
    kicked: doorbell.kickedPackets,
    bypassed: () => counts.bypassed,
    heldBack: () => counts.heldBack,
    refused: () => counts.refused,
    marked: memory.marked,
  }

  const last: { queued?: QueueStatistics; device?: DeviceStatistics } = {}
  const queued = (): QueueStatistics => ({
    packets: memory.packets() + countOf(out),
    bytes: memory.bytes(),
    byteLimit: limit.isOn ? memory.limitBytes() : null,
    kicks: doorbell.kicks(),
    packetsPerKick: doorbell.kicks() === 0 ? 0 : doorbell.kickedPackets() / doorbell.kicks(),
    ...counts,
    marked: memory.marked(),
  })
  const statistics = (): DeviceStatistics => {
    const { drops, ...rest } = device.statistics()
    return { ...rest, drops: { ...memory.drops(), ...drops } }
  }

  /** Until something is due that nobody will say: what the device finishes, and the time of the discipline. */
  function sleepMs(timeoutMs: number): number {
    if (memory.packets() === 0 && countOf(out) === 0) return timeoutMs
    const ms = stoppedAt >= 0 ? LOOK_MS : (memory.dueUs() - nowUs()) / 1000
    return Math.max(0, Math.min(timeoutMs, ms))
  }

  return {
    name: device.name,
    receive: (bundle, count) => (isOpen ? device.receive(bundle, count) : 0),
    send(bundle) {
      if (!isOpen) return 0
      const count = countOf(bundle)
      if (count === 0) return 0
      bypass(bundle)
      if (countOf(bundle) === 0) return count
      memory.take(bundle, nowUs())
      run()
      return count
    },
    flush() {
      if (!isOpen) return
      learn()
      takeShared()
      run()
      doorbell.roundEnds()
      tell?.(telling)
    },
    isReady: () => isOpen && device.isReady(),
    wait: (timeoutMs) => (isOpen ? device.wait(timeoutMs) : Promise.resolve()),
    isDue,
    waitDue(timeoutMs) {
      stopWaiting()
      if (!isOpen || isDue()) return Promise.resolve()
      const ms = sleepMs(timeoutMs)
      if (intake !== null) {
        stopWaiting = intake.wake
        return intake.wait(() => !isOpen || isDue(), ms)
      }
      return new Promise((resolve) => {
        const timer = setTimeout(() => stopWaiting(), ms)
        stopWaiting = () => {
          clearTimeout(timer)
          stopWaiting = () => {}
          resolve()
        }
      })
    },
    ...(tells ? { pending: () => device.pending!() } : {}),
    ...(device.isHeldUp === undefined ? {} : { isHeldUp: device.isHeldUp }),
    ...(device.state === undefined ? {} : { state: device.state }),
    cork: doorbell.cork,
    uncork: doorbell.uncork,
    notes:
      tells || options.byteLimit === 'off'
        ? []
        : [`${device.name} does not tell what it has finished, so there is no byte limit`],
    queued: () => last.queued ?? queued(),
    statistics: () => last.device ?? statistics(),
    close() {
      if (!isOpen) return
      Object.assign(last, { queued: queued(), device: statistics() })
      isOpen = false
      stopWaiting()
      pool.give(out + BUNDLE_DESCRIPTORS, countOf(out))
      memory.close()
      intake?.close()
      device.close()
    },
  }
}

function boundsOf(setting: 'auto' | number | 'off', tells: boolean): LimitBounds {
  const isOn = tells && setting !== 'off'
  return typeof setting === 'number' ? { isOn, least: setting, most: setting } : { isOn, least: 0, most: MOST_LIMIT }
}
