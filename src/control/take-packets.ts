import { type NetworkDevice, openXdp, receiveQueues, type XdpDeviceOptions } from '../device/index.js'
import {
  createTurn,
  type Device,
  type DeviceStatistics,
  draw,
  type Engine,
  receive,
  send,
  startEngine,
} from '../engine/index.js'
import { parseFilter } from '../filter/index.js'
import { withNamespace } from '../kernel/index.js'
import { type LoadedPolicy, loadPolicy, type XdpMode } from '../loader/index.js'
import { createPool, createSpace, loadCode } from '../memory/index.js'
import { divert, policy } from '../policy/index.js'
import { handle, type PacketBundle, reflect } from '../stages/index.js'
import { createClosers } from './closers.js'
import { findDevice, LostDeviceError, programGone } from './device.js'
import { policySource } from './policy-source.js'
import type { ServedEngine } from './service/engine-service.js'

export interface TakeOptions extends Pick<XdpDeviceOptions, 'queues' | 'entries' | 'zeroCopy' | 'needWakeup'> {
  /** Looks for packets without sleeping: the first one of a pause is answered sooner, and a core is always busy. */
  readonly spin?: boolean
  /** Packets that are handed over at once, at most: 1 to 256; 64 where nothing is said. */
  readonly bundle?: number
}

/** Packets that are being taken from a device; `serveEngine` shows them to `sluice top`. */
export interface TakenPackets extends ServedEngine {
  readonly device: string
  /** `generic` where the driver has no native XDP: then the kernel has allocated a socket buffer for each packet. */
  readonly mode: XdpMode
  /** Whether the driver puts packets into our memory itself; where not, the kernel copies each once. */
  readonly isZeroCopy: boolean
  /** What the operator should know of this device, a sentence each. */
  readonly notes: readonly string[]
  /** Sums of all queues; `drops` by reason, with `unanswered` for those that the handler did not answer. */
  statistics(): DeviceStatistics
  /**
   * Resolves when it is closed. Rejects when the device has been removed, or the program taken off, with
   * a LostDeviceError, and with what the handler throws; all is given back then.
   */
  readonly done: Promise<void>
  /** The device goes on as without us, and all memory is given back. Can be called again, and from the handler. */
  close(): void
}

/** Of each ring, by default: at 2 million packets a second the handler may be 2 ms late. */
const ENTRIES = 4096
/** What runs in the kernel's hands, in ours, and on the way out. */
const FRAMES_AN_ENTRY = 2.5
const OTHER_BYTES = 4 << 20
const FRAME_BYTES = 2048
const RING_BYTES_AN_ENTRY = 64

/**
 * Takes the packets that match a filter (in tcpdump's language, for Ethernet)
 * off a network device before the kernel's network stack sees them, and hands
 * them to `handler`, a bundle a call. What it answers, in place, goes back to
 * the Ethernet address that it came from. All other packets go on to the
 * kernel. Nothing is left when the process ends, in whatever way. Throws
 * FilterError, DeviceError, LoadError and KernelError.
 *
 *     const taken = takePackets('eth0', 'udp dst port 7', (packets) => {
 *       for (let packet = 0; packet < packets.count; packet++) {
 *         swapAddresses(packets.bytes, packets.start(packet))
 *         packets.answer(packet)
 *       }
 *     })
 */
export function takePackets(
  device: string | NetworkDevice,
  filter: string,
  handler: (packets: PacketBundle) => void,
  options: TakeOptions = {},
): TakenPackets {
  parseFilter(filter)
  const from = typeof device === 'string' ? findDevice(device) : device
  const opened = open(from, filter, handler, options)
  const { link, xdp, engine } = opened
  let isOpen = true
  let isInRound = false
  let last: DeviceStatistics | null = null
  const release = () => {
    last ??= sum(xdp.queues, engine)
    opened.close()
  }
  const close = () => {
    if (!isOpen) return
    isOpen = false
    if (!isInRound) release()
  }
  const round = () => {
    isInRound = true
    try {
      return engine.round()
    } finally {
      isInRound = false
      if (!isOpen) release()
    }
  }
  const lost = () => [...engine.lost(), ...(link.isAttached() ? [] : [programGone(from.name)])]
  return {
    name: 'packets',
    device: from.name,
    programId: opened.programId,
    space: opened.space,
    engine,
    mode: link.mode,
    isZeroCopy: xdp.isZeroCopy,
    notes: xdp.notes,
    statistics: () => last ?? sum(xdp.queues, engine),
    done: runEngine({ engine, round, spin: options.spin ?? false, isOpen: () => isOpen, lost }).finally(close),
    close,
  }
}

/** Opens everything, in an order in which no packet is diverted before somebody takes it. */
function open(device: NetworkDevice, filter: string, handler: (packets: PacketBundle) => void, options: TakeOptions) {
  const { bundle = 64, entries = ENTRIES, spin: _, ...given } = options
  const { later, close } = createClosers()
  const inNamespace = <T>(run: () => T) => (device.namespace ? withNamespace(device.namespace, run) : run())
  try {
    const none = { sets: new Map(), interfaceIndex: () => 0 }
    const loaded: LoadedPolicy = later(loadPolicy(policySource(policy(divert(filter)), none)))
    const queues = given.queues ?? receiveQueues(device)
    const frames = Math.ceil((queues.length * entries * FRAMES_AN_ENTRY) / 256) * 256
    const space = createSpace(frames * FRAME_BYTES + queues.length * entries * RING_BYTES_AN_ENTRY + OTHER_BYTES)
    const code = loadCode(space)
    const pool = later(createPool(space, code, { 2048: frames }).openWorker('taker'))
    const xdp = later(openXdp(space, code, pool, device, { ...given, queues, entries, divert: loaded.divertTo }))
    const lines = xdp.queues.map((queue) => {
      const name = `queue ${queue.queue}`
      return [receive(queue), handle(`handler of ${name}`, handler), reflect(`reflect ${name}`), send(queue)] as const
    })
    const engine = later(startEngine(space, code, pool, draw(...lines), { bundle, name: 'taker' }))
    const link = later(inNamespace(() => loaded.attach(device)))
    return { link, xdp, engine, programId: loaded.program.info.id, space, close }
  } catch (error) {
    close()
    throw error
  }
}

interface Run {
  readonly engine: Engine
  readonly spin: boolean
  round(): number
  isOpen(): boolean
  /** A sentence for each device that is not there any more, or has lost its program. */
  lost(): readonly string[]
}

const WAIT_MS = 1000
/** How often the kernel is asked whether the device is still there. */
const LOOK_MS = 250

/** Lets an engine go round until `isOpen` says no; rejects with a LostDeviceError where `lost` names a loss. */
export async function runEngine({ engine, spin, round, isOpen, lost }: Run): Promise<void> {
  let looked = performance.now()
  const turn = createTurn(engine, { round, spinUs: spin ? Number.POSITIVE_INFINITY : 0, isAsked: () => !isOpen() })
  // What is wrong at the first packet is to be told by `done`, not thrown at whoever begins.
  await nextTurn()
  while (isOpen()) {
    const goesOn = turn()
    if (!isOpen()) return
    if (goesOn) await nextTurn()
    else await engine.wait(WAIT_MS)
    const now = performance.now()
    if (now - looked < LOOK_MS || !isOpen()) continue
    looked = now
    const [loss] = lost()
    if (loss !== undefined) throw new LostDeviceError(loss)
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function sum(devices: readonly Device[], engine: Engine): DeviceStatistics {
  const all = devices.map((device) => device.statistics())
  const total = (of: (statistics: DeviceStatistics) => number) => all.reduce((sum, each) => sum + of(each), 0)
  const drops: Record<string, number> = {}
  for (const each of [...all, ...engine.statistics()])
    for (const [reason, count] of Object.entries(each.drops)) drops[reason] = (drops[reason] ?? 0) + count
  return {
    receivedPackets: total((each) => each.receivedPackets),
    receivedBytes: total((each) => each.receivedBytes),
    sentPackets: total((each) => each.sentPackets),
    sentBytes: total((each) => each.sentBytes),
    copiedPackets: total((each) => each.copiedPackets),
    drops,
  }
}
