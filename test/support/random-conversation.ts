import type { Random } from './random.js'
import type { Host, TrackedPacket } from './tracked-packet.js'

/** What a host says next, and what the tracker's windows make of it. */
interface Side {
  next: number
}

const OFFSETS = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1, -100, 100, 1000, -1000, 65_535, -66_001, 70_000, -70_000] as const
const FLAGS = ['S', 'S', 'S.', '.', '.', '.', '.', '.', 'P.', 'F.', 'F.', 'R', 'R.', 'R', '', 'SF', 'FP', 'F'] as const

/**
 * Segments between the two hosts: a handshake most times, then what a
 * connection may hold, and now and then what it may not: numbers beside the
 * window, flags that do not belong together, resets of all kinds, SYNs again.
 */
export function randomConversation(random: Random, port: number, family: 4 | 6): TrackedPacket[] {
  const sides: Record<Host, Side> = { client: { next: random.word() }, server: { next: random.word() } }
  const isScaled = random.below(2) === 0
  const packets: TrackedPacket[] = []
  const say = (from: Host, flags: string, offset = 0, ackOffset = 0, length = 0) => {
    const [side, other] = [sides[from], sides[from === 'client' ? 'server' : 'client']]
    const sequence = (side.next + offset) >>> 0
    const acknowledged = flags.includes('.') ? (other.next + ackOffset) >>> 0 : random.pick([0, 0, other.next])
    const isSyn = flags.includes('S')
    const options = isSyn ? synOptions(random, isScaled) : ackOptions(random, other.next)
    const window = random.pick([0, 1, 500, 8192, 65_535, 65_535])
    packets.push({
      from,
      family,
      port,
      flags,
      sequence,
      acknowledged,
      window,
      options,
      payload: new Uint8Array(length),
    })
    const end = sequence + length + (isSyn ? 1 : 0) + (flags.includes('F') ? 1 : 0)
    if (offset === 0 && !flags.includes('R') && flags !== '') side.next = end >>> 0
  }
  const begin = random.below(10)
  if (begin < 8) say('client', 'S')
  if (begin < 7) say('server', 'S.')
  if (begin < 6) say('client', '.')
  for (let left = random.below(16); left > 0; left--) {
    const from = random.pick(['client', 'server'] as const)
    if (random.below(3) > 0) say(from, '.', 0, random.pick([0, 0, 0, -10]), random.pick([0, 10, 1000]))
    else say(from, random.pick(FLAGS), random.pick(OFFSETS), random.pick(OFFSETS), random.pick([0, 0, 0, 10, 1000]))
    // A SYN that opens anew has numbers of its own.
    if (random.below(12) === 0) sides[from].next = random.word()
  }
  return packets
}

function synOptions(random: Random, isScaled: boolean): number[] {
  const scale = isScaled ? [1, 3, 3, random.pick([0, 1, 7, 14, 15])] : []
  const sack = random.below(2) === 0 ? [4, 2, 1, 1] : []
  const odd =
    random.below(8) === 0
      ? [
          random.pick([
            [2, 4, 5, 0xb4],
            [9, 0, 0, 0],
            [3, 9, 1, 1],
            [0, 3, 3, 2],
          ]),
        ].flat()
      : []
  return [...odd, ...scale, ...sack]
}

/** Now and then a selective acknowledgement. */
function ackOptions(random: Random, next: number): number[] {
  if (random.below(8) > 0) return []
  const block = new DataView(new ArrayBuffer(8))
  const edge = next + random.pick([0, -500, 500, 70_000])
  block.setUint32(0, edge - 100)
  block.setUint32(4, edge)
  return [1, 1, 5, 10, ...new Uint8Array(block.buffer)]
}
