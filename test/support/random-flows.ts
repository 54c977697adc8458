import type { FlowPacket } from './flow-packet.js'
import type { Random } from './random.js'

interface Course {
  readonly family: 4 | 6
  readonly protocol: 'tcp' | 'udp'
  readonly flow: number
  readonly vlans: readonly number[]
  readonly segment: number
  readonly countsOn: boolean
  readonly flags: number
  readonly fragment: number
  sequence: number
  identification: number
}

const TIMESTAMP = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]

/**
 * Packets of `flows` flows, mixed: mostly what can be merged, and now and then
 * one that differs in a single thing.
 */
export function randomFlows(random: Random, flows: number, count: number): FlowPacket[] {
  const courses = Array.from(
    { length: flows },
    (_, flow): Course => ({
      flow,
      family: random.pick([4, 4, 6]),
      protocol: random.pick(['tcp', 'tcp', 'udp']),
      vlans: random.pick([[], [], [5], [5, 6]]),
      segment: random.pick([1, 7, 100, 536, 1400, 1448]),
      countsOn: random.below(2) === 0,
      flags: random.pick([0x10, 0x10, 0x10, 0x90, 0x50]),
      fragment: random.pick([0x4000, 0x4000, 0]),
      sequence: random.pick([1, 0xffff_f000, random.word()]),
      identification: random.pick([0, 0xfffe, random.below(65_536)]),
    }),
  )
  return Array.from({ length: count }, () => next(random, random.pick(courses)))
}

function next(random: Random, course: Course): FlowPacket {
  const { segment, countsOn, ...shared } = course
  const isOdd = random.below(8) === 0
  const bytes = isOdd ? random.below(segment + 20) : segment
  const payload = Uint8Array.from({ length: bytes }, () => random.below(256))
  const { sequence, identification, flow } = course
  course.sequence = (sequence + bytes) >>> 0
  if (countsOn) course.identification = (identification + 1) & 0xffff
  const options = flow % 2 === 0 ? TIMESTAMP : []
  const plain = { ...shared, sequence, identification, payload, options }
  return random.below(8) === 0 ? { ...plain, ...oddity(random, plain) } : plain
}

function oddity(
  random: Random,
  { sequence, options }: Required<Pick<FlowPacket, 'sequence' | 'options'>>,
): Partial<FlowPacket> {
  switch (random.below(16)) {
    case 0:
      return { flags: 0x10 | random.pick([1, 2, 4, 8, 0x20, 0x40, 0x80]) }
    case 1:
      return { sequence: (sequence + random.pick([1, 0xffff_ffff])) >>> 0 }
    case 2:
      return { acknowledged: 2 }
    case 3:
      return { window: 501 }
    case 4:
      return { options: options.length === 0 ? TIMESTAMP : [...TIMESTAMP.slice(0, 7), 9, 0, 0, 0, 2] }
    case 5:
      return { hops: 63 }
    case 6:
      return { service: random.pick([1, 2, 3, 4, 0x10, 0xff]) }
    case 7:
      return { identification: random.below(65_536) }
    case 8:
      return { fragment: random.pick([0, 0x2000, 0x4001, 0x8000, 0xc000]) }
    case 9:
      return { ipOptions: [1, 1, 1, 0] }
    case 10:
      return { label: 77 }
    case 11:
      return { trailer: 1 + random.below(6) }
    case 12:
      return { damage: 'transport checksum' }
    case 13:
      return { isUnsummed: true }
    case 14:
      return { extension: { type: random.pick([0, 43, 60]), bytes: [0, 1, 4, 0, 0, 0, random.below(2)] } }
    default:
      return { damage: 'network checksum' }
  }
}
