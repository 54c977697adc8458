import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type Router, startRouter } from '../src/control/router/router.js'
import { type NetworkNamespace, parseAddress, withNamespace, writeSysctl } from '../src/kernel/index.js'
import { addWords, foldChecksum, write16 } from '../src/wire/index.js'
import { eventually } from './support/eventually.js'
import { type FlowPacket, flowFrame, read16 } from './support/flow-packet.js'
import { type HostSocket, openHostSocket } from './support/host-socket.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

const ROUTER_MAC = [2, 0, 0, 0, 0, 0x11]
const HOST_MAC = [2, 0, 0, 0, 0, 0x21]
/** Three solicitations of the kernel, a second each. */
const RESOLUTION_MS = 3600
const FIRST_SOURCE = 100

/** A packet from the left host, of which the router has something to say or has not. */
interface Case {
  readonly title: string
  readonly to: string
  readonly packet?: Partial<FlowPacket>
  /** Put into the frame behind what is written there otherwise; sums of the IPv4 header are put right again. */
  readonly bytes?: readonly (readonly [at: number, byte: number])[]
}

const icmp = (family: 4 | 6, type: number): Case['bytes'] =>
  family === 4 ? [[23, 1] as const, [34, type] as const] : [[20, 58] as const, [54, type] as const]
const payload = (bytes: number) => Uint8Array.from({ length: bytes }, (_, at) => at)

/** The nets of `ROUTES` and the hosts of the network. */
const CASES4: readonly Case[] = [
  { title: 'time exceeded', to: HOSTS[1], packet: { hops: 1 } },
  { title: 'time exceeded, all of the type of service', to: HOSTS[1], packet: { hops: 1, service: 0xff } },
  { title: 'time exceeded, more than is quoted', to: HOSTS[1], packet: { hops: 1, payload: payload(1400) } },
  { title: 'time exceeded, as much as is quoted', to: HOSTS[1], packet: { hops: 1, payload: payload(520) } },
  { title: 'time exceeded, one byte more', to: HOSTS[1], packet: { hops: 1, payload: payload(521) } },
  { title: 'time exceeded, TCP', to: HOSTS[1], packet: { hops: 1, protocol: 'tcp' } },
  { title: 'time exceeded, a first fragment', to: HOSTS[1], packet: { hops: 1, fragment: 0x2000 } },
  { title: 'nothing about a later fragment', to: HOSTS[1], packet: { hops: 1, fragment: 0x0010 } },
  { title: 'time exceeded, an echo request', to: HOSTS[1], packet: { hops: 1 }, bytes: icmp(4, 8)! },
  { title: 'nothing about an ICMP error', to: HOSTS[1], packet: { hops: 1 }, bytes: icmp(4, 3)! },
  { title: 'nothing about a redirect', to: HOSTS[1], packet: { hops: 1 }, bytes: icmp(4, 5)! },
  { title: 'nothing about an unknown ICMP message', to: HOSTS[1], packet: { hops: 1 }, bytes: icmp(4, 77)! },
  {
    title: 'nothing to all of the link',
    to: HOSTS[1],
    packet: { hops: 1 },
    bytes: [0, 1, 2, 3, 4, 5].map((at) => [at, 255]),
  },
  { title: 'no route', to: '198.51.100.9' },
  { title: 'no route, time exceeded as well', to: '198.51.100.9', packet: { hops: 1 } },
  { title: 'unreachable', to: '203.0.113.9' },
  { title: 'prohibited', to: '203.0.113.99' },
  { title: 'nothing of a blackhole', to: '203.0.113.199' },
  { title: 'too big', to: HOSTS[1], packet: { payload: payload(1373) } },
  { title: 'too big, time exceeded as well', to: HOSTS[1], packet: { payload: payload(1373), hops: 1 } },
  { title: 'too big, TCP', to: HOSTS[1], packet: { payload: payload(1460), protocol: 'tcp' } },
]

const CASES6: readonly Case[] = [
  { title: 'time exceeded', to: HOSTS6[1], packet: { hops: 1 } },
  { title: 'time exceeded, a traffic class and a label', to: HOSTS6[1], packet: { hops: 1, service: 0xfc, label: 9 } },
  { title: 'time exceeded, more than is quoted', to: HOSTS6[1], packet: { hops: 1, payload: payload(1300) } },
  { title: 'time exceeded, as much as is quoted', to: HOSTS6[1], packet: { hops: 1, payload: payload(1184) } },
  { title: 'time exceeded, one byte more', to: HOSTS6[1], packet: { hops: 1, payload: payload(1185) } },
  { title: 'time exceeded, an echo request', to: HOSTS6[1], packet: { hops: 1 }, bytes: icmp(6, 128)! },
  { title: 'nothing about an ICMPv6 error', to: HOSTS6[1], packet: { hops: 1 }, bytes: icmp(6, 1)! },
  {
    title: 'nothing about an ICMPv6 error behind options',
    to: HOSTS6[1],
    packet: { hops: 1, extension: { type: 60, bytes: [0, 1, 4, 0, 0, 0, 0] } },
    bytes: [
      [54, 58],
      [62, 3],
    ],
  },
  { title: 'no route', to: '2001:db8:9::9' },
  { title: 'unreachable', to: '2001:db8:a::9' },
  { title: 'prohibited', to: '2001:db8:b::9' },
  { title: 'nothing of a blackhole', to: '2001:db8:c::9' },
  { title: 'too big', to: HOSTS6[1], packet: { payload: payload(1353) } },
  { title: 'too big, TCP', to: HOSTS6[1], packet: { payload: payload(1440), protocol: 'tcp' } },
]

/** Nobody answers there. */
const NOBODY = ['192.0.2.77', '2001:db8:2::77'] as const

const ROUTES = [
  'route add unreachable 203.0.113.0/26',
  'route add prohibit 203.0.113.64/26',
  'route add blackhole 203.0.113.128/25',
  'route add unreachable 2001:db8:a::/48',
  'route add prohibit 2001:db8:b::/48',
  'route add blackhole 2001:db8:c::/48',
]

/** Each case has a source of its own, so that none meets another's limits. */
function frameOf(family: 4 | 6, source: number, { to, packet, bytes = [] }: Case): Uint8Array {
  const frame = flowFrame({ family, protocol: 'udp', payload: payload(24), identification: 7, ...packet })
  frame.set([...ROUTER_MAC, ...HOST_MAC])
  const address = parseAddress(family === 4 ? `192.0.1.${source}` : `2001:db8:1::${source.toString(16)}`)
  frame.set(address, family === 4 ? 26 : 22)
  frame.set(parseAddress(to), family === 4 ? 30 : 38)
  for (const [at, byte] of bytes) frame[at] = byte
  if (family === 4) {
    write16(frame, 24, 0)
    write16(frame, 24, foldChecksum(addWords(0, frame, 14, 34)))
  }
  return frame
}

function isError(frame: Uint8Array): boolean {
  const type = read16(frame, 12)
  if (type === 0x0800) return frame[23] === 1 && [3, 11, 12].includes(frame[34]!)
  return type === 0x86dd && frame[20] === 58 && frame[54]! < 128
}

/** The source that an error is about: the answer's destination. */
const aboutOf = (frame: Uint8Array) => (read16(frame, 12) === 0x0800 ? frame[33]! : frame[53]!)

/** What is chance is taken out: the identification with its sum, or the flow's label. */
function settled(frame: Uint8Array): string {
  const masked = frame.slice()
  if (read16(frame, 12) === 0x0800) masked.fill(0, 18, 20).fill(0, 24, 26)
  else masked.fill(0, 15, 18)
  return Buffer.from(masked).toString('hex')
}

describe('ICMP errors of a router', { skip: skipUnless('root', 'ip', 'ping', 'traceroute') }, () => {
  let network: RoutedNetwork
  let router: Router | null = null
  let host: HostSocket
  const warnings: string[] = []

  before(() => {
    network = createRoutedNetwork()
    const { router: namespace, left } = network
    writeSysctl(namespace, 'ipv4/ip_forward', 1)
    writeSysctl(namespace, 'ipv6/conf/all/forwarding', 1)
    // A host answers six probes of traceroute at once, and then one a second; which ones is not what is asked here.
    for (const limit of ['ipv4/icmp_ratelimit', 'ipv6/icmp/ratelimit']) writeSysctl(network.right, limit, 0)
    const sources = Array.from({ length: 64 }, (_, source) => [
      `neigh replace 192.0.1.${FIRST_SOURCE + source} lladdr 02:00:00:00:00:21 dev left`,
      `neigh replace 2001:db8:1::${(FIRST_SOURCE + source).toString(16)} lladdr 02:00:00:00:00:21 dev left`,
    ])
    ip(namespace, 'link set right mtu 1400', ...ROUTES, ...sources.flat())
    host = openHostSocket(left, 'eth0')
  })

  // Where a test fails, the next one has a router of its own all the same.
  afterEach(stop)

  after(() => {
    host.close()
    network.close()
    assert.deepEqual(warnings, [])
  })

  /** What is said, by the source that is told, in hexadecimal; waits for `count` answers, and a moment for more. */
  async function answersTo(frames: readonly Uint8Array[], count: number): Promise<ReadonlyMap<number, string>> {
    const answers = new Map<number, string>()
    const take = () => {
      for (const frame of host.take().filter(isError)) answers.set(aboutOf(frame), settled(frame))
      return answers.size
    }
    host.take()
    host.send(frames)
    await eventually(`${count} answers`, () => take() >= count, RESOLUTION_MS + 20_000)
    await setTimeout(50)
    take()
    return answers
  }

  for (const [family, cases] of [
    [4, CASES4],
    [6, CASES6],
  ] as const) {
    const spoken = cases.filter(({ title }) => !title.startsWith('nothing')).length
    const frames = cases.map((each, index) => frameOf(family, FIRST_SOURCE + index, each))
    let kernel: ReadonlyMap<number, string>

    test(`IPv${family}: what the kernel says`, async () => {
      kernel = await answersTo(frames, spoken)
      for (const [index, { title }] of cases.entries())
        assert.equal(kernel.has(FIRST_SOURCE + index), !title.startsWith('nothing'), title)
    })

    test(`IPv${family}: the router says the same, byte for byte`, async () => {
      await start()
      const ours = await answersTo(frames, spoken)
      for (const [index, { title }] of cases.entries())
        assert.equal(ours.get(FIRST_SOURCE + index), kernel.get(FIRST_SOURCE + index), title)
    })
  }

  test('of a neighbour who does not answer: host unreachable, but for hops that the kernel has taken off already', async () => {
    const frames = [frameOf(4, 150, { title: '', to: NOBODY[0] }), frameOf(6, 151, { title: '', to: NOBODY[1] })]
    const patient = async () => {
      const answers = await answersTo(frames, 2)
      return [150, 151].map((source, index) => {
        const bytes = Buffer.from(answers.get(source)!, 'hex')
        // Sum of the ICMP message; hops and, of IPv4, the sum of the header that is quoted.
        for (const at of index === 0 ? [36, 37, 50, 52, 53] : [56, 57, 69]) bytes[at] = 0
        return bytes.toString('hex')
      })
    }
    const kernel = await patient()
    await start()
    assert.deepEqual(await patient(), kernel)
  })

  test('traceroute sees the router, and the host behind it, by both families', async () => {
    const { stages } = await start()
    for (const [near, far] of [
      ['192.0.1.1', HOSTS[1]],
      ['2001:db8:1::1', HOSTS6[1]],
    ]) {
      for (const method of [[], ['-I']]) {
        const { stdout } = await runIn(network.left, ['traceroute', '-n', '-q', '2', '-w', '20', ...method, far!])
        const hops = stdout.split('\n').slice(1, -1)
        assert.deepEqual(
          hops.map((line) => line.trim().split(/\s+/)[1]),
          [near, far],
          stdout,
        )
      }
    }
    assert(stages().find(({ name }) => name === 'errors')!.packets >= 8)
  })

  test('ping says what the router has said', async () => {
    await start()
    const ping = (...more: readonly string[]) => runIn(network.left, ['ping', '-n', '-c', '1', '-W', '20', ...more])
    const [nobody, ...others] = await Promise.all([
      ping(NOBODY[0]),
      ping('198.51.100.9'),
      ping('203.0.113.9'),
      ping('203.0.113.99'),
      ping('-M', 'do', '-s', '1400', HOSTS[1]),
      ping('-M', 'do', '-s', '1372', HOSTS[1]),
      ping('-t', '1', HOSTS[1]),
      ping(NOBODY[1]),
      ping('2001:db8:9::9'),
      ping('2001:db8:b::9'),
      ping('-M', 'do', '-s', '1353', HOSTS6[1]),
    ])
    const said = [
      /From 192.0.1.1 icmp_seq=1 Destination Net Unreachable/,
      /From 192.0.1.1 icmp_seq=1 Destination Host Unreachable/,
      /From 192.0.1.1 icmp_seq=1 Packet filtered/,
      /From 192.0.1.1 icmp_seq=1 Frag needed and DF set \(mtu = 1400\)/,
      /1 received/,
      /From 192.0.1.1 icmp_seq=1 Time to live exceeded/,
      /From 2001:db8:1::1 icmp_seq=1 Destination unreachable: Address unreachable/,
      /From 2001:db8:1::1 icmp_seq=1 Destination unreachable: No route/,
      /From 2001:db8:1::1 icmp_seq=1 Destination unreachable: Administratively prohibited/,
      /From 2001:db8:1::1 icmp_seq=1 Packet too big: mtu=1400/,
    ]
    assert.match(nobody!.stdout, /From 192.0.1.1 icmp_seq=1 Destination Host Unreachable/)
    for (const [index, text] of said.entries()) assert.match(others[index]!.stdout, text)
  })

  async function start(): Promise<Router> {
    router = await startRouter({
      devices: ['left', 'right'],
      namespace: network.router,
      // Of its own packets nobody asks where they come from.
      reversePath: 'strict',
      warn: (text) => warnings.push(text),
    })
    return router
  }

  async function stop(): Promise<void> {
    router?.close()
    await router?.done
    router = null
  }
})

function ip(namespace: NetworkNamespace, ...lines: readonly string[]): void {
  const { status, stderr } = withNamespace(namespace, () =>
    spawnSync('ip', ['-batch', '-'], { input: lines.join('\n'), encoding: 'utf8' }),
  )
  assert.equal(status, 0, stderr)
}
