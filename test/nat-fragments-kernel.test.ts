import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { parseAddress } from '../src/kernel/index.js'
import { write16 } from '../src/wire/index.js'
import { cutIp, joinIp, plainIp, randomCuts, readFragment, shuffled } from './support/fragmented.js'
import { mendHeader } from './support/ip-packet.js'
import { OWN } from './support/nat-conversation.js'
import { type NatNetwork, openKernelNat, openRouterNat, type Side, type SidedPacket } from './support/nat-network.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'
import { type TranslatedPacket, translatedIp } from './support/translated-packet.js'

const DATAGRAMS = Number(process.env['SLUICE_CONVERSATIONS'] ?? 240)
const AT_ONCE = 12
const HEADER_BYTES = { tcp: 20, udp: 8, icmp: 8 } as const
/** The transport's header, as who masquerades asks for it. */
const LEAST_FIRST = { tcp: 24, udp: 8, icmp: 8 } as const
/** Behind it stands the number of the datagram. */
const TAG_BYTES = 4

const NFT_RULES = ['ip', 'ip6']
  .map(
    (family) => `table ${family} nat {
  chain postrouting { type nat hook postrouting priority srcnat
    oifname right meta l4proto { tcp, udp, icmp, ipv6-icmp } masquerade to :61000-65535
  }
}
table ${family} filter {
  chain prerouting { type filter hook prerouting priority mangle; ct state invalid drop; }
}`,
  )
  .join('\n')

/** What becomes of the pieces of a datagram on their way to the router. */
const FATES = ['whole', 'whole', 'twice', 'over', 'missing'] as const

/** How a datagram is cut, which of its pieces are sent, in which order, and before which of them it comes too long. */
interface Plan {
  readonly cuts: readonly number[]
  readonly order: readonly number[]
  readonly over: number | null
  readonly fate: (typeof FATES)[number]
}

interface Question {
  readonly tag: number
  readonly asked: TranslatedPacket
  readonly plan: Plan
}

function ask(random: Random, tag: number): Question {
  const family = random.pick([4, 6] as const)
  const protocol = random.pick(['udp', 'udp', 'icmp', 'tcp'] as const)
  const payload = Uint8Array.from({ length: TAG_BYTES + 60 + random.below(3000) }, () => random.below(256))
  new DataView(payload.buffer).setUint32(0, tag)
  const asked: TranslatedPacket = {
    ...{ protocol, payload, isReply: false, flags: 0x10 },
    source: parseAddress(family === 4 ? `10.0.0.${1 + random.below(20)}` : `fd00::${1 + random.below(9)}`),
    destination: parseAddress(family === 4 ? '198.51.100.1' : '2001:db8:2:1::1'),
    sourcePort: 1024 + tag,
    destinationPort: protocol === 'icmp' ? 1024 + tag : 53,
    isUnsummed: protocol === 'udp' && family === 4 && random.below(3) === 0,
  }
  return { tag, asked, plan: planFor(random, asked) }
}

/** Pieces of at most 1,448 bytes, in an order of chance, and what happens to them. */
function planFor(random: Random, { protocol, payload }: TranslatedPacket): Plan {
  const bytes = HEADER_BYTES[protocol] + payload.length
  const chosen = [...randomCuts(random, bytes, LEAST_FIRST[protocol]), 1400, 2800]
  // So far apart that a piece is longer than what another has too much.
  const cuts = [...new Set(chosen.map((cut) => cut - (cut % 16) + 8))]
    .filter((cut) => cut >= LEAST_FIRST[protocol] && cut + 8 < bytes)
    .toSorted((one, other) => one - other)
  const order = shuffled(random, [...cuts.keys(), cuts.length])
  const fate = order.length > 1 ? random.pick(FATES) : 'whole'
  const at = random.below(order.length)
  if (fate === 'twice') order.splice(at + random.below(order.length - at), 0, order[at]!)
  if (fate === 'missing') order.splice(at, 1)
  // Never the last one, behind which nothing is.
  return { cuts, order, fate, over: fate === 'over' ? order.findIndex((piece) => piece < cuts.length) : null }
}

function isLost({ fate }: Plan): boolean {
  return fate === 'over' || fate === 'missing'
}

function piecesOf({ cuts, order, over }: Plan, packet: TranslatedPacket, identification: number): Uint8Array[] {
  const pieces = cutIp(translatedIp(packet), cuts, identification)
  return order.flatMap((piece, at) => (at === over ? [longer(pieces[piece]!), pieces[piece]!] : [pieces[piece]!]))
}

/** A piece with eight bytes more than it has, which are another's. */
function longer(piece: Uint8Array): Uint8Array {
  const more = Uint8Array.from([...piece, ...new Uint8Array(8)])
  const { isIpv4 } = readFragment(piece)
  write16(more, isIpv4 ? 2 : 4, more.length - (isIpv4 ? 0 : 40))
  if (isIpv4) mendHeader(more, 0)
  return more
}

/** Whole datagrams of what has arrived at a side, by their number. */
function joined(arrived: readonly SidedPacket[], side: Side): Map<number, Uint8Array> {
  const groups = new Map<string, Uint8Array[]>()
  const wholes: Uint8Array[] = []
  for (const { side: by, ip } of arrived) {
    if (by !== side) continue
    const isFragment = ip[0]! >> 4 === 4 ? ((ip[6]! << 8) | ip[7]!) & 0x3fff : ip[6] === 44
    if (!isFragment) wholes.push(plainIp(ip))
    else {
      const name = `${readFragment(ip).identification} ${ip[0]! >> 4} ${ip[0]! >> 4 === 4 ? ip[9] : ip[40]}`
      const others = groups.get(name) ?? []
      // What comes once more when all has come is the begin of another datagram, which gets no further.
      if (!others.some((other) => Buffer.compare(other, ip) === 0)) groups.set(name, [...others, ip])
    }
  }
  for (const pieces of groups.values()) {
    const whole = joinIp(pieces)
    if (whole !== null) wholes.push(whole)
  }
  return new Map(wholes.map((ip) => [tagOf(ip), ip]))
}

function tagOf(ip: Uint8Array): number {
  const protocol = { 1: 'icmp', 58: 'icmp', 6: 'tcp', 17: 'udp' }[ip[ip[0]! >> 4 === 4 ? 9 : 6]!] ?? 'udp'
  const at = (ip[0]! >> 4 === 4 ? 20 : 40) + HEADER_BYTES[protocol as keyof typeof HEADER_BYTES]
  return ip.length < at + TAG_BYTES ? 0 : new DataView(ip.buffer, ip.byteOffset + at).getUint32(0)
}

/** The port that a datagram leaves by. */
function portOf(ip: Uint8Array, { protocol }: TranslatedPacket): number {
  const at = (ip[0]! >> 4 === 4 ? 20 : 40) + (protocol === 'icmp' ? 4 : 0)
  return (ip[at]! << 8) | ip[at + 1]!
}

describe('fragments are translated as the kernel does it, by one worker and by two', {
  skip: skipUnless('root', 'nft', 'ip'),
}, () => {
  const networks: NatNetwork[] = []
  const warnings: string[] = []

  before(async () => {
    networks.push(await openKernelNat(NFT_RULES, 1500))
    for (const workers of [1, 2])
      networks.push(await openRouterNat([{ kind: 'masquerade', outPort: 1 }], 1500, warnings, workers))
  })

  after(async () => {
    for (const network of networks) await network.close()
    assert.deepEqual(warnings, [])
  })

  it('in random orders, with some twice, missing, or too long, both ways', async (context) => {
    const random = seededRandom(context, 'nat-fragments-kernel')
    let [arrived, lost] = [0, 0]
    /** Compares what of these gets through a network with what should. */
    async function compare(network: NatNetwork, side: Side, sent: readonly Sent[]): Promise<Map<number, Uint8Array>> {
      const packets = sent.flatMap(({ pieces }) => pieces.map((ip): SidedPacket => ({ side, ip })))
      const to = side === 'inside' ? 'outside' : 'inside'
      const isAll = (found: readonly SidedPacket[]) => {
        const whole = joined(found, to)
        return sent.every(({ tag, plan }) => isLost(plan) || whole.has(tag))
      }
      const out = joined(await network.pass(packets, isAll), to)
      for (const { tag, plan, wanted } of sent) {
        const ip = out.get(tag)
        assert.equal(
          ip === undefined,
          isLost(plan),
          `${tag}, ${JSON.stringify(plan)}, network ${networks.indexOf(network)}`,
        )
        if (ip === undefined) lost++
        else {
          arrived++
          assert.deepEqual(ip, plainIp(translatedIp(wanted(ip))))
        }
      }
      return out
    }
    for (let first = 1; first <= DATAGRAMS; first += AT_ONCE) {
      const questions = Array.from({ length: AT_ONCE }, (_, at) => ask(random, first + at))
      const plans = questions.map(({ asked }) => planFor(random, asked))
      for (const network of networks) {
        const shown =
          ({ asked }: Question) =>
          (ip: Uint8Array) =>
            shownAs(asked, portOf(ip, asked))
        const out = await compare(
          network,
          'inside',
          questions.map((each) => ({
            ...each,
            pieces: piecesOf(each.plan, each.asked, each.tag),
            wanted: shown(each),
          })),
        )
        const answers = questions.flatMap(({ tag, asked }, at): Sent[] => {
          const ip = out.get(tag)
          if (ip === undefined) return []
          const answer = answerTo(shownAs(asked, portOf(ip, asked)))
          const wanted = { ...answerTo(asked), hops: 63 }
          return [{ tag, plan: plans[at]!, pieces: piecesOf(plans[at]!, answer, tag), wanted: () => wanted }]
        })
        await compare(network, 'outside', answers)
      }
    }
    assert(arrived > DATAGRAMS && lost > DATAGRAMS / 2, `${arrived} arrived, ${lost} did not`)
  })
})

/** A datagram's pieces, and what is to come out of them if something does. */
interface Sent {
  readonly tag: number
  readonly plan: Plan
  readonly pieces: readonly Uint8Array[]
  wanted(arrived: Uint8Array): TranslatedPacket
}

/** As it leaves the router. */
function shownAs(packet: TranslatedPacket, port: number): TranslatedPacket {
  return {
    ...packet,
    source: parseAddress(OWN[packet.source.length === 4 ? 4 : 6]),
    sourcePort: port,
    hops: 63,
    ...(packet.protocol === 'icmp' && { destinationPort: port }),
  }
}

/** The same bytes back. */
function answerTo({ source, destination, sourcePort, destinationPort, hops: _, ...packet }: TranslatedPacket) {
  return {
    ...packet,
    ...{ source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort },
    ...{ isReply: true, sequence: 1, acknowledged: 1 },
  }
}
