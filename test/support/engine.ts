import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  type Code,
  createPool,
  createSpace,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  type FrameClass,
  loadCode,
  METADATA_BYTES,
  METADATA_VALID,
  type Pool,
  type PoolSize,
  type Space,
  type WorkerPool,
} from '../../src/memory/index.js'

/** A memory with a pool and one worker's side of it, and what a test does to bundles by hand. */
export interface EngineBench {
  readonly space: Space
  readonly code: Code
  readonly pool: Pool
  readonly worker: WorkerPool
  /** Room for a bundle; its address. */
  bundle(name: string): number
  /** Takes a frame for each packet, writes it and appends it to the bundle; gives how many there were frames for. */
  fill(bundle: number, packets: readonly Uint8Array[], frameBytes?: FrameClass): number
  count(bundle: number): number
  /** Of a packet in a row of descriptors. */
  wireLength(descriptors: number, index: number): number
  /** Its first byte's address. */
  packetAt(descriptors: number, index: number): number
  /** Copies of the packets of a bundle. */
  read(bundle: number): Uint8Array[]
  /** Gives all frames of the bundle back. */
  empty(bundle: number): void
  /** Frames that are neither in the pool nor in a cache. */
  inUse(): number
}

/** The checked build, so that every test finds double frees, uses after free and leaks by the way. */
export function openBench(size: PoolSize = { 2048: 1024 }, checked = true, otherBytes = 16 << 20): EngineBench {
  const frameBytes = Object.entries(size).reduce((sum, [bytes, count]) => sum + Number(bytes) * count!, 0)
  const space = createSpace(frameBytes + otherBytes)
  const code = loadCode(space, checked)
  const pool = createPool(space, code, size)
  const worker = pool.openWorker('test')
  const { words, bytes } = space
  const wordAt = (bundle: number, index: number, field: number) =>
    (bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + field) / 4
  return {
    space,
    code,
    pool,
    worker,
    bundle: (name) => space.reserve({ name: `test ${name}`, kind: 'bundle', bytes: BUNDLE_BYTES }).offset,
    fill(bundle, packets, frameBytes) {
      const before = words[bundle / 4]!
      const count = worker.take(bundle, packets.length, frameBytes)
      packets.slice(0, count).forEach((packet, order) => {
        const index = before + order
        const address = words[wordAt(bundle, index, DESCRIPTOR_ADDRESS)]!
        bytes.set(packet, address)
        bytes[address - METADATA_BYTES + METADATA_VALID] = 0
        words[wordAt(bundle, index, DESCRIPTOR_WIRE)] = packet.length
        words[wordAt(bundle, index, DESCRIPTOR_CAPTURED)] = packet.length
      })
      return count
    },
    count: (bundle) => words[bundle / 4]!,
    wireLength: (descriptors, index) => words[(descriptors + index * DESCRIPTOR_BYTES + DESCRIPTOR_WIRE) / 4]!,
    packetAt: (descriptors, index) => words[(descriptors + index * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS) / 4]!,
    read: (bundle) =>
      Array.from({ length: words[bundle / 4]! }, (_, index) => {
        const address = words[wordAt(bundle, index, DESCRIPTOR_ADDRESS)]!
        return bytes.slice(address, address + words[wordAt(bundle, index, DESCRIPTOR_CAPTURED)]!)
      }),
    empty(bundle) {
      worker.give(bundle + BUNDLE_DESCRIPTORS, words[bundle / 4]!)
      words[bundle / 4] = 0
    },
    inUse: () => pool.balance().reduce((sum, { frames, free }) => sum + frames - free, 0),
  }
}
