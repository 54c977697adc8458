import { createLink } from '../src/device/index.js'
import { draw, type Engine, receive, send, startEngine } from '../src/engine/index.js'
import { useHugePages } from '../src/kernel/index.js'
import { createPool, createSpace, loadCode, type Region, type Space } from '../src/memory/index.js'
import { forward, openRoutes, type RouteList, routesBytes } from '../src/route/index.js'
import { discard } from '../src/stages/index.js'
import { addWords, foldChecksum, write16 } from '../src/wire/index.js'
import { bytesOf } from '../test/support/plain-routes.js'
import type { Random } from '../test/support/random.js'
import { fillRing, PACKET_BYTES } from './full-ring.js'

/** Neighbours behind the port that everything leaves by. */
export const NEIGHBOURS = 256
const SIZES = { v4: { rootBits: 24 }, v6: { rootBits: 8, nodes: 0, routes: 8 }, ports: 2 } as const
/** Time to live of fresh packets; they are written anew before it has run out. */
const FRESH_LIVES = 255
const MOST_TURNS = 250
const LIVE_AT = 22
const OWN = Uint8Array.of(2, 0, 0, 0, 0, 0x0b)

/** A router whose incoming ring is full, which can be filled again without anything being built anew. */
export interface RoutePath {
  readonly space: Space
  readonly engine: Engine
  readonly packets: number
  /** Puts the rings back to where all packets wait in the first, and now and then the packets' times to live. */
  refill(): void
  /** What `refill` puts back. */
  readonly restored: readonly Region[]
  /** Packets that have left, and a sum of what was written into them, since the last `refill`. */
  digest(): string
  /** Addresses that the peer in C is told. */
  readonly addresses: { readonly from: number; readonly to: number; readonly tables: number; readonly port: number }
}

/**
 * 64-byte packets in a ring, as a driver leaves them, to random addresses of a
 * table of half a million routes: the path takes them out, checks their header,
 * looks their destination up, takes one off the time to live, writes the next
 * hop's Ethernet addresses, and puts them into another ring. All hops have the
 * router's own Ethernet address, so that the packets can come again.
 */
export function openRoutePath(random: Random, routes: RouteList, packets: number, touch: boolean): RoutePath {
  const space = createSpace(packets * 2048 + routesBytes(SIZES) + (8 << 20))
  useHugePages(space.memory)
  const code = loadCode(space)
  const pool = createPool(space, code, { 2048: packets })
  const worker = pool.openWorker('route')
  const [near, far] = createLink(space, code, worker, 'in', { slots: packets })
  const [out] = createLink(space, code, worker, 'out', { slots: packets })
  const tables = openRoutes(space, code, 'main', SIZES)
  tables.setPort(0, { mac: OWN, mtu: 1500 })
  tables.setPort(1, { mac: Uint8Array.of(2, 0, 0, 0, 0, 0x0c), mtu: 1500 })
  for (let neighbour = 0; neighbour < NEIGHBOURS; neighbour++) {
    tables.addNextHop({ kind: 'forward', port: 1, mac: OWN })
  }
  if (tables.replace({ v4: routes }) > 0) throw new Error('the table has no room for all routes')
  const graph = draw(
    [receive(far), forward('route', tables, { inPort: 0 }), discard('back')],
    ['route.port 1', send(out)],
    ['route.local', discard('local')],
    ['route.unresolved', discard('unresolved')],
    ['route.errors', discard('errors')],
  )
  const engine = startEngine(space, code, worker, graph, { touch })

  const frames = fillRing({ space, worker, random }, near, packets, (frame) => {
    writePacket(space, frame, someDestination())
  })
  const { regions } = space.layout()
  const restored = ['link in to b', 'link out to b'].map((name) => regions.find((region) => region.name === name)!)
  const saved = restored.map(({ offset, bytes }) => space.bytes.slice(offset, offset + bytes))
  const lives = frames.map((frame) => space.words[(frame + LIVE_AT) / 4]!)
  let turns = 0
  return {
    space,
    engine,
    packets,
    restored,
    refill() {
      for (let index = 0; index < saved.length; index++) space.bytes.set(saved[index]!, restored[index]!.offset)
      if (turns++ % MOST_TURNS !== 0) return
      frames.forEach((frame, index) => {
        space.words[(frame + LIVE_AT) / 4] = lives[index]!
      })
    },
    digest() {
      const sum = frames.reduce((all, frame) => (all + space.words[(frame + LIVE_AT) / 4]!) >>> 0, 0)
      return `${engine.statistics().find(({ name }) => name === `send ${out.name}`)!.packets} ${sum}`
    },
    addresses: {
      from: restored[0]!.offset,
      to: restored[1]!.offset,
      tables: tables.address,
      port: regions.find(({ name }) => name === 'routes main ports')!.offset,
    },
  }

  /** Within one of the routes, chosen by chance: so many packets go by short prefixes and by long ones. */
  function someDestination(): number {
    for (;;) {
      const route = random.below(routes.lengths.length)
      const length = routes.lengths[route]!
      const address = (routes.words[route]! | (random.word() & (length === 0 ? -1 : ~(-1 << (32 - length))))) >>> 0
      if (tables.lookup(bytesOf([address])).nextHop !== 0) return address
    }
  }
}

function writePacket({ bytes }: Space, at: number, destination: number): void {
  const packet = bytes.subarray(at, at + PACKET_BYTES)
  packet.fill(0)
  packet.set(OWN)
  packet.set([8, 0, 0x45, 0, 0, PACKET_BYTES - 14, 0, 0, 0x40, 0, FRESH_LIVES, 17], 12)
  packet.set([198, 51, 100, 1], 26)
  packet.set(bytesOf([destination]), 30)
  write16(packet, 24, foldChecksum(addWords(0, packet, 14, 34)))
}
