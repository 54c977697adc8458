import type { ClassicLinkType } from './classic-bpf.js'
import type { Random } from './random.js'
import { MACS, randomNetwork, randomTyped } from './random-network.js'

type Framed = Exclude<ClassicLinkType, 'EN10MB' | 'IPV4' | 'IPV6' | 'RAW'>

/** A link header of this type with what it announces behind it; mostly right, sometimes of another family. */
export function randomLinkHeader(random: Random, linkType: Framed): number[] {
  switch (linkType) {
    case 'NULL':
      return withFamily(random, (family) => [family, 0, 0, 0])
    case 'LOOP':
      return withFamily(random, (family) => [0, 0, 0, family])
    case 'LINUX_SLL': {
      const typed = random.below(8) === 0 ? [0, random.pick([1, 4]), ...randomLlc(random)] : randomTyped(random)
      return [0, random.pick([0, 1, 4]), 0, 1, 0, 6, ...random.pick(MACS), 0, 0, ...typed]
    }
    case 'LINUX_SLL2': {
      const [high, low, ...rest] = randomTyped(random) as [number, number, ...number[]]
      const device = [0, 0, 0, random.pick([1, 2])]
      return [high, low, 0, 0, ...device, 0, 1, random.pick([0, 4]), 6, ...random.pick(MACS), 0, 0, ...rest]
    }
    case 'PPP':
    case 'PPP_SERIAL':
      return [0xff, 3, ...randomPpp(random)]
    case 'PPP_ETHER':
      return [0x11, 0, 0, 7, 0, 60, ...randomPpp(random)]
    case 'C_HDLC':
      return [0x0f, 0, ...(random.below(6) === 0 ? [0xfe, 0xfe, 3, 0x83, 1, 1, 0, 18] : randomTyped(random))]
    case 'FRELAY':
      return [0x18, 0x41, 3, random.pick([0xcc, 0x8e, 0x81, 0x83]), ...randomNetwork(random)]
    case 'SLIP':
      return [random.pick([0, 1, 0x45, 0x60]), ...new Array<number>(15).fill(0), ...randomNetwork(random)]
    case 'FDDI':
      return [0x50, ...random.pick(MACS), ...random.pick(MACS), ...randomLlc(random)]
    case 'IEEE802':
      return [0x10, 0x40, ...random.pick(MACS), ...random.pick(MACS), ...randomLlc(random)]
    case 'IEEE802_11':
      return randomWlan(random, 0)
    case 'IEEE802_11_RADIO':
      return randomRadiotap(random)
  }
}

function withFamily(random: Random, header: (family: number) => number[]): number[] {
  return [...header(random.pick([2, 2, 24, 28, 30, 7])), ...randomNetwork(random)]
}

function randomPpp(random: Random): number[] {
  const mpls = [0x02, 0x81, 0, 2, 0xa1, 64]
  const start = random.pick([[0, 0x21], [0, 0x57], mpls, [0, 0x23]])
  return [...start, ...randomNetwork(random)]
}

/** An LLC header: mostly SNAP with an EtherType. */
function randomLlc(random: Random): number[] {
  const plain = [
    [0x42, 0x42, 3],
    [0xe0, 0xe0, 3],
    [0xfe, 0xfe, 3, 0x83, 27, 1, 0, 18],
    [0xf0, 0xf0, 1],
  ]
  return random.below(4) === 0 ? random.pick(plain) : [0xaa, 0xaa, 3, 0, 0, 0, ...randomTyped(random)]
}

/** An IEEE 802.11 frame; `pad` bytes stand before its payload. */
function randomWlan(random: Random, pad: number): number[] {
  const control = random.pick([0x08, 0x08, 0x88, 0x88, 0x80, 0x40, 0xc4, 0xd4, 0xb4, 0x48])
  const direction = random.below(4)
  const addresses = [...random.pick(MACS), ...random.pick(MACS), ...random.pick(MACS)]
  const header = [control, direction, 0, 0, ...addresses, 0, 0]
  const qos = (control & 0x8c) === 0x88 ? [0, 0] : []
  return [...header, ...qos, ...new Array<number>(pad).fill(0), ...randomLlc(random)]
}

/** With and without a time stamp, flags, and padding behind the MAC header. */
function randomRadiotap(random: Random): number[] {
  const presence = random.pick([0, 1, 2, 3])
  const isExtended = random.below(8) === 0
  const flags = random.pick([0, 0x20, 0x30])
  const fields = [...(presence & 1 ? new Array<number>(8).fill(7) : []), ...(presence & 2 ? [flags] : [])]
  const length = 8 + fields.length
  const header = [0, 0, length, 0, presence, 0, 0, isExtended ? 0x80 : 0, ...fields]
  return [...header, ...randomWlan(random, flags & 0x20 ? random.pick([0, 2]) : 0)]
}
