import assert from 'node:assert/strict'
import { createLink } from '../../src/device/index.js'
import { draw, type Line, receive, type Stage, send, startEngine } from '../../src/engine/index.js'
import {
  arrived,
  type FragmentsOptions,
  type NatRule,
  openFlows,
  owner,
  remember,
  restore,
  track,
  translate,
} from '../../src/flow/index.js'
import { parseAddress } from '../../src/kernel/index.js'
import { BUNDLE_DESCRIPTORS, DESCRIPTOR_FLAGS } from '../../src/memory/index.js'
import { forward, openRoutes, type Port } from '../../src/route/index.js'
import { openBench } from './engine.js'
import { collect, once } from './stage-suite.js'

/** Ports of the router. */
export const INSIDE = 0
export const OUTSIDE = 1
export const MACS = [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2)] as const
export const HOST_MACS = [Uint8Array.of(2, 0, 0, 0, 1, 1), Uint8Array.of(2, 0, 0, 0, 1, 2)] as const
/** Another neighbour on each side, to whom routes may be changed. */
export const OTHER_MACS = [Uint8Array.of(2, 0, 0, 0, 2, 1), Uint8Array.of(2, 0, 0, 0, 2, 2)] as const
export const ADDRESSES = {
  4: { client: '10.0.0.', server: '198.51.100.', own: '203.0.113.1', next: '203.0.113.2', pool: '203.0.113.64' },
  6: { client: 'fd00::', server: '2001:db8:2::', own: '2001:db8:1::1', next: '2001:db8:1::2', pool: '2001:db8:1::64' },
} as const
export type Family = keyof typeof ADDRESSES
export const FAMILIES = [4, 6] as const

export const address = (family: Family, side: 'client' | 'server', number: number) =>
  parseAddress(`${ADDRESSES[family][side]}${number.toString(family === 4 ? 10 : 16)}`)
export const prefix = (text: string, length: number) => ({ address: parseAddress(text), length })
export const outsidePort = (v4: string, v6: string): Port => ({
  mac: MACS[OUTSIDE],
  mtu: 1500,
  v4: [parseAddress(v4)],
  v6: [parseAddress(v6)],
})

const PREFIXES = [
  [
    ['10.0.0.0', 8],
    ['fd00::', 16],
  ],
  [
    ['198.51.100.0', 24],
    ['2001:db8:2::', 48],
  ],
] as const

/**
 * A router between clients and servers that translates; what leaves it, by the
 * output that it left by. With several workers each has its flows, and what comes to one goes to whose it is.
 */
export function openTranslator(
  nat: readonly NatRule[],
  now = () => 0,
  capacity = 4096,
  workers = 1,
  fragments: FragmentsOptions = {},
) {
  const bench = openBench(undefined, undefined, workers * (capacity * 300 + (16 << 20)))
  const numbers = Array.from({ length: workers }, (_, number) => number)
  const { space, code, worker } = bench
  const tables = openRoutes(space, code, 'test', {
    v4: { rootBits: 16, nodes: 64, routes: 64 },
    v6: { rootBits: 8, nodes: 64, routes: 64 },
    ports: 2,
  })
  tables.setPort(INSIDE, { mac: MACS[INSIDE], mtu: 1500 })
  tables.setPort(OUTSIDE, outsidePort(ADDRESSES[4].own, ADDRESSES[6].own))
  const hops = [HOST_MACS, OTHER_MACS].map((macs) =>
    macs.map((mac, port) => tables.addNextHop({ kind: 'forward', port, mac })),
  )
  const lead = (port: number, way: 0 | 1) => {
    for (const [text, length] of PREFIXES[port]!)
      assert.equal(tables.insert(prefix(text, length), hops[way]![port]!), null)
  }
  for (const port of [INSIDE, OUTSIDE]) lead(port, 0)
  const known = numbers.map((number) =>
    openFlows(space, code, `test ${number}`, {
      flows: capacity,
      nat,
      now,
      fragments,
      owner: { number, count: workers },
    }),
  )
  const arrivals: Record<string, Uint8Array[]> = {}
  const ends = new Map<string, Stage>()
  const end = (name: string): Stage => {
    arrivals[name] ??= []
    ends.set(name, ends.get(name) ?? collect(bench, name, arrivals[name]))
    return ends.get(name)!
  }
  const bundles = numbers.map((number) => [bench.bundle(`inside ${number}`), bench.bundle(`outside ${number}`)])
  const handedTo = numbers.map((number) => arrived(`arrived ${number}`, 2))
  // What has been put together goes on from there, in the next round.
  const rings = numbers.map((number) => createLink(space, code, worker, `to ${number}`))
  const linesOf = (number: number, inPort: number): Line[] => {
    const flows = known[number]!
    const name = `${number} ${inPort}`
    const [whose, tracked] = [
      owner(`owner ${name}`, flows, { inPort }),
      track(`track ${name}`, flows, { routes: tables, inPort }),
    ]
    const routed = forward(`route ${name}`, tables, { inPort })
    const leave = (to: number) => [
      translate(`translate ${name} ${to}`, flows, { routes: tables, port: to }),
      remember(`remember ${name} ${to}`, flows, { inPort, port: to }),
    ]
    const others = numbers.filter((other) => other !== number)
    return [
      [receive({ ...once(bench, bundles[number]![inPort]!), name: `hand ${name}` }), whose, tracked, routed],
      ...others.flatMap((other): Line[] => [
        [`${whose.name}.worker ${other}`, handedTo[other]!],
        [`${tracked.name}.worker ${other}`, send(rings[other]![0])],
      ]),
      ...(workers > 1 ? [[`${handedTo[number]!.name}.port ${inPort}`, tracked] as const] : []),
      ...['new', 'related', 'untracked'].map((output): Line => [`${tracked.name}.${output}`, routed]),
      [`${tracked.name}.invalid`, end(`invalid ${inPort}`)],
      ...[INSIDE, OUTSIDE].flatMap((to): Line[] => [
        [`${tracked.name}.cached ${to}`, end(`cached ${inPort} ${to}`)],
        [`${routed.name}.port ${to}`, ...leave(to), end(`routed ${inPort} ${to}`)],
      ]),
      [`${routed.name}.errors`, restore(`restore ${name}`, flows), end(`errors ${inPort}`)],
      ...['local', 'unresolved'].map((output): Line => [`${routed.name}.${output}`, end(`${output} ${inPort}`)]),
    ]
  }
  const lines = numbers.flatMap((number): Line[] => [
    ...[INSIDE, OUTSIDE].flatMap((inPort) => linesOf(number, inPort)),
    ...(workers > 1 ? [[receive(rings[number]![1]), handedTo[number]!] as const] : []),
  ])
  const engine = startEngine(space, code, worker, draw(...lines))
  const arrivedFrames = () =>
    Object.entries(arrivals).flatMap(([by, frames]) => frames.splice(0).map((frame) => ({ by, frame })))
  return {
    space,
    flows: known[0]!,
    /** Flows of each worker. */
    active: () => known.map((flows) => flows.statistics().active),
    tables,
    /** Routes of a side go to its first neighbour, as at the beginning, or to the other one. */
    lead,
    drops: () =>
      Object.fromEntries(
        engine
          .statistics()
          .flatMap(({ name, drops }) =>
            Object.entries(drops).flatMap(([reason, count]) =>
              count > 0 && reason !== 'read' ? [[`${name.replace(/ .*/, '')}: ${reason}`, count]] : [],
            ),
          ),
      ),
    /** The frame that comes out where this one goes in, and where; null where none does. */
    pass(
      inPort: number,
      frame: Uint8Array,
      flags = 0,
      number = 0,
    ): { readonly by: string; readonly frame: Uint8Array } | null {
      const bundle = bundles[number]![inPort]!
      bench.fill(bundle, [frame])
      space.words[(bundle + BUNDLE_DESCRIPTORS + DESCRIPTOR_FLAGS) / 4] = flags
      engine.round()
      const out = arrivedFrames()
      assert(out.length < 2)
      return out[0] ?? null
    },
    /** What comes out where these go in, each at the worker of that number. */
    passAll(frames: readonly { readonly inPort: number; readonly frame: Uint8Array; readonly number?: number }[]) {
      return frames.flatMap(({ inPort, frame, number = 0 }) => {
        bench.fill(bundles[number]![inPort]!, [frame])
        for (let round = 0; round < Math.min(workers, 2); round++) engine.round()
        return arrivedFrames()
      })
    },
    /** A round without packets: the clock goes on. */
    rest: () => engine.round(),
    inUse: bench.inUse,
    close() {
      engine.close()
      for (const end of rings.flat()) end.close()
      for (const flows of known) flows.close()
      tables.close()
      assert.equal(bench.inUse(), 0)
      const { lastFrame: _, ...faults } = bench.pool.faults()
      assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
    },
  }
}

export type Translator = ReturnType<typeof openTranslator>
