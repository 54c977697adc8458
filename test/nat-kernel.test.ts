import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { NatRule } from '../src/control/router/router.js'
import { formatAddress } from '../src/control/traffic-range.js'
import { parseAddress } from '../src/kernel/index.js'
import { read16 } from './support/flow-packet.js'
import { mendHeader, placesOf, portAt, setTag, tagOf } from './support/ip-packet.js'
import {
  type End,
  hostOf,
  type NatConversation,
  type NatEvent,
  type NatView,
  OWN,
  POOL,
  POOL_LAST,
  POOL_PORTS,
  PUBLISHED,
  randomNatConversation,
  SMALL_POOL,
  SMALL_POOL_PORTS,
  smallPoolConversation,
} from './support/nat-conversation.js'
import {
  type NatNetwork,
  openKernelNat,
  openRouterNat,
  SIDES,
  type Side,
  type SidedPacket,
} from './support/nat-network.js'
import { plainOf } from './support/nat-plain.js'
import { seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'
import type { TrackedPacket } from './support/tracked-packet.js'

/** Random conversations; more where a longer run is asked for. */
const CONVERSATIONS = Number(process.env['SLUICE_CONVERSATIONS'] ?? 400)
/** Of which so many go on at the same time. */
const AT_ONCE = 24
const MASQUERADE_PORTS = [61_000, 65_535] as const

const RULES: readonly NatRule[] = [
  ...PUBLISHED.map(
    ({ family, protocol, port, address, to }): NatRule => ({
      kind: 'destination',
      to: {
        ...{ address: parseAddress(OWN[family]), length: family === 4 ? 32 : 128 },
        ...{ protocol: protocol === 'tcp' ? 6 : 17, port },
      },
      ...{ address: parseAddress(address), port: to },
    }),
  ),
  {
    kind: 'source',
    from: { address: parseAddress('10.0.0.4'), length: 30 },
    ...{ outPort: 1, to: parseAddress(POOL), count: 2, ports: POOL_PORTS },
  },
  {
    kind: 'source',
    from: { address: parseAddress('10.0.0.16'), length: 30 },
    ...{ outPort: 1, to: parseAddress(SMALL_POOL), ports: SMALL_POOL_PORTS },
  },
  { kind: 'masquerade', outPort: 1 },
]

const published = (wanted: 4 | 6) =>
  PUBLISHED.filter(({ family }) => family === wanted).map(({ protocol, port, address, to }) =>
    wanted === 4
      ? `ip daddr ${OWN[4]} ${protocol} dport ${port} dnat to ${address}:${to}`
      : `ip6 daddr ${OWN[6]} ${protocol} dport ${port} dnat to [${address}]:${to}`,
  )

/**
 * The same for nftables. What is invalid goes nowhere, and what is for a port
 * of the router that nobody has: the router's kernel does not hear of these, as
 * they are the translation's, so that this one must not answer either.
 */
const NFT_RULES = `
table ip nat {
  chain prerouting { type nat hook prerouting priority dstnat; ${published(4).join('; ')}; }
  chain postrouting { type nat hook postrouting priority srcnat
    oifname right ip saddr 10.0.0.4/30 meta l4proto { tcp, udp, icmp } snat to ${POOL}-${POOL_LAST}:${POOL_PORTS.join('-')}
    oifname right ip saddr 10.0.0.16/30 meta l4proto { tcp, udp } snat to ${SMALL_POOL}:${SMALL_POOL_PORTS.join('-')}
    oifname right meta l4proto { tcp, udp, icmp } masquerade to :${MASQUERADE_PORTS.join('-')}
  }
}
table ip6 nat {
  chain prerouting { type nat hook prerouting priority dstnat; ${published(6).join('; ')}; }
  chain postrouting { type nat hook postrouting priority srcnat
    oifname right meta l4proto { tcp, udp, ipv6-icmp } masquerade to :${MASQUERADE_PORTS.join('-')}
  }
}
table inet filter {
  chain prerouting { type filter hook prerouting priority mangle; ct state invalid drop; }
  chain input { type filter hook input priority filter; meta l4proto { tcp, udp } th dport 61000-65535 drop; }
}
`

/** A conversation under way in both networks. */
interface UnderWay {
  readonly conversation: NatConversation
  readonly views: readonly [NatView, NatView]
  next: number
  readonly said: string[]
}

for (const mtu of [1500, 700])
  describe(`addresses are translated as the kernel translates them, over ways of ${mtu} bytes`, {
    skip: skipUnless('root', 'nft', 'ip'),
  }, () => {
    const networks: NatNetwork[] = []
    const warnings: string[] = []
    let [passed, stopped, cut] = [0, 0, 0]

    before(async () => {
      networks.push(await openKernelNat(NFT_RULES, mtu))
      networks.push(await openRouterNat(RULES, mtu, warnings))
    })

    after(async () => {
      for (const network of networks) await network.close()
      assert.deepEqual(warnings, [])
    })

    it('random conversations: byte for byte, but for the ports that are chosen', async (context) => {
      const random = seededRandom(context, 'nat-kernel')
      const waiting = Array.from({ length: CONVERSATIONS }, (_, number) =>
        begin(randomNatConversation(random, number, mtu < 1500 ? 1400 : 20)),
      ).filter(({ conversation }) => conversation.events.length > 0)
      const active: UnderWay[] = []
      for (let tag = 1; waiting.length + active.length > 0; ) {
        while (active.length < AT_ONCE && waiting.length > 0) active.push(waiting.shift()!)
        const speaking = active.filter(() => random.below(3) > 0)
        await compare(
          speaking.map((each): Step => ({ each, event: each.conversation.events[each.next++]!, tag: tag++ & 0xffff })),
        )
        for (const done of active.filter(({ conversation, next }) => next >= conversation.events.length))
          active.splice(active.indexOf(done), 1)
      }
      assert(passed > CONVERSATIONS && stopped > CONVERSATIONS / 4, `${passed} packets passed, ${stopped} did not`)
      assert(mtu === 1500 || cut > CONVERSATIONS / 2, `${cut} fragments`)
    })

    it('ports that are all taken: of datagrams, of connections, and of such as have ended', async () => {
      let tag = 0
      const say = async (conversation: NatConversation) => {
        const each = begin(conversation)
        for (const event of conversation.events) await compare([{ each, event, tag: ++tag }])
        return each.said.at(-1)!.split(': ')[1]
      }
      const datagram: TrackedPacket = { from: 'client', protocol: 'udp' }
      const segments = (start: number): TrackedPacket[] => [
        { from: 'client', flags: 'S', sequence: start },
        { from: 'server', flags: 'S.', sequence: 1, acknowledged: start + 1 },
        { from: 'client', flags: '.', sequence: start + 1, acknowledged: 2 },
        { from: 'client', flags: 'F.', sequence: start + 1, acknowledged: 2 },
        { from: 'server', flags: 'F.', sequence: 2, acknowledged: start + 2 },
        { from: 'client', flags: '.', sequence: start + 2, acknowledged: 3 },
      ]
      for (let number = 0; number < 5; number++)
        assert.equal(await say(smallPoolConversation(number, [datagram])), number < 4 ? 'outside' : '')
      for (let number = 0; number < 4; number++)
        assert.equal(await say(smallPoolConversation(number, segments(1000))), 'outside')
      // Its numbers are not beyond those of who had the port before; then they are.
      assert.equal(await say(smallPoolConversation(4, segments(900).slice(0, 1))), '')
      assert.equal(await say(smallPoolConversation(5, segments(2000).slice(0, 3))), 'outside')
      for (let number = 6; number < 9; number++)
        assert.equal(await say(smallPoolConversation(number, segments(2000).slice(0, 3))), 'outside')
      // None of these has ended.
      assert.equal(await say(smallPoolConversation(9, segments(9000).slice(0, 1))), '')
    })

    /** Each step is one of another conversation. */
    async function compare(steps: readonly Step[]): Promise<void> {
      const packets = steps.map(({ each, event, tag }) => {
        const both = each.views.map((view) => event.packet(view, tag))
        // What one of the two knows too little for is not said.
        return both.includes(null) ? [] : both
      })
      const found = []
      for (const [index, network] of networks.entries()) {
        const sent = steps.flatMap((step, at): SidedPacket[] => {
          const ip = packets[at]![index]
          return ip ? [{ side: sideOf(step), ip }] : []
        })
        found.push(read(steps, index, withTags(await network.pass(sent), sent)))
      }
      const [kernel, router] = found
      for (const step of steps) {
        const { each, event } = step
        const arrived = kernel!.get(step) ?? []
        if (arrived.length > 0) passed++
        else stopped++
        each.said.push(`${event.description}: ${arrived.map((line) => line.split(' ')[0])}`)
        assert.deepEqual(
          router!.get(step) ?? [],
          arrived,
          `conversation ${each.conversation.number}\n${each.said.join('\n')}`,
        )
      }
      assert.deepEqual(router!.get(null), kernel!.get(null))
    }

    /** What arrived, by the step that it is of: where, and what, as both routers should agree on it. */
    function read(steps: readonly Step[], index: number, arrived: readonly SidedPacket[]): Map<Step | null, string[]> {
      const byTag = new Map(steps.map((step) => [step.tag, step]))
      const found = new Map<Step | null, string[]>()
      for (const { side, ip } of arrived) {
        const { quoted, isFragment } = placesOf(ip)
        if (isFragment) cut++
        // A router's own error goes to who has sent what it quotes; its own tag is chance.
        const about = quoted === 0 ? undefined : byTag.get(tagOf(ip, quoted))
        const isOwn = about !== undefined && sideOf(about) === side
        const step = (isOwn ? about : byTag.get(tagOf(ip))) ?? null
        if (step !== null && !isOwn && step.event.what === 'packet') learn(step, ip, index)
        const { conversation, views } = step?.each ?? {}
        const hosts = SIDES.flatMap((of) =>
          conversation ? views![index]!.seen[of].map((seen) => ({ real: hostOf(conversation, of), seen })) : [],
        )
        found.set(step, [...(found.get(step) ?? []), `${side} ${plainOf(ip, hosts, isOwn)}`])
      }
      return found
    }
  })

/** One packet of a conversation in both networks, and what it is known by. */
interface Step {
  readonly each: UnderWay
  readonly event: NatEvent
  readonly tag: number
}

/**
 * Gives the pieces of what a router has cut the tag back of what it was: ours
 * gives them an identification that no other host behind it has chosen (RFC 6864).
 */
function withTags(arrived: readonly SidedPacket[], sent: readonly SidedPacket[]): SidedPacket[] {
  const nameOf = ({ side, ip }: SidedPacket) => `${side} ${tagOf(ip)}`
  const tags = new Map<string, number>()
  for (const piece of arrived) {
    const { isFragment, isLater, transport } = placesOf(piece.ip)
    if (!isFragment || isLater) continue
    // Behind all that a translation changes.
    const payload = (ip: Uint8Array) => ip.subarray(transport + 24, piece.ip.length)
    const whole = sent.find(
      ({ side, ip }) => side !== piece.side && Buffer.compare(payload(ip), payload(piece.ip)) === 0,
    )
    if (whole) tags.set(nameOf(piece), tagOf(whole.ip))
  }
  return arrived.map((piece) => {
    const tag = placesOf(piece.ip).isFragment ? tags.get(nameOf(piece)) : undefined
    if (tag === undefined) return piece
    const ip = piece.ip.slice()
    setTag(ip, tag)
    mendHeader(ip, 0)
    return { side: piece.side, ip }
  })
}

/** From where it is sent. */
function sideOf({ each: { conversation }, event }: Step): Side {
  return (event.from === 'opener') === (conversation.side === 'inside') ? 'inside' : 'outside'
}

/** What the other of the two knows from now on. */
function learn(step: Step, ip: Uint8Array, index: number): void {
  const { each, event } = step
  if (placesOf(ip).isLater) return
  const view = each.views[index]!
  view.received[event.from === 'opener' ? 'answerer' : 'opener'] = ip
  const places = placesOf(ip)
  const { addresses, addressBytes } = places
  const end = { address: ip.slice(addresses, addresses + addressBytes), port: read16(ip, portAt(ip, places, 0)) }
  const seen = view.seen[sideOf(step)]
  const last = seen.at(-1)
  if (last === undefined || last.port !== end.port || Buffer.compare(last.address, end.address) !== 0) seen.push(end)
  if (sideOf(step) === 'inside' && seen.at(-1) === end) assertChosen(each.conversation, end)
}

/** The host inside is shown as a rule wants it. */
function assertChosen(conversation: NatConversation, { address, port }: End): void {
  const { address: inner } = hostOf(conversation, 'inside')
  const isPooled = inner.length === 4 && inner[3]! >= 4 && inner[3]! < 8
  const isPublished = conversation.side === 'outside' && port === conversation.target.port
  const own = [formatAddress(parseAddress(OWN[address.length === 4 ? 4 : 6]))]
  if (inner.length === 4 && inner[3]! >= 16) return
  assert((isPooled ? [POOL, POOL_LAST] : own).includes(formatAddress(address)), formatAddress(address))
  const [lowest, highest] = isPooled ? POOL_PORTS : MASQUERADE_PORTS
  assert(isPublished || (port >= lowest && port <= highest), `${port}`)
}

function begin(conversation: NatConversation): UnderWay {
  const { side, target } = conversation
  const view = (): NatView => ({
    seen: { inside: side === 'inside' ? [] : [target], outside: side === 'inside' ? [target] : [] },
    received: { opener: null, answerer: null },
  })
  return { conversation, views: [view(), view()], next: 0, said: [] }
}
