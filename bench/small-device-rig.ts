import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import {
  type Device,
  draw,
  type Engine,
  type Judge,
  type Line,
  receive,
  type Stage,
  send,
  startEngine,
} from '../src/engine/index.js'
import { type Flows, openFlows, remember, track } from '../src/flow/index.js'
import { type Code, createPool, createSpace, type Space, type WorkerPool } from '../src/memory/index.js'
import { forward, openRoutes, type Routes } from '../src/route/index.js'
import { count, discard, earlyDrop } from '../src/stages/index.js'
import { addWords, foldChecksum, IPV4, write16 } from '../src/wire/index.js'
import { type TrackedPacket, trackedFrame } from '../test/support/tracked-packet.js'
import { openHeldSource } from './held-source.js'

/**
 * The three steps of the small device, and the rig alone: what each packet
 * passes. `base`: connection tracking, routing, and a hook at prerouting,
 * forward and postrouting, each with a listener without effect: counters that
 * nobody reads, and at forward a rule that matches none of the packets.
 */
export const PROFILES = ['rig alone', 'base', 'route cache', 'hooks removed'] as const
export type Profile = (typeof PROFILES)[number]

/** A small device's: 64 flows from each of two sides are enough to go round. */
const FLOWS = 64
const FRAMES = 512
/** What many a home router filters; none of the packets here. */
const RULE = 'tcp dst port 25'
const NETWORK = 14
const PAYLOAD = new Uint8Array(18)
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)
const CLIENT_MAC = Uint8Array.of(2, 0, 0, 0, 0, 0x0c)
const NEXT_MAC = Uint8Array.of(2, 0, 0, 0, 0, 5)

export interface SmallDevice {
  readonly space: Space
  readonly engines: Readonly<Record<Profile, Engine>>
  readonly flows: Flows
}

/** `flows` to ports of their own; every second one over TCP, the others over UDP; each has been answered. */
function packetsOf(from: 'client' | 'server') {
  return Array.from({ length: FLOWS }, (_, index) => {
    const common = { from, port: 1024 + index, payload: PAYLOAD }
    if (index % 2 === 0) return { ...common, protocol: 'udp' as const }
    const [sequence, acknowledged] = from === 'client' ? [101, 501] : [501, 101]
    return { ...common, flags: '.', sequence, acknowledged }
  })
}

/** The packet, to or from a server of the flow's own: what goes out of a home goes to many. */
function frameOf(packet: TrackedPacket): Uint8Array {
  const frame = trackedFrame(packet, MAC)
  const { port = 0, from } = packet
  frame.set(
    [23, (port * 7) & 255, (port * 13) & 255, port & 255],
    NETWORK + (from === 'client' ? IPV4.destination : IPV4.source),
  )
  write16(frame, NETWORK + IPV4.checksum, 0)
  const sum = foldChecksum(addWords(0, frame, NETWORK, NETWORK + IPV4.headerBytes))
  write16(frame, NETWORK + IPV4.checksum, sum)
  return frame
}

/** The memory of a small device, with code over it: 512-byte frames, FIB roots of 2^16 entries, room for 1,024 flows. */
export function openSmallDevice(load: (space: Space) => Code, bundle = 64): SmallDevice {
  const space = createSpace(4 << 20)
  const code = load(space)
  const pool = createPool(space, code, { 512: FRAMES })
  const worker = pool.openWorker('bench')
  const tables = openTables(space, code)
  const flows = openFlows(space, code, 'small', { flows: 1024 })
  const source = openHeldSource(space, worker, packetsOf('client').map(frameOf))
  establish(space, code, worker, flows)
  const { judge } = placeMatcher(space, 'rule', compileFilter(RULE).optimized)
  const start = (profile: Profile) =>
    startProfile(profile, space, code, worker, { source, flows, tables, judge, bundle })
  const engines = Object.fromEntries(PROFILES.map((profile) => [profile, start(profile)])) as Record<Profile, Engine>
  return { space, engines, flows }
}

function openTables(space: Space, code: Code): Routes {
  const tables = openRoutes(space, code, 'small', {
    v4: { rootBits: 16, nodes: 64, routes: 256 },
    v6: { rootBits: 8, nodes: 8, routes: 16 },
    nextHops: 16,
    groups: 1,
    ports: 2,
  })
  for (const port of [0, 1]) tables.setPort(port, { mac: MAC, mtu: 1500, reversePath: 'strict' })
  const hop = tables.addNextHop({ kind: 'forward', port: 1, mac: NEXT_MAC })
  // As at home: a default route, one's own networks, and some to the provider's.
  const prefix = (address: readonly number[], length: number) => ({ address: Uint8Array.from(address), length })
  tables.insert(prefix([0, 0, 0, 0], 0), hop)
  tables.insert(prefix([198, 51, 100, 0], 24), hop)
  // What comes in is from there: the kernel, too, validates the source of each packet that it routes.
  tables.insert(prefix([192, 0, 2, 0], 24), tables.addNextHop({ kind: 'forward', port: 0, mac: CLIENT_MAC }))
  for (let index = 0; index < 16; index++) tables.insert(prefix([10, index, 0, 0], 16), hop)
  return tables
}

/** Sends what opens the flows, and what answers them, through a graph of its own. */
function establish(space: Space, code: Code, worker: WorkerPool, flows: Flows): void {
  const opening = { client: { flags: 'S', sequence: 100 }, server: { flags: 'S.', sequence: 500 } } as const
  for (const from of ['client', 'server'] as const) {
    const packets = packetsOf(from).map((packet) =>
      frameOf('flags' in packet ? { ...packet, ...opening[from], payload: new Uint8Array() } : packet),
    )
    const outputs = ['established', 'new', 'related', 'invalid', 'untracked']
    const graph = draw(
      [receive(onceSource(space, worker, packets)), track('track', flows)],
      ...outputs.map((output) => [`track.${output}`, discard(output)] as const),
    )
    const engine = startEngine(space, code, worker, graph, { name: 'establishing', bundle: 256 })
    engine.round()
    engine.close()
  }
}

interface RigParts {
  readonly source: Device
  readonly flows: Flows
  readonly tables: Routes
  readonly judge: Judge
  readonly bundle: number
}

function startProfile(profile: Profile, space: Space, code: Code, worker: WorkerPool, parts: RigParts): Engine {
  const { source, flows, tables, judge, bundle } = parts
  const end = send(source)
  const start = (...lines: readonly Line[]) =>
    startEngine(space, code, worker, draw(...lines), { name: profile, bundle })
  if (profile === 'rig alone') return start([receive(source), end])
  const hasHooks = profile !== 'hooks removed'
  const caches = profile !== 'base'
  const before = hasHooks ? [count('prerouting')] : []
  const tracked = track('track', flows, caches ? { routes: tables } : {})
  const routed = forward('route', tables, { inPort: 0 })
  const after = hasHooks ? [earlyDrop('forward', judge), count('postrouting')] : []
  const lost = (name: string) => [name, discard(name.replace('.', ' '))] as const
  const departs: Stage[] = [...(caches ? [remember('remember', flows, { inPort: 0, port: 1 })] : []), ...after, end]
  return start(
    [receive(source), ...before, tracked, routed],
    ['track.new', routed],
    ['route.port 1', ...departs],
    ...(caches ? [['track.cached 1', ...after, end] as const, lost('track.cached 0')] : []),
    ...['track.related', 'track.invalid', 'track.untracked'].map(lost),
    ...['route.port 0', 'route.local', 'route.unresolved', 'route.errors'].map(lost),
  )
}

/** A device that has these packets once. */
function onceSource(space: Space, worker: WorkerPool, packets: readonly Uint8Array[]): Device {
  let isDone = false
  const statistics = { receivedPackets: 0, receivedBytes: 0, sentPackets: 0, sentBytes: 0, copiedPackets: 0, drops: {} }
  return {
    name: 'once',
    receive(bundle) {
      if (isDone) return 0
      isDone = true
      const taken = worker.take(bundle, packets.length, 512)
      for (let index = 0; index < taken; index++) {
        const at = (bundle + 16 + index * 16) / 4
        space.bytes.set(packets[index]!, space.words[at]!)
        space.words[at + 1] = packets[index]!.length
        space.words[at + 2] = packets[index]!.length
      }
      return taken
    },
    send: () => 0,
    flush() {},
    isReady: () => !isDone,
    wait: () => Promise.resolve(),
    statistics: () => statistics,
    close() {},
  }
}
