import {
  type Code,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  RING_CONSUMED,
  RING_CONSUMER_MASK,
  RING_PRODUCED,
  RING_PRODUCER_MASK,
  RING_SLOTS,
  type Space,
} from '../memory/index.js'

/**
 * A ring of descriptors with one producer and one consumer, which may be two
 * threads: each publishes its index once a bundle, on a cache line of its own.
 */
export interface Ring {
  readonly address: number
  readonly slots: number
  /** Puts what it can of the bundle into the ring, the rest stays; gives how many went. */
  push(bundle: number): number
  /** Appends up to `most` descriptors to the bundle; gives how many. */
  pull(bundle: number, most: number): number
  count(): number
  /** Frees the ring's memory; what is in the ring must have been taken out. */
  close(): void
}

/** Where a ring lies, as plain numbers that a thread can be sent. */
export interface RingPlace {
  readonly address: number
  readonly slots: number
}

/** Makes a ring of at least so many slots, a power of two. Throws LayoutError. */
export function createRing(space: Space, code: Code, name: string, slots: number): Ring {
  const size = 2 ** Math.ceil(Math.log2(slots))
  const region = space.reserve({ name, kind: 'ring', bytes: RING_SLOTS + size * DESCRIPTOR_BYTES })
  const { offset: address } = region
  space.words[(address + RING_PRODUCER_MASK) / 4] = size - 1
  space.words[(address + RING_CONSUMER_MASK) / 4] = size - 1
  return { ...attachRing(code, { address, slots: size }), close: () => space.free(name) }
}

/** A ring that another thread has made; closing it is that thread's. */
export function attachRing(code: Code, { address, slots }: RingPlace): Ring {
  const [push, pull, count] = [code.find('ringPush'), code.find('ringPull'), code.find('ringCount')]
  return {
    address,
    slots,
    push: (bundle) => push(address, bundle) as number,
    pull: (bundle, most) => pull(address, bundle, most) as number,
    count: () => count(address) as number,
    close() {},
  }
}

/** Addresses of the packets that lie in a ring, as an onlooker sees them. */
export function* packetsUnderWay({ words }: Space, { address, slots }: RingPlace): Generator<number> {
  // What is taken out meanwhile may be listed; what is taken out has another holder before it is.
  const consumed = Atomics.load(words, (address + RING_CONSUMED) / 4)
  const count = (Atomics.load(words, (address + RING_PRODUCED) / 4) - consumed) >>> 0
  for (let index = 0; index < count; index++) {
    const slot = address + RING_SLOTS + ((consumed + index) & (slots - 1)) * DESCRIPTOR_BYTES
    yield words[(slot + DESCRIPTOR_ADDRESS) / 4]!
  }
}
