import type { Random } from './random.js'

const MACS = [
  [2, 0, 0, 0, 0, 1],
  [2, 0, 0, 0, 0, 2],
  [255, 255, 255, 255, 255, 255],
] as const
const HOSTS = [
  [10, 0, 0, 1],
  [10, 0, 0, 2],
  [192, 168, 1, 7],
  [224, 0, 0, 5],
  [203, 0, 113, 9],
] as const
const PORTS = [22, 53, 80, 443, 1024, 40000] as const

/** A captured packet, perhaps damaged and perhaps cut; `wireLength` is its length before the cut. */
export interface RandomPacket {
  readonly bytes: Uint8Array
  readonly wireLength: number
}

/** An Ethernet frame of the protocols that filter expressions speak of, with their rarer shapes made common. */
export function randomPacket(random: Random): RandomPacket {
  const frame = [...random.pick(MACS), ...random.pick(MACS), ...randomTagged(random)]
  for (let pad = random.below(40); pad > 0; pad--) frame.push(random.below(256))
  for (let damage = random.below(6) - 3; damage > 0; damage--)
    frame[random.below(Math.min(frame.length, 60))] = random.below(256)
  const bytes = Uint8Array.from(frame)
  const kept = random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length
  return { bytes: bytes.slice(0, kept), wireLength: bytes.length }
}

/** From the type field on. */
function randomTagged(random: Random): number[] {
  const tag = () => [
    ...random.pick([
      [0x81, 0],
      [0x88, 0xa8],
      [0x91, 0],
    ]),
    0,
    random.pick([5, 6, 7]),
  ]
  switch (random.below(10)) {
    case 0:
      return [...tag(), ...randomTyped(random)]
    case 1:
      return [...tag(), ...tag(), ...randomTyped(random)]
    case 2:
      return [0x88, 0x47, ...label(random, false), ...label(random, true), ...randomNetwork(random)]
    case 3:
      return [0x88, 0x47, ...label(random, true), ...randomNetwork(random)]
    case 4:
      return [
        0x88,
        0x64,
        0x11,
        0,
        0,
        random.pick([7, 8]),
        0,
        40,
        0,
        random.pick([0x21, 0x57]),
        ...randomNetwork(random),
      ]
    case 5:
      return [0, 40, ...random.pick([[0x42, 0x42, 3], [0xe0, 0xe0, 3], [0xff, 0xff, 0], [0xf0, 0xf0, 1], SNAP])]
    default:
      return randomTyped(random)
  }
}

/** AppleTalk behind SNAP. */
const SNAP = [0xaa, 0xaa, 3, 8, 0, 7, 0x80, 0x9b]

function label(random: Random, isLast: boolean): number[] {
  return [0, 2, random.pick([0xa0, 0xb0]) | (isLast ? 1 : 0), 64]
}

function randomTyped(random: Random): number[] {
  const kind = random.below(10)
  if (kind < 6) return [8, 0, ...randomIpv4(random)]
  if (kind < 8) return [0x86, 0xdd, ...randomIpv6(random)]
  const type = random.pick([
    [8, 6],
    [0x80, 0x35],
  ])
  const [sender, target] = [random.pick(HOSTS), random.pick(HOSTS)]
  return [...type, 0, 1, 8, 0, 6, 4, 0, random.pick([1, 2]), ...MACS[0], ...sender, ...MACS[1], ...target]
}

function randomNetwork(random: Random): number[] {
  return random.below(2) === 0 ? randomIpv4(random) : randomIpv6(random)
}

function randomIpv4(random: Random): number[] {
  const words = random.pick([5, 5, 5, 6, 8, 15, 4, 0])
  const fragment = random.pick([0, 0, 0, 0x2000, 0x00b9, 0x4000])
  const options: number[] = new Array(Math.max(0, words - 5) * 4).fill(1)
  const protocol = random.pick([6, 6, 17, 17, 1, 132, 2, 103])
  const [source, destination] = [random.pick(HOSTS), random.pick(HOSTS)]
  const start = [0x40 | words, random.pick([0, 0xb8]), 0, 60, 0, 1, fragment >> 8, fragment & 255, random.pick([1, 64])]
  return [...start, protocol, 0, 0, ...source, ...destination, ...options, ...randomTransport(random)]
}

function randomIpv6(random: Random): number[] {
  const protocol = random.pick([6, 17, 58, 132])
  const start = [0x60, 0, 0, 0, 0, 40]
  const addresses = [...randomAddress6(random), ...randomAddress6(random)]
  if (random.below(4) !== 0) return [...start, protocol, 64, ...addresses, ...randomTransport(random)]
  return [...start, 44, 64, ...addresses, protocol, 0, 0, 1, 0, 0, 0, 9, ...randomTransport(random)]
}

function randomAddress6(random: Random): number[] {
  const [first, last] = random.pick([
    [[0xfe, 0x80], 1],
    [[0x20, 0x01, 0x0d, 0xb8], 0x53],
    [[0xff, 0x02], 1],
    [[0x20, 0x01, 0x0d, 0xb8], 0x54],
  ] as const)
  return [...first, ...new Array<number>(15 - first.length).fill(0), last]
}

function randomTransport(random: Random): number[] {
  const [source, destination] = [random.pick(PORTS), random.pick(PORTS)]
  const flags = random.pick([0x02, 0x12, 0x10, 0x18, 0x04, 0])
  const ports = [source >> 8, source & 255, destination >> 8, destination & 255]
  return [...ports, 0, 20, 0, 0, 0, 0, 0, 1, random.pick([0x50, 0x60, 0x80, 0xf0]), flags, 4, 0, 0, 0, 0, 0]
}
