import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { createLink } from '../src/device/index.js'
import { draw, type Engine, receive, startEngine } from '../src/engine/index.js'
import { createPool, createSpace, loadCode, type Region, type Space } from '../src/memory/index.js'
import { discard, earlyDrop } from '../src/stages/index.js'
import type { Random } from '../test/support/random.js'
import { fillRing, PACKET_BYTES } from './full-ring.js'

const LISTED = 10_000
const ETHERTYPE_AT = 12
const SOURCE_AT = 26

/** A receive path whose ring is full, which can be filled again without anything of it being built anew. */
export interface ReceivePath {
  readonly space: Space
  readonly engine: Engine
  readonly packets: number
  /** How many of them the blocklist has. */
  readonly listed: number
  /** Puts ring and free lists back to where all packets wait in the ring. */
  refill(): void
  /** What `refill` puts back. */
  readonly restored: readonly Region[]
  /** Addresses that the peer in C is told. */
  readonly addresses: { readonly ring: number; readonly pool: number; readonly table: number }
}

/**
 * 64-byte packets in a ring, as a driver leaves them: half of them from sources
 * of a blocklist of 10,000 addresses, in no order. The path takes them out,
 * finds their protocol, looks the source up, drops what is listed, and gives
 * every frame back to the pool.
 */
export function openReceivePath(random: Random, packets: number, touch: boolean): ReceivePath {
  const space = createSpace(packets * 2048 + (8 << 20))
  const code = loadCode(space)
  const pool = createPool(space, code, { 2048: packets })
  const worker = pool.openWorker('receive')
  const [near, far] = createLink(space, code, worker, 'wire', { slots: packets })
  const sources = Uint32Array.from({ length: LISTED }, random.word)
  const lengths = new Uint8Array(LISTED).fill(32)
  const none = { words: new Uint32Array(0), lengths: new Uint8Array(0) }
  const sets = new Map([['blocked', { v4: { words: sources, lengths }, v6: none }]])
  const { optimized } = compileFilter('ip src net @blocked', { sets: new Set(sets.keys()) })
  const matcher = placeMatcher(space, 'blocklist', optimized, sets)
  const graph = draw([receive(far), earlyDrop('blocklist', matcher.judge), discard('passed')])
  const engine = startEngine(space, code, worker, graph, { touch })

  const members = new Set(sources)
  let listed = 0
  fillRing({ space, worker, random }, near, packets, (frame) => {
    const source = random.below(2) === 0 ? sources[random.below(LISTED)]! : random.word()
    if (members.has(source)) listed++
    writePacket(space, frame, source)
  })
  const { regions } = space.layout()
  const restored = regions.filter(({ kind, name }) => kind === 'stack' || name === 'link wire to b')
  const saved = restored.map(({ offset, bytes }) => space.bytes.slice(offset, offset + bytes))
  const named = (name: string) => regions.find((region) => region.name.startsWith(name))!.offset
  return {
    space,
    engine,
    packets,
    listed,
    restored,
    refill() {
      for (let index = 0; index < saved.length; index++) space.bytes.set(saved[index]!, restored[index]!.offset)
    },
    addresses: { ring: named('link wire to b'), pool: worker.address, table: named('blocklist set blocked/4') },
  }
}

function writePacket({ bytes, memory }: Space, at: number, source: number): void {
  const view = new DataView(memory.buffer, at, PACKET_BYTES)
  bytes.fill(0, at, at + PACKET_BYTES)
  view.setUint16(ETHERTYPE_AT, 0x0800)
  bytes[at + 14] = 0x45
  view.setUint32(SOURCE_AT, source)
}
