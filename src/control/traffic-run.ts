import { type Device, type DeviceStatistics, draw, receive, startEngine } from '../engine/index.js'
import {
  frameClassFor,
  type Generated,
  type Generator,
  type Measured,
  measure,
  openGenerator,
  type TrafficPlan,
  templateTableBytes,
} from '../generate/index.js'
import { createClock } from '../kernel/index.js'
import { BUNDLE_BYTES, BUNDLE_DESCRIPTORS, createPool, createSpace, loadCode, type PoolSize } from '../memory/index.js'
import { discard } from '../stages/index.js'
import { createClosers } from './closers.js'
import { LostDeviceError } from './device.js'
import { type OpenEnd, openEnd, openLinkEnds, type TrafficBench, type TrafficEnd } from './traffic-end.js'

/** What has gone out so far. */
export interface TrafficSent {
  readonly packets: number
  readonly bytes: number
  /** Packets whose time went by while nothing could be sent. */
  readonly leftOut: number
  /** Packets with a stamp, which are those that are measured at the other end; the others by reason. */
  readonly stamped: number
  readonly unstamped: Readonly<Record<string, number>>
  /** What the device did not send after all, by reason. */
  readonly drops: Readonly<Record<string, number>>
}

/** What came, and what the device where it is measured lost itself, by reason. */
export interface TrafficMeasured extends Measured {
  readonly drops: Readonly<Record<string, number>>
}

export interface TrafficReport {
  readonly sent: TrafficSent | null
  readonly measured: TrafficMeasured | null
  readonly elapsedMs: number
}

export interface TrafficRun {
  readonly notes: readonly string[]
  read(): TrafficReport
  /** Sends and measures until everything is sent and has had time to arrive, or `stop`; rejects where a device goes. */
  done: Promise<void>
  stop(): void
  /** Everything is given back; `read` gives the last figures. */
  close(): void
}

/** What a run is made of: something to send and where, something to measure at, or both. */
export interface TrafficRequest {
  readonly send: { readonly plan: TrafficPlan; readonly end: TrafficEnd } | null
  readonly measureAt: TrafficEnd | null
}

/** Enough for a device's rings and a link in both directions. */
const FRAMES: PoolSize = { 2048: 16_384 }
const LONG_FRAMES = { 2048: {}, 4096: { 4096: 2048 }, 65536: { 65536: 512 } } as const
const OTHER_BYTES = 48 << 20
/** Packets on their way may come as late as this after the last has been sent. */
const LINGER_MS = 500

/** Opens the devices and begins. Throws what opening a device throws, and leaves nothing open then. */
export function startTraffic({ send, measureAt }: TrafficRequest): TrafficRun {
  const { later, close: closeAll } = createClosers()
  try {
    const bench = openTrafficBench(send?.plan ?? null)
    const ends = openEnds(bench, send?.end ?? null, measureAt)
    for (const end of [ends.near, ends.far]) if (end !== null) later(end)
    const clock = createClock()
    const sender = send === null ? null : later(openSender(bench, send.plan, ends.near!.device))
    const receiver = ends.far === null ? null : later(openReceiver(bench, ends.far.device, clock))
    return run(sender, receiver, clock, [...(ends.near?.notes ?? []), ...(ends.far?.notes ?? [])], closeAll)
  } catch (error) {
    closeAll()
    throw error
  }
}

/** Memory and frames for a plan, and for what is measured. */
export function openTrafficBench(plan: TrafficPlan | null): TrafficBench {
  const size = plan === null ? FRAMES : { ...FRAMES, ...LONG_FRAMES[frameClassFor(plan.templates)] }
  const frameBytes = Object.entries(size).reduce((sum, [bytes, count]) => sum + Number(bytes) * count, 0)
  const templateBytes = plan === null ? 0 : templateTableBytes(plan.templates)
  const space = createSpace(frameBytes + templateBytes + OTHER_BYTES)
  const code = loadCode(space)
  return { space, code, pool: createPool(space, code, size).openWorker('traffic') }
}

function openEnds(bench: TrafficBench, near: TrafficEnd | null, far: TrafficEnd | null) {
  if (near?.name.way === 'link') {
    const [one, other] = openLinkEnds(bench, near.name.name)
    return { near: one, far: other }
  }
  const opened: { near: OpenEnd | null; far: OpenEnd | null } = { near: null, far: null }
  // Whoever measures is there before the first packet.
  if (far !== null) opened.far = openEnd(bench, far, 'receive')
  try {
    if (near !== null) opened.near = openEnd(bench, near, 'send')
  } catch (error) {
    opened.far?.close()
    throw error
  }
  return opened
}

/** Of the reasons that devices tell, those about what came: at an end that only sends it concerns nobody. */
const RECEIVING_DROPS = new Set([
  'kernel ring full',
  'receive ring full',
  'no frame to receive into',
  'too long for a frame',
  'bad address received into',
])

function dropsOf(drops: DeviceStatistics['drops'], isSending: boolean): Record<string, number> {
  const isShown = ([reason, count]: [string, number]) => count > 0 && !(isSending && RECEIVING_DROPS.has(reason))
  return Object.fromEntries(Object.entries(drops).filter(isShown))
}

interface Sender {
  readonly device: Device
  readonly generator: Generator
  /** Makes what is due and hands it to the device; gives how many packets there were. */
  round(nowNs: number): number
  isDone(): boolean
  read(): TrafficSent
  close(): void
}

function openSender({ space, code, pool }: TrafficBench, plan: TrafficPlan, device: Device): Sender {
  const region = space.reserve({ name: 'generator bundle', kind: 'bundle', bytes: BUNDLE_BYTES })
  const bundle = region.offset
  const generator = openGenerator(space, code, pool, 'traffic', plan)
  const waiting = () => space.words[bundle / 4]!
  const countStamped = code.find('countStamped') as (bundle: number) => number
  const read = (): TrafficSent => {
    const { leftOut, stamped, unstamped }: Generated = generator.statistics()
    const { sentPackets, sentBytes, drops } = device.statistics()
    return {
      packets: sentPackets,
      bytes: sentBytes,
      leftOut,
      // What still waits has not been sent, and of what the device dropped nobody knows whether it had a stamp.
      stamped: Math.min(sentPackets, stamped - (waiting() === 0 ? 0 : countStamped(bundle))),
      unstamped,
      drops: dropsOf(drops, true),
    }
  }
  return {
    device,
    generator,
    round(nowNs) {
      generator.make(bundle, nowNs)
      const count = device.send(bundle)
      // Called also where nothing is new: it takes back frames that have been sent.
      device.flush()
      return count
    },
    isDone: () => waiting() === 0 && generator.dueNs() === Number.POSITIVE_INFINITY,
    read,
    close() {
      pool.give(bundle + BUNDLE_DESCRIPTORS, waiting())
      space.free(region.name)
      generator.close()
    },
  }
}

function openReceiver({ space, code, pool }: TrafficBench, device: Device, clock: () => number) {
  const stage = measure('measured', clock)
  const graph = draw([receive(device), stage, discard('measured packets')])
  const engine = startEngine(space, code, pool, graph, { name: 'receiver', bundle: 256 })
  const read = (): TrafficMeasured => ({ ...stage.read(), drops: dropsOf(device.statistics().drops, false) })
  return { device, engine, read, round: engine.round, wait: engine.wait, close: engine.close }
}

/** A turn of the event loop is given that often, so that Ctrl-C and counters are heard. */
const TURN_MS = 2
/** A timer may be late by a millisecond: what is due sooner is waited for by turns of the event loop. */
const TIMER_MS = 1.5
const LONGEST_SLEEP_MS = 50
/** How often the kernel is asked whether the devices are still there. */
const LOOK_MS = 250

function run(
  sender: Sender | null,
  receiver: ReturnType<typeof openReceiver> | null,
  clock: () => number,
  notes: readonly string[],
  closeAll: () => void,
): TrafficRun {
  let begin = clock()
  const sinceBegin = () => clock() - begin
  let isStopped = false
  let last: TrafficReport | null = null
  let roundNs = 0
  let endedNs: number | null = null
  const read = (): TrafficReport => ({
    sent: sender?.read() ?? null,
    measured: receiver?.read() ?? null,
    elapsedMs: (endedNs ?? sinceBegin()) / 1e6,
  })
  const isAllThere = () => {
    if (sender === null || receiver === null) return false
    const [{ packets, stamped }, { received, others }] = [sender.read(), receiver.read()]
    return received >= stamped && received + others >= packets
  }

  /** Sends and receives for a turn; gives how many packets there were at its end. */
  const turn = (): number => {
    const until = sinceBegin() + TURN_MS * 1e6
    for (;;) {
      const now = sinceBegin()
      roundNs = now
      const sent = isStopped ? 0 : (sender?.round(now) ?? 0)
      const received = receiver?.round() ?? 0
      if (sent + received === 0 || now >= until) return sent + received
    }
  }
  const work = async () => {
    let looked = 0
    // Not before the first turn: what is done until then would be time that was missed.
    begin = clock()
    sender?.generator.begin(begin)
    while (!isStopped && sender?.isDone() !== true) {
      const count = turn()
      const now = sinceBegin()
      if (now - looked >= LOOK_MS * 1e6) {
        looked = now
        for (const device of [sender?.device, receiver?.device]) checkDevice(device)
      }
      await (count > 0 ? nextTurn() : rest((sender?.generator.dueNs() ?? Number.POSITIVE_INFINITY) - now, receiver))
    }
    // What was due later was not looked at any more.
    endedNs = roundNs
    if (sender !== null) await settle(sender, receiver, isAllThere)
  }
  return {
    notes,
    read: () => last ?? read(),
    done: nextTurn().then(work),
    stop() {
      isStopped = true
    },
    close() {
      last ??= read()
      closeAll()
    },
  }
}

/** After the last packet: rings are emptied, and what is under way may still arrive. */
async function settle(
  sender: Sender,
  receiver: ReturnType<typeof openReceiver> | null,
  isAllThere: () => boolean,
): Promise<void> {
  sender.device.flush()
  if (receiver === null) return
  for (let until = performance.now() + LINGER_MS; performance.now() < until && !isAllThere(); ) {
    sender.device.flush()
    if (receiver.round() > 0) until = performance.now() + LINGER_MS
    else await receiver.wait(TIMER_MS)
  }
}

function checkDevice(device: Device | undefined): void {
  if (device?.state?.() === 'gone')
    throw new LostDeviceError(
      `${device.name}: the device has been removed, and nothing is sent or received there any more`,
    )
}

/** Until the next packet is due, or something arrives. */
async function rest(untilDueNs: number, receiver: ReturnType<typeof openReceiver> | null): Promise<void> {
  const sleepMs = Math.min(LONGEST_SLEEP_MS, untilDueNs / 1e6 - TIMER_MS)
  if (sleepMs < 1) return nextTurn()
  if (receiver !== null) return receiver.wait(sleepMs)
  return new Promise((resolve) => setTimeout(resolve, sleepMs))
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
