import type { Random } from './random.js'

/** Addresses of stations that packets and expressions have in common. */
export const MACS = [
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

/** From the type on: ARP, IPv4 or IPv6. */
export function randomTyped(random: Random): number[] {
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

/** IPv4 or IPv6. */
export function randomNetwork(random: Random): number[] {
  return random.below(2) === 0 ? randomIpv4(random) : randomIpv6(random)
}

/** An IPv4 packet, perhaps with options, perhaps a fragment. */
export function randomIpv4(random: Random): number[] {
  const words = random.pick([5, 5, 5, 6, 8, 15, 4, 0])
  const fragment = random.pick([0, 0, 0, 0x2000, 0x00b9, 0x4000])
  const options: number[] = new Array(Math.max(0, words - 5) * 4).fill(1)
  const protocol = random.pick([6, 6, 17, 17, 17, 1, 132, 2, 103, 51])
  const [source, destination] = [random.pick(HOSTS), random.pick(HOSTS)]
  const start = [0x40 | words, random.pick([0, 0xb8]), 0, 60, 0, 1, fragment >> 8, fragment & 255, random.pick([1, 64])]
  return [...start, protocol, 0, 0, ...source, ...destination, ...options, ...randomTransport(random)]
}

/** A UDP header and one of Geneve, with options or without; in it a frame or a packet. */
function randomTunnel(random: Random): number[] {
  const [options, type] = [random.pick([0, 0, 1, 3]), random.pick(TUNNELLED)]
  const udp = [0x40, 0, ...random.pick(TUNNEL_PORTS), 0, 60, 0, 0]
  const geneve = [random.pick([0, 0, 0x40]) | options, 0, ...type, 0, 0, random.pick([5, 6]), 0]
  const inside = type[0] === 0x65 ? [...MACS[0], ...MACS[1], ...randomTyped(random)] : randomNetwork(random)
  return [...udp, ...geneve, ...new Array<number>(options * 4).fill(1), ...inside]
}

/** Geneve, and another port. */
const TUNNEL_PORTS = [
  [0x17, 0xc1],
  [0x17, 0xc1],
  [0x12, 0xb5],
] as const
/** A bridged frame, IPv4, IPv6. */
const TUNNELLED = [
  [0x65, 0x58],
  [0x65, 0x58],
  [8, 0],
  [0x86, 0xdd],
] as const

/** Extension headers and authentication headers, and what follows them at last. */
function randomChain(random: Random, depth: number): { readonly first: number; readonly bytes: number[] } {
  if (depth === 0) return { first: random.pick([6, 17, 58, 59]), bytes: [] }
  const { first, bytes } = randomChain(random, depth - 1)
  const kind = random.pick([0, 43, 44, 60, 51])
  const units = kind === 44 ? 0 : random.pick([0, 0, 1])
  const length = kind === 51 ? (units + 2) * 4 : (units + 1) * 8
  return { first: kind, bytes: [first, units, ...new Array<number>(length - 2).fill(0), ...bytes] }
}

/** An IPv6 packet, perhaps with extension headers. */
export function randomIpv6(random: Random): number[] {
  if (random.below(4) === 0) {
    const { first, bytes } = randomChain(random, 1 + random.below(4))
    const addresses = [...randomAddress6(random), ...randomAddress6(random)]
    return [0x60, 0, 0, 0, 0, 40, first, 64, ...addresses, ...bytes, ...randomTransport(random)]
  }
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
  if (random.below(8) === 0) return randomTunnel(random)
  const [source, destination] = [random.pick(PORTS), random.pick(PORTS)]
  const flags = random.pick([0x02, 0x12, 0x10, 0x18, 0x04, 0])
  const ports = [source >> 8, source & 255, destination >> 8, destination & 255]
  return [...ports, 0, 20, 0, 0, 0, 0, 0, 1, random.pick([0x50, 0x60, 0x80, 0xf0]), flags, 4, 0, 0, 0, 0, 0]
}
