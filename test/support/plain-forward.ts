import type { NextHop, Port } from '../../src/route/index.js'
import { addWords, flowHash, foldChecksum, write16 } from '../../src/wire/index.js'
import { read16 } from './flow-packet.js'
import type { PlainRoutes } from './plain-routes.js'
import type { StageTwin } from './stage-twins.js'

/** What the plain router is told; hops by their number. */
export interface PlainRouter {
  readonly ports: readonly Port[]
  readonly inPort: number
  readonly hops: ReadonlyMap<number, NextHop>
  readonly v4: PlainRoutes
  readonly v6: PlainRoutes
  readonly seed: number
  /** Off, as `forward` may be told. */
  readonly checksum?: boolean
  readonly martians?: 'drop' | 'route'
}

/** Where one packet goes, and as what: an output's name, or a drop's in brackets. */
type Decision = readonly [to: string, packet: Uint8Array]

/** `forward` in plain TypeScript, for packets that nobody has merged. */
export function forwardTwin(router: PlainRouter, outputs: readonly string[], drops: readonly string[]): StageTwin {
  return (packets) => {
    const decisions = packets.map((packet) => decide(router, packet))
    const to = (name: string) => decisions.filter(([other]) => other === name).map(([, packet]) => packet)
    return {
      outputs: outputs.map(to),
      drops: Object.fromEntries(drops.map((reason) => [reason, to(`(${reason})`).length])),
    }
  }
}

export function decide(router: PlainRouter, packet: Uint8Array): Decision {
  const [to, changed] = route(router, packet)
  return [to, changed ?? packet]
}

type Answer = readonly [to: string, changed?: Uint8Array]

function route(router: PlainRouter, packet: Uint8Array): Answer {
  const type = packet.length < 14 ? 0 : read16(packet, 12)
  const isIp = type === 0x0800 || type === 0x86dd
  if (packet.length < 34) return packet.length < 14 || isIp ? ['(malformed)'] : ['local']
  const { mac } = router.ports[router.inPort]!
  const isOwn = mac.every((byte, at) => packet[at] === byte)
  if (!isOwn && packet[0]! % 2 === 0) return ['(other host)']
  if (type === 0x0800) return route4(router, packet, isOwn)
  return type === 0x86dd ? route6(router, packet, isOwn) : ['local']
}

function route4(router: PlainRouter, packet: Uint8Array, isOwn: boolean): Answer {
  const header = (packet[14]! & 15) * 4
  const total = read16(packet, 16)
  if (packet[14]! >> 4 !== 4 || header < 20 || header > total || total > packet.length - 14) return ['(malformed)']
  if (router.checksum !== false && foldChecksum(addWords(0, packet, 14, 14 + header)) !== 0) return ['(bad checksum)']
  const [source, destination] = [packet.subarray(26, 30), packet.subarray(30, 34)]
  const isAll = (address: Uint8Array) => address.every((byte) => byte === 255)
  const isMany = (destination[0]! >= 224 && destination[0]! <= 239) || isAll(destination)
  const isNone = (address: Uint8Array) => [0, 127].includes(address[0]!) || address[0]! >= 224
  if (isAll(destination) && source.every((byte) => byte === 0)) return ['local']
  if (router.martians !== 'route' && (isNone(source) || (isNone(destination) && !isMany))) return ['(martian)']
  if (isMany) return ['local']
  const word = (at: number) => new DataView(packet.buffer, packet.byteOffset).getUint32(at)
  const against = reversePath(router, router.v4, [word(26)])
  if (against !== null) return [against]
  const found = hopFor(router, router.v4.lookup([word(30)]).nextHop, packet)
  const answer = judge(router, found, isOwn, packet[22]!, total)
  if (answer !== null) return [answer]
  const changed = rewritten(router, packet, found)
  const [before, sum] = [read16(packet, 22), read16(packet, 24)]
  changed[22]!--
  // RFC 1624, equation 3: what was wrong stays wrong by as much.
  write16(changed, 24, foldChecksum((~sum & 0xffff) + (~before & 0xffff) + read16(changed, 22)))
  return [`port ${(found as { port: number }).port}`, changed]
}

function route6(router: PlainRouter, packet: Uint8Array, isOwn: boolean): Answer {
  if (packet.length < 54 || packet[14]! >> 4 !== 6 || read16(packet, 18) + 54 > packet.length) return ['(malformed)']
  const view = new DataView(packet.buffer, packet.byteOffset)
  const wordsAt = (at: number) => [0, 4, 8, 12].map((word) => view.getUint32(at + word))
  const [source, destination] = [wordsAt(22), wordsAt(38)]
  const isWithin = ([first]: readonly number[], begin: number, length: number) =>
    first! >>> (32 - length) === begin >>> (32 - length)
  const isMulticast = (address: readonly number[]) => isWithin(address, 0xff000000, 8)
  const isLinkLocal = (address: readonly number[]) => isWithin(address, 0xfe800000, 10)
  const isReserved = ([a, b, c, d]: readonly number[]) =>
    a === 0 && b === 0 && (c === 0xffff || (c === 0 && (d === 0 || d === 1)))
  if (source.every((word) => word === 0) && isMulticast(destination)) return ['local']
  if (router.martians !== 'route' && (isMulticast(source) || isReserved(source) || isReserved(destination)))
    return ['(martian)']
  if (isMulticast(destination) || isLinkLocal(destination)) return ['local']
  const against = isLinkLocal(source) ? null : reversePath(router, router.v6, source)
  if (against !== null) return [against]
  const found = hopFor(router, router.v6.lookup(destination).nextHop, packet)
  const answer = judge(router, found, isOwn, packet[21]!, read16(packet, 18) + 40)
  if (isLinkLocal(source) && (answer === null || answer === 'unresolved')) return ['errors']
  if (answer !== null) return [answer]
  const changed = rewritten(router, packet, found)
  changed[21]!--
  return [`port ${(found as { port: number }).port}`, changed]
}

/** Of a group, the member by the flow's mixed hash, of 64 shares by weight. */
export function hopFor({ hops, seed }: PlainRouter, id: number, packet: Uint8Array): NextHop | undefined {
  const hop = hops.get(id)
  if (hop?.kind !== 'group') return hop
  const bucket = Math.imul(flowHash(packet), seed) >>> 26
  // Of the weights 1 and 3, as the tests have them.
  return hops.get(hop.members[bucket < 16 ? 0 : 1]!.hop)
}

/** Why a packet is not forwarded, or null. */
function judge(router: PlainRouter, hop: NextHop | undefined, isOwn: boolean, lives: number, total: number) {
  if (hop?.kind === 'local') return 'local'
  if (!isOwn) return '(link broadcast)'
  if (router.ports[router.inPort]!.forwarding === false) return '(forwarding off)'
  if (hop === undefined) return 'errors'
  if (hop.kind === 'blackhole') return '(blackhole)'
  if (hop.kind === 'unreachable' || hop.kind === 'prohibit' || lives < 2) return 'errors'
  const { port, mtu = Number.POSITIVE_INFINITY } = hop as { port: number; mtu?: number }
  if (total > Math.min(mtu, router.ports[port]!.mtu)) return 'errors'
  return hop.kind === 'unresolved' ? 'unresolved' : null
}

function reversePath(router: PlainRouter, routes: PlainRoutes, source: readonly number[]): string | null {
  const { reversePath: setting = 'off' } = router.ports[router.inPort]!
  if (setting === 'off') return null
  const hop = router.hops.get(routes.lookup(source).nextHop)
  if (hop?.kind === 'local') return '(martian)'
  const members = hop?.kind === 'group' ? hop.members.map(({ hop: member }) => router.hops.get(member)) : [hop]
  const isRight = members.some((member) => {
    if (member?.kind !== 'forward' && member?.kind !== 'unresolved') return false
    return setting === 'loose' || member.port === router.inPort
  })
  return isRight ? null : '(reverse path)'
}

function rewritten({ ports }: PlainRouter, packet: Uint8Array, hop: NextHop | undefined): Uint8Array {
  const changed = packet.slice()
  if (hop?.kind !== 'forward') throw new Error(`${hop?.kind} is not sent anywhere`)
  changed.set(hop.mac, 0)
  changed.set(ports[hop.port]!.mac, 6)
  return changed
}
