import type { Random } from './random.js'

/** Blocks of a pcapng file, made field by field from draft-ietf-opsawg-pcapng and not with the code under test. */
export interface PcapngBlocks {
  block(type: number, ...body: readonly Uint8Array[]): Buffer
  words(...values: readonly number[]): Buffer
  halves(...values: readonly number[]): Buffer
  option(code: number, value: Uint8Array): Buffer
  section(...options: readonly Uint8Array[]): Buffer
  description(linkType: number, snapLength: number, ...options: readonly Uint8Array[]): Buffer
  packet(packet: PcapngPacket): Buffer
}

/** A packet and what its block says of it. */
export interface PcapngPacket {
  readonly form: 'enhanced' | 'simple' | 'obsolete'
  /** With the count of drops in the upper half in the obsolete form. */
  readonly interfaceNumber: number
  readonly drops: number
  readonly time: readonly [high: number, low: number]
  readonly data: Uint8Array
  readonly wireLength: number
  /** What each byte of padding is. */
  readonly padding: number
  readonly options: readonly Uint8Array[]
}

const TYPES = { enhanced: 6, simple: 3, obsolete: 2 } as const

/** Blocks of either byte order. */
export function pcapngBlocks(isLittleEndian: boolean): PcapngBlocks {
  const words = (...values: readonly number[]) => {
    const buffer = Buffer.alloc(values.length * 4)
    values.forEach((value, index) => {
      if (isLittleEndian) buffer.writeUInt32LE(value >>> 0, index * 4)
      else buffer.writeUInt32BE(value >>> 0, index * 4)
    })
    return buffer
  }
  const halves = (...values: readonly number[]) => {
    const buffer = Buffer.alloc(values.length * 2)
    values.forEach((value, index) => {
      if (isLittleEndian) buffer.writeUInt16LE(value, index * 2)
      else buffer.writeUInt16BE(value, index * 2)
    })
    return buffer
  }
  const padded = (bytes: Uint8Array, padding: number) =>
    Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3, padding)])
  const block = (type: number, ...body: readonly Uint8Array[]) => {
    const bytes = Buffer.concat(body)
    const total = words(bytes.length + 12)
    return Buffer.concat([words(type), total, bytes, total])
  }
  return {
    block,
    words,
    halves,
    option: (code, value) => Buffer.concat([halves(code, value.length), padded(value, 0)]),
    section: (...options) => block(0x0a0d0d0a, words(0x1a2b3c4d), halves(1, 0), words(-1, -1), ...options),
    description: (linkType, snapLength, ...options) => block(1, halves(linkType, 0), words(snapLength), ...options),
    packet: ({ form, interfaceNumber, drops, time, data, wireLength, padding, options }) => {
      const bytes = padded(data, padding)
      if (form === 'simple') return block(TYPES.simple, words(wireLength), bytes)
      const from = form === 'obsolete' ? halves(interfaceNumber, drops) : words(interfaceNumber)
      return block(TYPES[form], from, words(...time, data.length, wireLength), bytes, ...options)
    },
  }
}

/** A block, and the packet in it. */
export interface PlacedBlock {
  readonly blocks: PcapngBlocks
  readonly bytes: Buffer
  readonly packet: PcapngPacket | null
}

/** A file of sections in either byte order, interfaces of any kind, packets in each form, and other blocks between all of them. */
export function randomPcapng(random: Random): PlacedBlock[] {
  const file: PlacedBlock[] = []
  for (let sections = 1 + random.below(3); sections > 0; sections--) {
    const blocks = pcapngBlocks(random.below(2) === 0)
    const add = (bytes: Buffer, packet: PcapngPacket | null = null) => file.push({ blocks, bytes, packet })
    add(blocks.section(...randomOptions(random, blocks)))
    const snapLengths: number[] = []
    for (let count = random.below(40); count > 0; count--) {
      const kind = snapLengths.length === 0 ? random.below(2) : random.below(8)
      if (kind === 0) add(otherBlock(random, blocks))
      else if (kind === 1) {
        const snapLength = random.pick([0, 200, 65_535])
        snapLengths.push(snapLength || 262_144)
        const resolution = blocks.option(9, Uint8Array.of(random.pick([3, 6, 9, 12, 0x8a])))
        add(blocks.description(random.pick([1, 101]), snapLength, resolution, ...randomOptions(random, blocks)))
      } else if (kind === 2)
        add(blocks.block(5, blocks.words(random.below(snapLengths.length), random.word(), random.word())))
      else {
        const packet = randomPacket(random, blocks, snapLengths)
        add(blocks.packet(packet), packet)
      }
    }
  }
  return file
}

function randomPacket(random: Random, blocks: PcapngBlocks, snapLengths: readonly number[]): PcapngPacket {
  const form = random.pick(['enhanced', 'enhanced', 'simple', 'obsolete'] as const)
  const interfaceNumber = form === 'simple' ? 0 : random.below(snapLengths.length)
  const data = randomBytes(random, random.below(200))
  return {
    form,
    interfaceNumber,
    drops: random.below(65_536),
    time: [random.below(1 << 20), random.word()],
    data,
    wireLength: form === 'simple' ? data.length : data.length + random.below(2) * random.below(2000),
    padding: random.pick([0, 0xee]),
    options: randomOptions(random, blocks),
  }
}

/** Comments, flags and what nobody knows, with and without their end. */
function randomOptions(random: Random, { option }: PcapngBlocks): Buffer[] {
  const options = Array.from({ length: random.below(4) }, () =>
    option(random.pick([1, 2, 2988, 0x8001]), randomBytes(random, random.below(30))),
  )
  return options.length > 0 && random.below(4) > 0 ? [...options, option(0, new Uint8Array(0))] : options
}

/** Names, a custom block, a journal entry, or a type that nobody has defined. */
function otherBlock(random: Random, { block }: PcapngBlocks): Buffer {
  const type = random.pick([4, 9, 10, 0xbad, 0x40000bad, 0x80000001, random.word() | 0x1000])
  return block(type, randomBytes(random, 4 * random.below(30)))
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256))
}
