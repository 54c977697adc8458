import type { Stage } from '../../src/engine/index.js'
import {
  BUNDLE_DESCRIPTORS,
  CACHE_SHARED,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  SHARED_LOCK,
  type Space,
  type WorkerPool,
} from '../../src/memory/index.js'

/** What a packet of the tests does to the worker it comes to, by its last byte; all are 64 bytes long. */
export const DEED = { none: 0, throws: 1, hangs: 2, strays: 3, locks: 4 } as const
export const DEED_AT = 63

const OUTSIDE = 0xffff_f000

/** A stage with a fault: what a packet says, it does. */
export function trap(name: string): Stage {
  return {
    name,
    outputs: ['out'],
    drops: [],
    kind: 'trap',
    settings: {},
    start: ({ space, pool }) => ({
      run(bundle) {
        const packets = space.words[bundle / 4]!
        for (let index = 0; index < packets; index++) {
          const at = bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS
          const packet = space.words[at / 4]!
          const deed = space.bytes[packet + DEED_AT]
          if (deed === DEED.locks) takeLock(space, pool)
          if (deed === DEED.throws || deed === DEED.locks) {
            space.bytes[packet + DEED_AT] = DEED.none
            throw new Error(`${name} met a packet that it cannot bear`)
          }
          // Whatever reads the packet next leaves the memory: WebAssembly traps there.
          if (deed === DEED.strays) space.words[at / 4] = OUTSIDE
          if (deed === DEED.hangs) for (;;) space.bytes[packet + DEED_AT] = DEED.none
        }
      },
    }),
  }
}

/** Keeps the others from the shared pool of the first class. */
function takeLock({ memory, words }: Space, { address, number }: WorkerPool): void {
  const lock = (words[(address + CACHE_SHARED) / 4]! + SHARED_LOCK) / 4
  while (Atomics.compareExchange(new Uint32Array(memory.buffer), lock, 0, number) !== 0) {}
}
