import { openPacketDevice, openTapDevice, openXdp, receiveQueues } from '../device/index.js'
import { type Device, type DeviceStatistics, draw, type Engine, receive, send, startEngine } from '../engine/index.js'
import { openPacketSocket, setLink, withNamespace } from '../kernel/index.js'
import { GENERIC_WARNING, loadPolicy, type XdpMode } from '../loader/index.js'
import { createPool, createSpace, loadCode, type Space } from '../memory/index.js'
import { divert, policy } from '../policy/index.js'
import { segment } from '../stages/index.js'
import { createClosers } from './closers.js'
import { programGone } from './device.js'
import { policySource } from './policy-source.js'
import { runEngine } from './take-packets.js'
import { checkEthernet, checkTakeable } from './takeable.js'
import { type DeviceName, parseDeviceName } from './traffic-device.js'
import { findEnd, type TrafficBench, type TrafficEnd } from './traffic-end.js'
import { TrafficError } from './traffic-error.js'

/** A wire between two devices: what comes in at one goes out at the other, as it came. */
export interface Bridge {
  readonly name: string
  readonly devices: readonly string[]
  /** How packets are taken, of each end where they differ. */
  readonly mode: string
  readonly space: Space
  readonly engine: Engine
  /** What the operator should know of the devices, a sentence each. */
  readonly notes: readonly string[]
  /** Of each end, in the order they were named. */
  statistics(): readonly (DeviceStatistics & Pick<WireEnd, 'name' | 'mode'>)[]
  /** Resolves when it is closed, rejects with a LostDeviceError where a device, or its program, is gone. */
  readonly done: Promise<void>
  close(): void
}

/** One end of the wire. */
interface WireEnd {
  readonly name: string
  /** How its packets are taken. */
  readonly mode: XdpMode | 'TAP' | 'packet socket'
  readonly queues: readonly Device[]
  /** Whether packets come merged, or with checksums left out, as the kernel hands them on inside the machine. */
  readonly givesUnfinished: boolean
  /** Whether the device takes such packets as they are. */
  readonly takesUnfinished: boolean
  readonly notes: readonly string[]
  /** Whether its packets still come here, and not to the kernel. */
  isAttached(): boolean
  close(): void
}

/** AF_XDP rings, of each queue. */
const ENTRIES = 2048
const FRAMES_AN_ENTRY = 2.5
/** Of the largest merged packet, for packet sockets: more than their reader holds at a time. */
const LARGE_FRAMES = 512
const BLOCKS = 64
const OTHER_BYTES = 48 << 20
const RING_BYTES_AN_ENTRY = 64

/**
 * Joins two devices, each named as `[WAY:][NAMESPACE/]DEVICE` with `xdp` where
 * no way is said, `tap` or `packet`. Throws TrafficError, DeviceError, LoadError
 * and KernelError; nothing is left then.
 */
export function startBridge(one: string, other: string): Bridge {
  const { later, close } = createClosers()
  try {
    const found = [one, other].map((text) => later(findEnd(endName(text))))
    checkEnds(found)
    const queues = found.reduce((sum, end) => sum + (end.name.way === 'xdp' ? queuesOf(end).length : 1), 0)
    const frames = Math.ceil((queues * ENTRIES * FRAMES_AN_ENTRY) / 256) * 256
    const large = found.some((end) => end.name.way === 'packet') ? LARGE_FRAMES : 0
    const space = createSpace(frames * 2048 + large * 65_536 + queues * ENTRIES * RING_BYTES_AN_ENTRY + OTHER_BYTES)
    const code = loadCode(space)
    const sizes = large === 0 ? { 2048: frames } : { 2048: frames, 65536: large }
    const pool = later(createPool(space, code, sizes).openWorker('bridge'))
    const bench = { space, code, pool }
    const ends = found.map((end) => later(openWireEnd(bench, end)))
    const engine = later(startEngine(space, code, pool, drawWire(ends[0]!, ends[1]!), { name: 'bridge' }))
    let isOpen = true
    let last: ReturnType<Bridge['statistics']> | null = null
    const statistics = () => last ?? ends.map(({ name, mode, queues: each }) => ({ name, mode, ...sum(each) }))
    const end = () => {
      if (!isOpen) return
      isOpen = false
      last = statistics()
      close()
    }
    const lost = () => [
      ...engine.lost(),
      ...ends.filter((each) => !each.isAttached()).map(({ name }) => programGone(name)),
    ]
    const running = { engine, spin: false, round: engine.round, isOpen: () => isOpen, lost }
    return {
      name: 'bridge',
      devices: ends.map(({ name }) => name),
      mode: [...new Set(ends.map(({ mode }) => mode))].join(', '),
      space,
      engine,
      notes: ends.flatMap(({ notes }) => notes),
      statistics,
      done: runEngine(running).finally(end),
      close: end,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** An end as it is written. Throws TrafficError where it can be none. */
export function endName(text: string): DeviceName {
  const name = parseDeviceName(text)
  if (name.way === 'packet' && !text.startsWith('packet:')) return { ...name, way: 'xdp' }
  if (name.way === 'xdp' || name.way === 'tap' || name.way === 'packet') return name
  throw new TrafficError(`"${text}" cannot be an end of a wire; name a device, as eth0, tap:tap0 or packet:eth0`)
}

/** Throws where these two cannot be joined: TrafficError, DeviceError and LoadError. */
export function checkEnds(ends: readonly TrafficEnd[]): void {
  const [one, other] = ends.map(({ name }) => name)
  if (one!.name === other!.name && one!.namespacePath === other!.namespacePath)
    throw new TrafficError(`${one!.name} would be joined with itself; name two devices`)
  for (const { name, link } of ends) {
    if (link === null) continue
    if (name.way === 'xdp') checkTakeable(link)
    else checkEthernet(link)
  }
}

/** The same both ways. What one end gives unfinished is finished before an end that could not do it. */
function drawWire(one: WireEnd, other: WireEnd) {
  const lines = [
    [one, other],
    [other, one],
  ].flatMap(([from, to]) => {
    const finish = from!.givesUnfinished && !to!.takesUnfinished ? [segment(`finish ${from!.name}`)] : []
    return from!.queues.map((queue, index) => {
      return [receive(queue), ...finish, send(to!.queues[index % to!.queues.length]!)] as const
    })
  })
  return draw(...lines)
}

function openWireEnd(bench: TrafficBench, end: TrafficEnd): WireEnd {
  const { space, code, pool } = bench
  const { name, way } = end.name
  const place = end.place?.namespace === undefined ? {} : { namespace: end.place.namespace }
  if (way === 'xdp') return openQueues(bench, end)
  if (way === 'tap') {
    const device = openTapDevice(space, code, pool, { name, ...place })
    setLink(end.place!.route, device.interfaceIndex, { up: true })
    const { close } = device
    return {
      ...{ name, mode: 'TAP', queues: [device], notes: [] },
      ...{ givesUnfinished: false, takesUnfinished: true, isAttached: () => true, close },
    }
  }
  const device = openPacketDevice(space, code, pool, {
    name,
    ...place,
    interfaceIndex: end.link!.index,
    isPromiscuous: true,
    blocks: BLOCKS,
    retireMs: 1,
    frameBytes: 65536,
  })
  const note = `the kernel sees what comes in at ${name} as well; give it no address there`
  return {
    ...{ name, mode: 'packet socket', queues: [device], notes: [note] },
    ...{ givesUnfinished: true, takesUnfinished: true, isAttached: () => true, close: device.close },
  }
}

function openQueues({ space, code, pool }: TrafficBench, end: TrafficEnd): WireEnd {
  const { namespace } = end.place!
  const device = { name: end.link!.name, index: end.link!.index, ...(namespace && { namespace }) }
  const { later, close } = createClosers()
  try {
    const loaded = later(loadPolicy(policySource(policy(divert('')), { sets: new Map(), interfaceIndex: () => 0 })))
    const options = { queues: queuesOf(end), entries: ENTRIES, divert: loaded.divertTo }
    const xdp = later(openXdp(space, code, pool, device, options))
    // A card leaves out what is for others, unless somebody asks for it.
    later(
      openPacketSocket({
        memory: space.memory,
        interfaceIndex: device.index,
        isPromiscuous: true,
        ...(namespace && { namespace }),
      }),
    )
    const attach = () => later(loaded.attach(device))
    const { mode, isAttached } = namespace === undefined ? attach() : withNamespace(namespace, attach)
    const notes = [...(mode === 'generic' ? [`${device.name} ${GENERIC_WARNING}`] : []), ...xdp.notes]
    return {
      ...{ name: device.name, mode, queues: xdp.queues, notes },
      ...{ givesUnfinished: false, takesUnfinished: false, isAttached, close },
    }
  } catch (error) {
    close()
    throw error
  }
}

function queuesOf({ link, place }: TrafficEnd): number[] {
  return receiveQueues({
    name: link!.name,
    index: link!.index,
    ...(place!.namespace && { namespace: place!.namespace }),
  })
}

function sum(devices: readonly Device[]): DeviceStatistics {
  const all = devices.map((device) => device.statistics())
  const drops: Record<string, number> = {}
  for (const each of all) for (const [why, count] of Object.entries(each.drops)) drops[why] = (drops[why] ?? 0) + count
  const total = (key: Exclude<keyof DeviceStatistics, 'drops'>) => all.reduce((so, each) => so + each[key], 0)
  return {
    receivedPackets: total('receivedPackets'),
    receivedBytes: total('receivedBytes'),
    sentPackets: total('sentPackets'),
    sentBytes: total('sentBytes'),
    copiedPackets: total('copiedPackets'),
    drops,
  }
}
