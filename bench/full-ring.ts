import type { Device } from '../src/engine/index.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  type Space,
  type WorkerPool,
} from '../src/memory/index.js'
import type { Random } from '../test/support/random.js'

/** Bytes of a 64-byte packet without its checksum. */
export const PACKET_BYTES = 60

/**
 * Sends so many packets, each in a frame of its own and in no order, as frames
 * are after a while; `write` writes the bytes at an address. Gives the addresses.
 */
export function fillRing(
  { space, worker, random }: { readonly space: Space; readonly worker: WorkerPool; readonly random: Random },
  device: Device,
  packets: number,
  write: (address: number) => void,
): number[] {
  const bundle = space.reserve({ name: 'driver bundle', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  const first = bundle + BUNDLE_DESCRIPTORS
  const addresses: number[] = []
  while (addresses.length < packets) {
    const count = worker.take(bundle, 64)
    for (let index = 0; index < count; index++)
      addresses.push(space.words[(first + index * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS) / 4]!)
    space.words[bundle / 4] = 0
  }
  for (const address of shuffled(random, addresses)) {
    write(address)
    space.words[bundle / 4] = 1
    space.words[(first + DESCRIPTOR_ADDRESS) / 4] = address
    space.words[(first + DESCRIPTOR_WIRE) / 4] = PACKET_BYTES
    space.words[(first + DESCRIPTOR_CAPTURED) / 4] = PACKET_BYTES
    device.send(bundle)
  }
  return addresses
}

function shuffled(random: Random, list: number[]): number[] {
  for (let index = list.length - 1; index > 0; index--) {
    const other = random.below(index + 1)
    const kept = list[index]!
    list[index] = list[other]!
    list[other] = kept
  }
  return list
}
