import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Router, startRouter } from '../src/control/router/router.js'
import { spawnInNamespace } from '../src/kernel/index.js'
import { type Ipv4, type Ipv4Prefix, type RouteUpdate, updateMessage } from './support/bgp-message.js'
import { type Bird, startBird } from './support/bird.js'
import { describeHop } from './support/describe-hop.js'
import { eventually } from './support/eventually.js'
import { routeGet } from './support/kernel-routes.js'
import { lostAtRings } from './support/own-drops.js'
import { assertAnswered, pings } from './support/ping.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'
import { watchWire } from './support/watch-wire.js'

const UPDATES = 100_000
const ROUNDS = 40
const PACKETS_A_SECOND = 4000
const PORT = 9000
/** Between what is told in one round and what is settled, and the next round: for packets that only one host may get. */
const STILL_MS = 40
/** Times are whole milliseconds. */
const CLOCK_MS = 2

const DEVICES = ['left', 'right', 'far'] as const
/** Those whom packets may be for, and how the speaker calls them. */
const WAYS = { right: [192, 0, 2, 2], far: [192, 0, 3, 2] } as const
type Way = keyof typeof WAYS
const AS = { router: 64_500, speaker: 64_501 }

const BIRD = `
router id 192.0.1.1;
log stderr all;
protocol device {}
protocol kernel { ipv4 { import none; export all; }; }
protocol bgp speaker {
  local 192.0.1.1 as ${AS.router};
  neighbor ${HOSTS[0]} as ${AS.speaker};
  ipv4 { import all; export none; };
}
`

describe('routes that BIRD gets by BGP', { skip: skipUnless('root', 'ip', 'bird', 'ping', 'tcpdump') }, () => {
  let network: RoutedNetwork
  let router: Router
  let bird: Bird
  let speaker: ChildProcess
  let sender: ChildProcess
  const warnings: string[] = []
  const child = (name: string, ...args: readonly (string | number)[]) => {
    const file = fileURLToPath(new URL(`./support/${name}.js`, import.meta.url))
    const options = { serialization: 'advanced' } as const
    return spawnInNamespace(network.left, file, args.map(String), options)
  }

  before(async () => {
    network = createRoutedNetwork({ others: ['far'] })
    router = await startRouter({
      devices: DEVICES,
      namespace: network.router,
      tables: { v4: { rootBits: 16, nodes: 16_384 }, v6: { nodes: 256, routes: 256 } },
      warn: (text) => warnings.push(text),
    })
    // Who is asked for at first is another test's subject.
    for (const host of [HOSTS[1], WAYS.far.join('.')])
      assertAnswered((await runIn(network.left, [...pings(1), host])).stdout, 1)
    bird = startBird(network.router, BIRD)
    await eventually('BIRD is up', async () => /:179 /.test((await runIn(network.router, ['ss', '-ltn'])).stdout))
    speaker = child('bgp-speaker', '192.0.1.1', AS.speaker, HOSTS[0])
    await once(speaker, 'message')
    sender = child('numbered-sender', PACKETS_A_SECOND, PORT)
    await once(sender, 'message')
  })

  after(async () => {
    for (const each of [speaker, sender]) each?.kill('SIGKILL')
    bird?.close()
    router.close()
    await router.done
    network.close()
  })

  const look = (address: Uint8Array) =>
    describeHop(router.space, router.tables, DEVICES, router.tables.lookup(address).nextHop)

  /** Tells the speaker's neighbour, and comes back when the last of it is in the tables. */
  async function tell(updates: readonly RouteUpdate[], round: number): Promise<void> {
    const last = { address: [10, 200, round, 0], length: 24 } as const
    const messages = [...updates, { prefix: last, via: WAYS.right }].map((update) => updateMessage(AS.speaker, update))
    speaker.send(Buffer.concat(messages))
    await eventually(`the last route of round ${round}: ${bird.said()}`, () =>
      look(Uint8Array.from(last.address)).startsWith('right'),
    )
  }

  test(`${UPDATES} updates while packets flow: none is lost, none goes astray`, async (context) => {
    const random = seededRandom(context, 'bgp')
    const plan = openPlan(random)
    await tell(plan.first(), 0)
    const wires = await Promise.all(
      ([1, 2] as const).map((host) =>
        watchWire({ namespace: network.hosts[host]!, name: 'eth0' }, 'udp', 'port', `${PORT}`),
      ),
    )
    const listedBefore = router.mirror.statistics().listed
    const { forwarded: forwardedBefore, ...totalsBefore } = router.totals()
    sender.send(plan.addresses.map((address) => address.join('.')))
    const spans: Span[] = []
    let told = 0
    for (let round = 1; round <= ROUNDS; round++) {
      await setTimeout(STILL_MS)
      const [from, ways] = [Date.now(), plan.ways()]
      const updates = plan.next(Math.ceil((UPDATES * round) / ROUNDS) - told)
      told += updates.length
      await tell(updates, round)
      spans.push({ from, to: Date.now(), before: ways })
    }
    await setTimeout(STILL_MS)
    sender.send('stop')
    const [sent] = await once(sender, 'message')
    // What is missing then is named below.
    const forwarded = () => router.totals().forwarded - forwardedBefore
    await eventually('all have gone through', () => forwarded() >= sent).catch(() => {})
    const arrived = (await Promise.all(wires.map((wire) => wire.stop()))).map((packets) => packets.map(readNumbered))
    context.diagnostic(`${told} updates in ${spans.at(-1)!.to - spans[0]!.from} ms, ${sent} packets`)
    const numbers = arrived.flat().map(({ number }) => number)
    assert.equal(numbers.length, new Set(numbers).size, 'packets came twice')
    // Where this thread stood still, rings were full, and the kernel says how often.
    const lost = lostAtRings(router.totals()) - lostAtRings(totalsBefore)
    const gone = missing(numbers, sent)
    assert(
      gone.length <= lost,
      `${gone.slice(0, 10)} of ${gone.length} are missing: ${JSON.stringify(router.totals())}`,
    )
    const names = Object.keys(WAYS) as Way[]
    const last = plan.ways()
    let [strict, strictOfChanging] = [0, 0]
    arrived.forEach((packets, host) => {
      for (const packet of packets) {
        const index = packet.number % plan.addresses.length
        const allowed = allowedWays(spans, last, packet, index)
        if (allowed.size === 1) strict++
        if (allowed.size === 1 && index >= PER_KIND) strictOfChanging++
        assert(allowed.has(names[host]!), `packet ${packet.number} came to ${names[host]}, not to ${[...allowed]}`)
      }
    })
    context.diagnostic(`of ${strict} packets only one way was right when they went`)
    // The way of the first kind is always one.
    assert(strictOfChanging > 0)
    assert.deepEqual(warnings, [])
    const { listed } = router.mirror.statistics()
    assert(listed - listedBefore <= 2, `everything was listed ${listed - listedBefore} times`)
  })

  test('afterwards the tables are the kernel’s', (context) => {
    const random = seededRandom(context, 'bgp')
    const addresses = Array.from({ length: 2000 }, () =>
      Uint8Array.of(
        10,
        random.pick([64, 65, 66, 128, 129, 200, random.below(256)]),
        random.below(256),
        random.below(256),
      ),
    )
    const kernel = routeGet(network.router, addresses)
    addresses.forEach((address, index) => {
      assert.equal(look(address).split(' ')[0], kernel[index], address.join('.'))
    })
    assert(['right', 'far', 'none'].every((answer) => kernel.includes(answer)))
  })
})

/** While updates were told and taken; which way each address went before. */
interface Span {
  readonly from: number
  readonly to: number
  readonly before: readonly Way[]
}

interface Numbered {
  readonly number: number
  readonly sentAt: number
  readonly arrivedAt: number
}

const UDP_PAYLOAD_AT = 14 + 20 + 8

function readNumbered(packet: { readonly data: Uint8Array; readonly seconds: number; readonly nanoseconds: number }) {
  const view = new DataView(packet.data.buffer, packet.data.byteOffset + UDP_PAYLOAD_AT)
  const arrivedAt = packet.seconds * 1000 + packet.nanoseconds / 1e6
  return { number: view.getUint32(0), sentAt: view.getFloat64(8), arrivedAt }
}

/** Those that are not there. */
function missing(numbers: readonly number[], count: number): number[] {
  const there = new Set(numbers)
  return Array.from({ length: count }, (_, number) => number).filter((number) => !there.has(number))
}

/** Those whom the packet may have gone to, at any moment of its way. */
function allowedWays(spans: readonly Span[], last: readonly Way[], packet: Numbered, index: number): Set<Way> {
  const [from, to] = [packet.sentAt - CLOCK_MS, packet.arrivedAt + CLOCK_MS]
  const allowed = new Set<Way>()
  spans.forEach((span, at) => {
    const next = spans[at + 1]
    if (from <= span.to && to >= span.from) allowed.add(span.before[index]!)
    // From when it is told to when the next is settled.
    if (from <= (next?.to ?? Number.POSITIVE_INFINITY) && to >= span.from) allowed.add((next?.before ?? last)[index]!)
    if (at === 0 && from <= span.from) allowed.add(span.before[index]!)
  })
  return allowed
}

const PER_KIND = 256

/**
 * What is told. To three kinds of networks packets go, to the rest none:
 *
 * - 10.64.x.0/24: its own route stays, `right`; that of 10.64.0.0/16 and those of its other half, 10.64.x.128/25, change;
 * - 10.65.x.0/24: its own route leads now to the one, now to the other;
 * - 10.66.x.0/24: is there, `far`, or it is not, and then 10.66.0.0/16 leads `right`;
 * - 10.128.0.0/15: many others come, go and change.
 */
function openPlan(random: Random) {
  const told = new Map<string, Way | null>()
  const addresses = [64, 65, 66].flatMap((second) =>
    Array.from({ length: PER_KIND }, (_, third): Ipv4 => [10, second, third, 9]),
  )
  const tell = (prefix: Ipv4Prefix, way: Way | null): RouteUpdate => {
    told.set(keyOf(prefix), way)
    return { prefix, via: way === null ? null : WAYS[way] }
  }
  const wayOf = (...[a, b, c, d, length]: [...Ipv4, number]) =>
    told.get(keyOf({ address: [a, b, c, d], length })) ?? null
  /** Another one than before. */
  const change = (prefix: Ipv4Prefix, choices: readonly (Way | null)[]) => {
    const before = told.get(keyOf(prefix)) ?? null
    return tell(prefix, random.pick(choices.filter((way) => way !== before)))
  }
  const every = Array.from({ length: PER_KIND }, (_, third) => third)
  const both = ['right', 'far'] as const

  function anyChange(): RouteUpdate {
    const third = random.below(PER_KIND)
    switch (random.below(8)) {
      case 0:
        return change({ address: [10, 64, 0, 0], length: 16 }, [...both, null])
      case 1:
        return change({ address: [10, 64, third, 128], length: 25 }, [...both, null])
      default:
        return change({ address: [10, 128 + random.below(2), third, 0], length: 24 }, [...both, null])
    }
  }

  return {
    addresses,
    first: () => [
      tell({ address: [10, 66, 0, 0], length: 16 }, 'right'),
      ...every.flatMap((third) => [
        tell({ address: [10, 64, third, 0], length: 24 }, 'right'),
        tell({ address: [10, 65, third, 0], length: 24 }, 'far'),
      ]),
    ],
    /** Of each network that changes its way at most one change, in an order of its own. */
    next(count: number): RouteUpdate[] {
      const flips = every.flatMap((third) => [
        change({ address: [10, 65, third, 0], length: 24 }, both),
        change({ address: [10, 66, third, 0], length: 24 }, ['far', null]),
      ])
      const others = Array.from({ length: count - flips.length }, anyChange)
      for (const flip of flips) others.splice(random.below(others.length + 1), 0, flip)
      return others
    },
    /** Which way packets to each of the addresses go when all is settled. */
    ways: (): Way[] => addresses.map(([a, b, c]) => wayOf(a, b, c, 0, 24) ?? wayOf(a, b, 0, 0, 16)!),
  }
}

function keyOf({ address, length }: Ipv4Prefix): string {
  return `${address.join('.')}/${length}`
}
