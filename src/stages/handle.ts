import type { RunningStage, Stage, StageHost } from '../engine/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  MOST_IN_BUNDLE,
} from '../memory/index.js'
import { reserveVerdicts } from './verdicts.js'

/**
 * The packets of a bundle for a function in TypeScript, which reads and writes
 * them where they are. It is one object for all bundles, and holds while the
 * function runs. Numbers of packets are below `count`.
 */
export interface PacketBundle {
  readonly count: number
  /** The whole memory: byte `start(packet)` of it is the first of a packet's. */
  readonly bytes: Uint8Array
  /** The same, for words of any length. */
  readonly view: DataView
  start(packet: number): number
  /** Bytes of the packet that are in memory. */
  length(packet: number): number
  /** Bytes that the packet may have where it begins: it can become longer up to here. */
  room(packet: number): number
  /** The packet goes on, and has so many bytes now; one for which this is not called is dropped. Throws RangeError beyond its room. */
  answer(packet: number, lengthBytes?: number): void
}

const WORDS = DESCRIPTOR_BYTES / 4
/** Verdicts as earlyDrop takes them: of no rule, which stays, and of rule 0, which is dropped. */
const ANSWERED = -1
const UNANSWERED = 0

/** Hands each bundle to `handler`. What it answers goes on in its order. Whatever it throws leaves the engine's `round`. */
export function handle(name: string, handler: (bundle: PacketBundle) => void): Stage {
  return {
    name,
    outputs: ['answered'],
    drops: ['unanswered'],
    kind: 'handle',
    settings: { handler },
    start(host): RunningStage {
      const { space, pool, code, reserve } = host
      const { verdicts, chosen } = reserveVerdicts(host, [true])
      const dropped = reserve('dropped', 'bundle', BUNDLE_BYTES)
      const dropUnanswered = code.find('earlyDrop')
      const packets = openBundle(host, verdicts)
      return {
        run(bundle) {
          space.words.fill(UNANSWERED, verdicts >>> 2, (verdicts >>> 2) + MOST_IN_BUNDLE)
          packets.show(bundle)
          handler(packets)
          dropUnanswered(pool.address, bundle, verdicts, chosen, dropped, host.drops)
        },
      }
    },
  }
}

/** The view that a handler gets; `show` points it at a bundle. */
function openBundle({ space, pool }: StageHost, verdicts: number): PacketBundle & { show(bundle: number): void } {
  const { words, bytes, memory } = space
  let first = 0
  const length = (packet: number) => words[first + packet * WORDS + DESCRIPTOR_CAPTURED / 4]!
  const start = (packet: number) => words[first + packet * WORDS + DESCRIPTOR_ADDRESS / 4]!
  const bundle = {
    count: 0,
    bytes,
    view: new DataView(memory.buffer),
    show(address: number) {
      bundle.count = words[address >>> 2]!
      first = (address + BUNDLE_DESCRIPTORS) >>> 2
    },
    start,
    length,
    room: (packet: number) => pool.room(start(packet)),
    answer(packet: number, lengthBytes = length(packet)) {
      if (!(packet >= 0 && packet < bundle.count))
        throw new RangeError(`there is no packet ${packet} in a bundle of ${bundle.count}`)
      if (lengthBytes !== length(packet)) {
        const room = pool.room(start(packet))
        if (!(lengthBytes >= 0 && lengthBytes <= room))
          throw new RangeError(`an answer of ${lengthBytes} bytes does not fit into ${room}`)
        words[first + packet * WORDS + DESCRIPTOR_CAPTURED / 4] = lengthBytes
        words[first + packet * WORDS + DESCRIPTOR_WIRE / 4] = lengthBytes
      }
      words[(verdicts >>> 2) + packet] = ANSWERED
    },
  }
  return bundle
}
