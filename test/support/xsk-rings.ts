import {
  type LinearMemory,
  type XskOptions,
  type XskRing,
  type XskSocket,
  xskRingBytes,
} from '../../src/kernel/index.js'

/** Plain use of a socket's rings, a frame at a time; addresses below 2^32, at a UMEM that begins at byte 0. */
export interface XskRings {
  /** Gives a frame to the kernel to receive into. */
  provide(address: number): void
  /** The next packet, or null. In unaligned mode the address is the packet's. */
  receive(): { readonly address: number; readonly length: number } | null
  transmit(address: number, length: number): void
  /** The address of a frame that has been sent, or null. */
  completed(): number | null
  /** Whether the kernel asks to be woken for what is in this ring. */
  wantsWake(ring: 'fill' | 'transmit'): boolean
}

export function xskRings(memory: LinearMemory, socket: XskSocket): XskRings {
  const words = new Int32Array(memory.buffer)
  const { fill, completion, receive, transmit } = socket
  const entryAt = ({ descriptors, entries }: { descriptors: number; entries: number }, index: number, words: number) =>
    descriptors / 4 + (index & (entries - 1)) * words
  const hasMore = ({ producer, consumer }: { producer: number; consumer: number }) =>
    Atomics.load(words, producer / 4) !== words[consumer / 4]
  return {
    provide(address) {
      const at = entryAt(fill, words[fill.producer / 4]!, 2)
      words[at] = address
      words[at + 1] = 0
      Atomics.add(words, fill.producer / 4, 1)
    },
    receive() {
      if (receive === null || !hasMore(receive)) return null
      const at = entryAt(receive, words[receive.consumer / 4]!, 4)
      const packet = { address: words[at]! + (words[at + 1]! >>> 16), length: words[at + 2]! }
      Atomics.add(words, receive.consumer / 4, 1)
      return packet
    },
    transmit(address, length) {
      const at = entryAt(transmit!, words[transmit!.producer / 4]!, 4)
      words.set([address, 0, length, 0], at)
      Atomics.add(words, transmit!.producer / 4, 1)
    },
    completed() {
      if (!hasMore(completion)) return null
      const address = words[entryAt(completion, words[completion.consumer / 4]!, 2)]!
      Atomics.add(words, completion.consumer / 4, 1)
      return address
    },
    wantsWake: (ring) => (words[socket[ring]!.flags / 4]! & 1) === 1,
  }
}

/** Places for the rings of the queue numbered `queue` from 0, where those of all queues lie one after the other from `start` on. */
export function placeRings(start: number, entries: number, queue: number): Required<XskOptions['rings']> {
  const kinds: readonly XskRing[] = ['fill', 'completion', 'receive', 'transmit']
  const bytes = kinds.map((kind) => xskRingBytes(kind, entries))
  const [fill, completion, receive, transmit] = kinds.map((_, index) => {
    return { at: start + queue * sum(bytes) + sum(bytes.slice(0, index)), entries }
  })
  return { fill: fill!, completion: completion!, receive: receive!, transmit: transmit! }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, next) => total + next, 0)
