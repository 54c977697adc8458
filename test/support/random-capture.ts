import { addWords, foldChecksum, write16 } from '../../src/wire/index.js'
import { flowFrame } from './flow-packet.js'
import type { Random } from './random.js'

/** Packets of few flows in both directions, of all that a template can vary, with right checksums. */
export function randomCapture(random: Random, count: number): Uint8Array[] {
  return Array.from({ length: count }, () => {
    const frame = random.below(6) === 0 ? echoFrame(random) : transportFrame(random)
    return random.below(2) === 0 ? turned(frame) : frame
  })
}

function transportFrame(random: Random): Uint8Array {
  const protocol = random.pick(['tcp', 'udp'] as const)
  const family = random.pick([4, 6] as const)
  // Later fragments have no header of a transport, whatever their first bytes say.
  const fragment = protocol === 'udp' && random.below(5) === 0 ? { fragment: random.pick([0x2000, 0x20b9]) } : {}
  return flowFrame({
    family,
    protocol,
    payload: randomBytes(random, random.pick([0, 1, 5, 17, 18, 19, 40, 200])),
    flow: random.below(5),
    sequence: random.word(),
    identification: random.below(65_536),
    vlans: random.pick([[], [], [5], [5, 77]]),
    ...(family === 4 ? { ...fragment, ipOptions: random.pick([[], [], [1, 1, 1, 0]]) } : extension(random)),
    ...(protocol === 'tcp'
      ? { options: random.pick([[], [1, 1, 1, 0]]) }
      : { isUnsummed: family === 4 && random.below(5) === 0 }),
    trailer: random.pick([0, 0, 7]),
  })
}

/** Destination options of padding (RFC 8200, section 4.6). */
function extension(random: Random) {
  return random.below(4) === 0 ? { extension: { type: 60, bytes: [0, 1, 4, 0, 0, 0, 0] } } : {}
}

/** An ICMP echo between addresses of the same flows: a datagram whose header becomes that of the echo. */
function echoFrame(random: Random): Uint8Array {
  const family = random.pick([4, 6] as const)
  const payload = randomBytes(random, random.pick([0, 3, 18, 56]))
  const frame = flowFrame({ family, protocol: 'udp', payload, flow: random.below(5), isUnsummed: true })
  const [ip, at] = family === 4 ? [14, 34] : [14, 54]
  frame[family === 4 ? ip + 9 : ip + 6] = family === 4 ? 1 : 58
  frame.fill(0, at, at + 8)
  frame[at] = family === 4 ? random.pick([8, 0]) : random.pick([128, 129])
  write16(frame, at + 4, 100 + random.below(3))
  write16(frame, at + 6, random.below(65_536))
  if (family === 4) {
    write16(frame, ip + 10, 0)
    write16(frame, ip + 10, foldChecksum(addWords(0, frame, ip, at)))
  }
  const pseudo = family === 4 ? 0 : addWords(58 + frame.length - at, frame, ip + 8, at)
  write16(frame, at + 2, foldChecksum(addWords(pseudo, frame, at)))
  return frame
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256))
}

/** The other direction: both addresses and, of a first fragment, both ports change places, which no checksum notices. */
function turned(frame: Uint8Array): Uint8Array {
  const { ip, width, transport, hasPorts } = endsIn(frame)
  const [source, destination] = width === 4 ? [ip + 12, ip + 16] : [ip + 8, ip + 24]
  const copy = Uint8Array.from(frame)
  copy.set(frame.subarray(destination, destination + width), source)
  copy.set(frame.subarray(source, source + width), destination)
  if (!hasPorts) return copy
  copy.set(frame.subarray(transport + 2, transport + 4), transport)
  copy.set(frame.subarray(transport, transport + 2), transport + 2)
  return copy
}

/** What a plain reader finds in such a frame. */
export function endsIn(frame: Uint8Array) {
  const word = (at: number) => (frame[at]! << 8) | frame[at + 1]!
  let ip = 14
  while (word(ip - 2) === 0x8100) ip += 4
  const isIpv4 = word(ip - 2) === 0x0800
  const width = isIpv4 ? 4 : 16
  let protocol = frame[isIpv4 ? ip + 9 : ip + 6]!
  let transport = isIpv4 ? ip + (frame[ip]! & 15) * 4 : ip + 40
  if (!isIpv4 && protocol === 60) {
    protocol = frame[transport]!
    transport += 8
  }
  const isLater = isIpv4 && (word(ip + 6) & 0x1fff) !== 0
  const hasPorts = !isLater && (protocol === 6 || protocol === 17)
  const isEcho = !isLater && !hasPorts
  const source = Buffer.from(frame.subarray(isIpv4 ? ip + 12 : ip + 8).subarray(0, width)).toString('hex')
  const destination = Buffer.from(frame.subarray(isIpv4 ? ip + 16 : ip + 24).subarray(0, width)).toString('hex')
  const ports = hasPorts ? [word(transport), word(transport + 2)] : isEcho ? [word(transport + 4)] : []
  return { ip, width, protocol, transport, hasPorts, isEcho, isLater, source, destination, ports }
}
