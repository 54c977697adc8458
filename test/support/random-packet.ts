import type { ClassicLinkType } from './classic-bpf.js'
import type { Random } from './random.js'
import { randomLinkHeader } from './random-link-header.js'
import { MACS, randomIpv4, randomIpv6, randomNetwork, randomTyped } from './random-network.js'

/** A captured packet, perhaps damaged and perhaps cut; `wireLength` is its length before the cut. */
export interface RandomPacket {
  readonly bytes: Uint8Array
  readonly wireLength: number
}

/** A packet of the protocols that filter expressions speak of, with their rarer shapes made common. */
export function randomPacket(random: Random, linkType: ClassicLinkType = 'EN10MB'): RandomPacket {
  const packet = randomOf(random, linkType)
  for (let pad = random.below(40); pad > 0; pad--) packet.push(random.below(256))
  for (let damage = random.below(6) - 3; damage > 0; damage--)
    packet[random.below(Math.min(packet.length, 60))] = random.below(256)
  const bytes = Uint8Array.from(packet)
  const kept = random.below(4) === 0 ? random.below(bytes.length + 1) : bytes.length
  return { bytes: bytes.slice(0, kept), wireLength: bytes.length }
}

function randomOf(random: Random, linkType: ClassicLinkType): number[] {
  if (linkType === 'EN10MB') return randomFrame(random)
  if (linkType === 'IPV4') return randomIpv4(random)
  if (linkType === 'IPV6') return randomIpv6(random)
  if (linkType === 'RAW') return randomNetwork(random)
  return randomLinkHeader(random, linkType)
}

function randomFrame(random: Random): number[] {
  return [...random.pick(MACS), ...random.pick(MACS), ...randomTagged(random)]
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
