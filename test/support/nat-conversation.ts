import { parseAddress } from '../../src/kernel/index.js'
import { write16 } from '../../src/wire/index.js'
import { mendHeader, mendSums, placesOf, portAt, setTag } from './ip-packet.js'
import type { Side } from './nat-network.js'
import type { Random } from './random.js'
import { randomConversation } from './random-conversation.js'
import { type TrackedPacket, trackedIp } from './tracked-packet.js'
import { errorAbout } from './translated-packet.js'

/** Who speaks: the host that has begun the conversation, or the one that it speaks to. */
export type Role = 'opener' | 'answerer'

export interface End {
  readonly address: Uint8Array
  readonly port: number
}

/** A conversation as one network has it: what a router chooses may differ between two. */
export interface NatView {
  /** As what the host of each side was seen at the other side, the last at the end. */
  readonly seen: Record<Side, End[]>
  /** The last packet that each has received of the other, as it was. */
  readonly received: Record<Role, Uint8Array | null>
}

/** A packet of a conversation, which is another one in each network. */
export interface NatEvent {
  readonly from: Role
  readonly what: 'packet' | 'error'
  /** Null where the sender knows too little for it. */
  readonly packet: (view: NatView, tag: number) => Uint8Array | null
  readonly description: string
}

export interface NatConversation {
  readonly number: number
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  /** Where it begins. */
  readonly side: Side
  readonly opener: End
  /** Whom the opener speaks to, and who answers: another one where it is translated. */
  readonly target: End
  readonly answerer: End
  readonly events: readonly NatEvent[]
}

/** The host that a conversation has on a side. */
export function hostOf({ side, opener, answerer }: NatConversation, of: Side): End {
  return of === side ? opener : answerer
}

/** Of the router, on the side of the servers. */
export const OWN = { 4: '192.0.2.1', 6: '2001:db8:2::1' } as const
/** From where sources of the second rule are taken, two addresses, and their ports. */
export const POOL = '203.0.113.64'
export const POOL_LAST = '203.0.113.65'
export const POOL_PORTS = [3000, 3100] as const
/** An address with few ports, for clients from 10.0.0.16 on. */
export const SMALL_POOL = '203.0.113.80'
export const SMALL_POOL_PORTS = [4000, 4003] as const
/** What is sent to the router's own address goes to this client instead. */
export const PUBLISHED = [
  { family: 4, protocol: 'tcp', port: 80, address: '10.0.0.9', to: 8080 },
  { family: 4, protocol: 'udp', port: 53, address: '10.0.0.9', to: 5353 },
  { family: 6, protocol: 'tcp', port: 80, address: 'fd00::9', to: 8080 },
] as const
const CLIENTS = { 4: '10.0.0.', 6: 'fd00::' } as const
const SERVERS = { 4: '198.51.100.', 6: '2001:db8:2:1::' } as const
/** A router that stands beside either host. */
const MIDDLE = 77

/** As much of a packet as routers quote, from what RFC 792 asks for on; of 18 and 19 bytes of TCP Linux leaves the checksum as it was. */
const QUOTED_BYTES = { 4: [28, 32, 36, 40, 500], 6: [48, 52, 56, 60, 500] } as const
const ERRORS = {
  4: [
    [3, 0],
    [3, 1],
    [3, 3],
    [3, 4],
    [3, 13],
    [5, 1],
    [11, 0],
    [11, 1],
    [12, 0],
  ],
  6: [
    [1, 0],
    [1, 4],
    [2, 0],
    [3, 0],
    [4, 1],
  ],
} as const

/** A conversation that no other one has, by its number; with datagrams of up to `mostBytes` that may be cut. */
export function randomNatConversation(random: Random, number: number, mostBytes: number): NatConversation {
  const isPublished = random.below(4) === 0
  const ends = isPublished ? publishedEnds(random, number) : outwardEnds(random, number)
  const plain = plainPackets(random, ends, mostBytes)
  const events = plain.flatMap((packet): NatEvent[] => {
    const isUnsummed = packet.protocol === 'udp' && packet.family === 4 && random.below(4) === 0
    const said = [eventOf(ends, packet, random.below(16) === 0 ? 1 : 64, isUnsummed)]
    if (random.below(6) === 0) said.push(errorOf(random, ends))
    return said
  })
  return { number, ...ends, events }
}

/** A client of the small pool speaks to a server, from a port of its own. */
export function smallPoolConversation(number: number, plain: readonly TrackedPacket[]): NatConversation {
  const server = { address: parseAddress(`${SERVERS[4]}3`), port: 80 }
  const opener = { address: parseAddress(`${CLIENTS[4]}16`), port: 20_000 + number }
  const ends = { protocol: plain[0]!.protocol === 'udp' ? 'udp' : 'tcp', side: 'inside', opener } as const
  const whole = { ...ends, target: server, answerer: server }
  return { number, ...whole, events: plain.map((packet) => eventOf(whole, packet)) }
}

type Ends = Pick<NatConversation, 'protocol' | 'side' | 'opener' | 'target' | 'answerer'>

const familyOf = ({ address }: End): 4 | 6 => (address.length === 4 ? 4 : 6)

function outwardEnds(random: Random, number: number): Ends {
  const family = random.below(3) === 0 ? 6 : 4
  const protocol = random.pick(['tcp', 'tcp', 'udp', 'icmp'] as const)
  // Ports that the rules may keep, and others; several clients have the same.
  const round = Math.floor(number / 320)
  const port = random.pick([1000, 3000, 61_000]) + (number % 40) + 40 * (round % 100)
  const client = { address: parseAddress(`${CLIENTS[family]}${1 + (Math.floor(number / 40) % 8)}`), port }
  // Late segments of a connection that has ended could be for whoever has its port now: each has another service.
  const service = protocol === 'icmp' ? port : protocol === 'udp' ? 80 + (round % 1000) : 2000 + (number % 20_000)
  const server = { address: parseAddress(`${SERVERS[family]}${1 + random.below(2)}`), port: service }
  return { protocol, side: 'inside', opener: client, target: server, answerer: server }
}

function publishedEnds(random: Random, number: number): Ends {
  const { family, protocol, port, address, to } = random.pick(PUBLISHED)
  const opener = { address: parseAddress(`${SERVERS[family]}${1 + random.below(2)}`), port: 10_000 + number }
  return {
    ...{ protocol, side: 'outside', opener },
    target: { address: parseAddress(OWN[family]), port },
    answerer: { address: parseAddress(address), port: to },
  }
}

/** What the two say, by the roles that the tracker's tests have names for. */
function plainPackets(random: Random, { protocol, opener }: Ends, mostBytes: number): TrackedPacket[] {
  const family = familyOf(opener)
  if (protocol === 'tcp') return randomConversation(random, 1, family)
  const isTimestamp = protocol === 'icmp' && family === 4 && random.below(4) === 0
  return Array.from({ length: 1 + random.below(12) }, (_, at): TrackedPacket => {
    const from = at === 0 || random.below(2) === 0 ? 'client' : 'server'
    const length = random.below(random.below(2) === 0 ? 20 : mostBytes)
    const payload = Uint8Array.from({ length }, () => random.below(256))
    // Now and then an answer to nothing.
    const isOdd = protocol === 'icmp' && from === 'client' && random.below(8) === 0
    const type = isOdd ? (family === 4 ? 0 : 129) : isTimestamp ? (from === 'client' ? 13 : 14) : undefined
    return { from, family, protocol, payload, ...(length > 20 && { fragment: 0 }), ...(type !== undefined && { type }) }
  })
}

function eventOf(ends: Ends, plain: TrackedPacket, hops = 64, isUnsummed = false): NatEvent {
  const from = plain.from === 'client' ? 'opener' : 'answerer'
  return {
    from,
    what: 'packet',
    description: `${from} ${ends.protocol} ${plain.flags ?? plain.type ?? ''} ${plain.sequence ?? ''} (${plain.payload?.length ?? 0}) hops ${hops}`,
    packet({ seen }, tag) {
      // A server may go on with a connection of which the router does not know yet.
      const opener = seen[ends.side].at(-1) ?? (ends.side === 'outside' ? ends.opener : null)
      if (from === 'answerer' && opener === null) return null
      const [source, destination] = from === 'opener' ? [ends.opener, ends.target] : [ends.answerer, opener!]
      const ip = trackedIp(plain)
      const { isIpv4, addresses, addressBytes, sum } = placesOf(ip)
      ip.set(source.address, addresses)
      ip.set(destination.address, addresses + addressBytes)
      setEnds(ip, from, source, destination)
      ip[isIpv4 ? 8 : 7] = hops
      setTag(ip, tag)
      if (isUnsummed) write16(ip, sum, 0)
      mendSums(ip)
      return ip
    },
  }
}

function setEnds(ip: Uint8Array, from: Role, source: End, destination: End): void {
  const places = placesOf(ip)
  const [first, second] = [portAt(ip, places, 0), portAt(ip, places, 1)]
  if (first === second) write16(ip, first, from === 'opener' ? source.port : destination.port)
  else {
    write16(ip, first, source.port)
    write16(ip, second, destination.port)
  }
}

/** An ICMP error about what one of the two has received last, from himself or from a router beside him; sometimes about what nobody has sent. */
function errorOf(random: Random, ends: Ends): NatEvent {
  const from = random.pick(['opener', 'answerer'] as const)
  const family = familyOf(ends.opener)
  const [type, code] = random.pick<readonly [type: number, code: number]>(ERRORS[family])
  const bytes = random.pick<number>(QUOTED_BYTES[family])
  const isWrong = random.below(6) === 0
  const isInside = (from === 'opener') === (ends.side === 'inside')
  const middle = parseAddress(`${(isInside ? CLIENTS : SERVERS)[family]}${MIDDLE}`)
  const by = random.below(2) === 0 ? middle : ends[from].address
  return {
    from,
    what: 'error',
    description: `${from} error ${type}, ${code} of ${bytes} bytes${isWrong ? ', wrong' : ''}`,
    packet({ received }, tag) {
      const quoted = received[from]?.slice()
      if (quoted === undefined) return null
      const { addresses, addressBytes, transport } = placesOf(quoted)
      // A port that nobody has, or an identifier.
      if (isWrong) quoted[transport + (ends.protocol === 'icmp' ? 4 : 0)]! ^= 0x80
      const to = quoted.slice(addresses, addresses + addressBytes)
      const ip = errorAbout(quoted, by, to, bytes)
      const message = placesOf(ip).transport
      ip.set([type, code], message)
      setTag(ip, tag)
      if (family === 4) mendHeader(ip, 0)
      mendSums(ip)
      return ip
    },
  }
}
