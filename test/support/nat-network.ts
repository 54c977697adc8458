import { execFileSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { type NatRule, startRouter } from '../../src/control/router/router.js'
import { addNeighbour, closeNetlink, findLink, openRoute, writeSysctl } from '../../src/kernel/index.js'
import { ETHERTYPE, writeEthernet } from '../../src/wire/index.js'
import { read16 } from './flow-packet.js'
import { type HostSocket, openHostSocket } from './host-socket.js'
import { inside } from './joined-namespaces.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './routed-network.js'
import { type TranslatedPacket, translatedIp } from './translated-packet.js'
import { address } from './translator.js'

/** Of the router's two links: clients are inside, servers outside. */
export type Side = 'inside' | 'outside'
export const SIDES = ['inside', 'outside'] as const

export interface SidedPacket {
  readonly side: Side
  readonly ip: Uint8Array
}

/** A router that translates between two links, at whose ends somebody sends and receives by hand. */
export interface NatNetwork {
  /**
   * Sends these, in their order on each side, and gives what arrives of them, whatever it has become. With several
   * workers what is sent last may arrive first: `isAll` says whether there is something to wait for, five seconds at most.
   */
  pass(packets: readonly SidedPacket[], isAll?: (found: readonly SidedPacket[]) => boolean): Promise<SidedPacket[]>
  close(): Promise<void>
}

/** Behind the hosts of a routed network: clients, and servers. */
const PREFIXES = { inside: ['10.0.0.0/24', 'fd00::/64'], outside: ['198.51.100.0/24', '2001:db8:2:1::/64'] } as const
const PAIRS = [
  ['inside', 'left', 1],
  ['outside', 'right', 2],
] as const
/** Sends what tells that all before it has passed; nobody else has these addresses. */
const MARKERS = { inside: 250, outside: 251 } as const
const POOL_NETWORK = '203.0.113.0/24'
/** Of IPv4 (RFC 791), and of IPv6 (RFC 8200). */
const LEAST_MTU = [68, 1280] as const
const WAIT_MS = 5000
const IP_TYPES: readonly number[] = [ETHERTYPE.ipv4, ETHERTYPE.ipv6]

const mac = (kind: 1 | 2, number: 1 | 2) => Uint8Array.of(2, 0, 0, 0, 0, kind * 16 + number)

/** Linux's own, by rules of nftables; its routes to the hosts have that MTU, the links one of 1,500. */
export function openKernelNat(rules: string, mtu: number): Promise<NatNetwork> {
  return openNetwork(mtu, 1, async ({ router }) => {
    const off = ['ipv4/conf/all/send_redirects', 'ipv4/conf/left/send_redirects', 'ipv4/conf/right/send_redirects']
    for (const setting of [...off, 'ipv4/icmp_ratelimit', 'ipv6/icmp/ratelimit']) writeSysctl(router, setting, 0)
    for (const setting of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeSysctl(router, setting, 1)
    const [command, ...rest] = [...inside(router), 'nft', '-f', '-']
    execFileSync(command!, rest, { input: rules })
    return async () => {}
  })
}

/** `sluice route`, by rules of ours. */
export function openRouterNat(
  nat: readonly NatRule[],
  mtu: number,
  warnings: string[],
  workers = 1,
): Promise<NatNetwork> {
  return openNetwork(mtu, workers, async ({ router: namespace }) => {
    const router = await startRouter({
      devices: ['left', 'right'],
      namespace,
      nat,
      workers,
      ...(workers > 1 && { profile: 'small' }),
      icmp: { rates: { 'time exceeded': 'off', unreachable: 'off', 'too big': 'off' }, perTarget: 'off' },
      warn: (sentence) => warnings.push(sentence),
    })
    return async () => {
      router.close()
      await router.done
    }
  })
}

async function openNetwork(
  mtu: number,
  queues: number,
  start: (network: RoutedNetwork) => Promise<() => Promise<void>>,
): Promise<NatNetwork> {
  const network = createRoutedNetwork({ queues })
  const route = openRoute(network.router)
  for (const [, device, number] of PAIRS) {
    const { index } = findLink(route, device)
    for (const via of [HOSTS[number - 1]!, HOSTS6[number - 1]!])
      addNeighbour(route, index, via, `02:00:00:00:00:2${number}`)
    const host = network.hosts[number - 1]!
    for (const setting of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeSysctl(host, setting, 0)
  }
  closeNetlink(route)
  // What is for nobody of the pool goes nowhere: Linux limits what it says of it.
  const lines = [
    `route add blackhole ${POOL_NETWORK}`,
    ...PAIRS.flatMap(([side, , number]) =>
      [HOSTS, HOSTS6].map(
        (hosts, at) =>
          `route add ${PREFIXES[side][at]} via ${hosts[number - 1]} mtu lock ${Math.max(mtu, LEAST_MTU[at]!)}`,
      ),
    ),
  ]
  const [command, ...rest] = [...inside(network.router), 'ip', '-batch', '-']
  execFileSync(command!, rest, { input: lines.join('\n') })
  const stop = await start(network)
  const sockets = { inside: openHostSocket(network.left, 'eth0', 1), outside: openHostSocket(network.right, 'eth0', 1) }
  let marks = 0

  /** What arrives until a packet of each side has got through that was sent behind all others. */
  async function drain(found: SidedPacket[]): Promise<void> {
    const mark = ++marks
    for (const side of SIDES) sockets[side].send([framed(side, markerOf(side, mark))])
    const missing = new Set<Side>(SIDES)
    for (let waited = 0; missing.size > 0; waited++) {
      if (waited > WAIT_MS) throw new Error(`what was sent behind all others from ${[...missing]} has not arrived`)
      for (const { side, ip } of SIDES.flatMap((each) => taken(each, sockets[each]))) {
        const sender = side === 'inside' ? 'outside' : 'inside'
        if (!isMarker(ip, sender)) found.push({ side, ip })
        else if (new DataView(ip.buffer, ip.byteOffset + 28).getUint32(0) === mark) missing.delete(sender)
      }
      if (missing.size > 0) await setTimeout(1)
    }
  }

  return {
    async pass(packets, isAll = () => true) {
      for (const side of SIDES) {
        const own = packets.filter((packet) => packet.side === side)
        if (own.length > 0) sockets[side].send(own.map(({ ip }) => framed(side, ip)))
      }
      const found: SidedPacket[] = []
      // What leaves in the same round as the first may do so behind it.
      for (let time = 0; time < 2; time++) await drain(found)
      for (const end = performance.now() + WAIT_MS; !isAll(found) && performance.now() < end; ) await drain(found)
      return found
    },
    async close() {
      for (const socket of Object.values(sockets)) socket.close()
      await stop()
      network.close()
    },
  }
}

function framed(side: Side, ip: Uint8Array): Uint8Array {
  const [, , number] = PAIRS.find(([each]) => each === side)!
  const frame = new Uint8Array(14 + ip.length)
  writeEthernet(frame, mac(1, number), mac(2, number), ip[0]! >> 4 === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6)
  frame.set(ip, 14)
  return frame
}

function markerOf(side: Side, mark: number): Uint8Array {
  const [inner, outer] = [address(4, 'client', MARKERS.inside), address(4, 'server', MARKERS.outside)]
  const payload = new Uint8Array(Uint32Array.of(mark).buffer).reverse()
  const ends = side === 'inside' ? { source: inner, destination: outer } : { source: outer, destination: inner }
  const ports = side === 'inside' ? 9 : 10
  const packet: TranslatedPacket = {
    ...ends,
    ...{ protocol: 'udp', sourcePort: ports, destinationPort: ports, payload, isReply: false },
  }
  return translatedIp(packet)
}

function isMarker(ip: Uint8Array, sender: Side): boolean {
  return ip[0] === 0x45 && ip[9] === 17 && read16(ip, 22) === (sender === 'inside' ? 9 : 10)
}

/** IP packets that a router has sent to the side's host, without those by which neighbours are found. */
function taken(side: Side, socket: HostSocket): SidedPacket[] {
  const [, , number] = PAIRS.find(([each]) => each === side)!
  const head = Buffer.from([...mac(2, number), ...mac(1, number)])
  return socket
    .take()
    .filter((frame) => head.equals(frame.subarray(0, 12)) && IP_TYPES.includes(read16(frame, 12)))
    .map((frame) => ({ side, ip: frame.subarray(14) }))
    .filter(({ ip }) => !(ip[0]! >> 4 === 6 && ip[6] === 58 && ip[40]! >= 133 && ip[40]! <= 137))
    .map(({ ip }) => ({ side, ip: ip.slice(0, ip[0]! >> 4 === 4 ? read16(ip, 2) : 40 + read16(ip, 4)) }))
}
