import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  addAddress,
  addNeighbour,
  addRoute,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  deleteLink,
  findLink,
  KernelError,
  type NamespaceChildOptions,
  type NetlinkSocket,
  type NetworkNamespace,
  openRoute,
  readFeatures,
  setFeatures,
  setLink,
  spawnInNamespace,
  writeSysctl,
} from '../kernel/index.js'
import { type Leftover, removeLeftovers } from './leftovers.js'

/**
 * The network of the lab: three hosts around a router, each in a namespace.
 *
 *     attacker ── router ── victim        198.51.100.0/24   2001:db8:1::/64   attacker
 *                   │                     203.0.113.0/24    2001:db8:2::/64   victim
 *                 client                  192.0.2.0/24      2001:db8:3::/64   client
 *
 * Hosts are .2, the router is .1 (RFC 5737 and RFC 3849 addresses). A flood is
 * injected at `router.towardsVictim`: there it comes out of the same device,
 * into the same receive queue, as what the client sends.
 *
 * Nothing of it has a name outside this process: when the process ends, in
 * whatever way, the kernel removes the namespaces with all that is in them, so
 * there are no signal handlers that could be missed.
 */
export interface LabNetwork {
  readonly attacker: LabHost
  readonly client: LabHost
  readonly victim: LabHost
  readonly router: LabRouter
  readonly createdInMs: number
  /** What earlier runs had left, and was ended before this network was made. */
  readonly removedLeftovers: readonly Leftover[]
  /** Starts a Node module on a host; it ends with the network, or with this process. */
  spawn(
    host: { readonly namespace: NetworkNamespace },
    modulePath: string | URL,
    args?: readonly string[],
    options?: NamespaceChildOptions,
  ): ChildProcess
  /** Ends the children and removes the devices. A second call does nothing. */
  close(): void
}

/** One end of a veth pair, with its addresses. */
interface LabDevice {
  /** Unique on this machine, so that its NAPI threads can be told apart. */
  readonly name: string
  readonly index: number
  readonly mac: string
  readonly mtuBytes: number
  readonly ipv4: string
  /** Undefined on a kernel without IPv6. */
  readonly ipv6: string | undefined
}

/** A host of the lab, and its one device. */
export interface LabHost {
  readonly namespace: NetworkNamespace
  readonly device: LabDevice
}

export interface LabRouter {
  readonly namespace: NetworkNamespace
  readonly towardsAttacker: LabDevice
  readonly towardsClient: LabDevice
  readonly towardsVictim: LabDevice
}

/** What an experiment may want otherwise; by default 1500 bytes and one queue. */
export interface NetworkOptions {
  readonly mtuBytes?: number
  /** Receive queues of each end, and as many transmit queues. */
  readonly queues?: number
}

type HostName = 'attacker' | 'client' | 'victim'

const HOSTS: Record<HostName, { label: string; ipv4: string; ipv6: string; macByte: string }> = {
  attacker: { label: 'attack', ipv4: '198.51.100.', ipv6: '2001:db8:1::', macByte: '01' },
  victim: { label: 'victim', ipv4: '203.0.113.', ipv6: '2001:db8:2::', macByte: '02' },
  client: { label: 'client', ipv4: '192.0.2.', ipv6: '2001:db8:3::', macByte: '03' },
}

let networksMade = 0

/** Makes the network; throws a KernelError, and leaves nothing, where the kernel refuses a part. */
export function createNetwork(options: NetworkOptions = {}): LabNetwork {
  const removedLeftovers = removeLeftovers()
  const startedAt = performance.now()
  const rig = openRig(options)
  try {
    prepareNamespace(rig, rig.router)
    forward(rig)
    const attacker = connect(rig, 'attacker')
    const client = connect(rig, 'client')
    const victim = connect(rig, 'victim')
    receiveThroughNapi(
      { namespace: victim.host.namespace, name: victim.host.device.name },
      { namespace: rig.router.namespace, name: victim.routerEnd.name },
    )
    const children = new Set<ChildProcess>()
    return {
      attacker: attacker.host,
      client: client.host,
      victim: victim.host,
      router: {
        namespace: rig.router.namespace,
        towardsAttacker: attacker.routerEnd,
        towardsClient: client.routerEnd,
        towardsVictim: victim.routerEnd,
      },
      createdInMs: performance.now() - startedAt,
      removedLeftovers,
      spawn(host, modulePath, args = [], childOptions = {}) {
        const child = spawnInNamespace(host.namespace, modulePath, args, childOptions)
        children.add(child)
        child.once('exit', () => children.delete(child))
        return child
      },
      close() {
        for (const child of children) child.kill('SIGKILL')
        children.clear()
        closeRig(rig)
      },
    }
  } catch (error) {
    closeRig(rig)
    throw error
  }
}

/** A namespace and the socket that configures it. */
interface Place {
  readonly namespace: NetworkNamespace
  readonly route: NetlinkSocket
}

/** What is under construction: everything that has to be let go at the end. */
interface Rig {
  readonly options: NetworkOptions
  readonly suffix: string
  readonly hasIpv6: boolean
  readonly router: Place
  readonly places: Place[]
  readonly routerEnds: string[]
}

function openRig(options: NetworkOptions): Rig {
  const router = openPlace()
  return {
    options,
    // At most five characters: a pid has 22 bits, and base 36 holds 25.
    suffix: (process.pid * 8 + (networksMade++ % 8)).toString(36),
    hasIpv6: existsSync('/proc/sys/net/ipv6'),
    router,
    places: [router],
    routerEnds: [],
  }
}

function openPlace(): Place {
  const namespace = createNamespace()
  try {
    return { namespace, route: openRoute(namespace) }
  } catch (error) {
    closeNamespace(namespace)
    throw error
  }
}

/** Devices are removed by name because a socket that someone forgot would keep a namespace alive. */
function closeRig(rig: Rig): void {
  for (const name of rig.routerEnds.splice(0)) {
    try {
      deleteLink(rig.router.route, name)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
    }
  }
  for (const { namespace, route } of rig.places.splice(0)) {
    closeNetlink(route)
    closeNamespace(namespace)
  }
}

/** Spoofed sources must reach the stack, and nobody may chatter: every packet in the lab is ours. */
function prepareNamespace(rig: Rig, { namespace, route }: Place): void {
  for (const scope of ['all', 'default']) {
    writeSysctl(namespace, `ipv4/conf/${scope}/rp_filter`, 0)
  }
  if (rig.hasIpv6) {
    writeSysctl(namespace, 'ipv6/conf/default/accept_ra', 0)
    // 1 is none: without a link-local address there are no solicitations and reports.
    writeSysctl(namespace, 'ipv6/conf/default/addr_gen_mode', 1)
  }
  setLink(route, findLink(route, 'lo').index, { up: true })
}

function forward(rig: Rig): void {
  writeSysctl(rig.router.namespace, 'ipv4/ip_forward', 1)
  if (rig.hasIpv6) writeSysctl(rig.router.namespace, 'ipv6/conf/all/forwarding', 1)
}

/** A new host at the router, with routes and neighbours, so that the first packet needs no ARP. */
function connect(rig: Rig, name: HostName): { host: LabHost; routerEnd: LabDevice } {
  const { label, macByte } = HOSTS[name]
  const place = openPlace()
  rig.places.push(place)
  prepareNamespace(rig, place)

  const { mtuBytes = 1500, queues = 1 } = rig.options
  const end = (prefix: string, side: string) => ({
    name: `${prefix}${label}-${rig.suffix}`,
    mac: `02:00:5e:00:${macByte}:${side}`,
    mtuBytes,
    queues,
  })
  const [near, far] = [end('to-', '01'), end('', '02')]
  createVeth(rig.router.route, near, far, place.namespace)
  rig.routerEnds.push(near.name)

  const routerEnd = configure(rig, rig.router, name, near, 1)
  const device = configure(rig, place, name, far, 2)
  introduce(rig.router, routerEnd, device)
  introduce(place, device, routerEnd)
  addRoute(place.route, 'default', routerEnd.ipv4)
  if (routerEnd.ipv6) addRoute(place.route, 'default', routerEnd.ipv6)
  return { host: { namespace: place.namespace, device }, routerEnd }
}

/** Brings one end up with its addresses; `host` is the last part of both. */
function configure(
  rig: Rig,
  place: Place,
  name: HostName,
  end: { readonly name: string; readonly mac: string; readonly mtuBytes: number },
  host: number,
): LabDevice {
  const { index } = findLink(place.route, end.name)
  const ipv4 = `${HOSTS[name].ipv4}${host}`
  const ipv6 = rig.hasIpv6 ? `${HOSTS[name].ipv6}${host}` : undefined
  setLink(place.route, index, { up: true })
  addAddress(place.route, index, `${ipv4}/24`)
  if (ipv6) addAddress(place.route, index, `${ipv6}/64`)
  return { name: end.name, index, mac: end.mac, mtuBytes: end.mtuBytes, ipv4, ipv6 }
}

function introduce(place: Place, device: LabDevice, neighbour: LabDevice): void {
  addNeighbour(place.route, device.index, neighbour.ipv4, neighbour.mac)
  if (neighbour.ipv6) addNeighbour(place.route, device.index, neighbour.ipv6, neighbour.mac)
}

/**
 * A veth has a receive ring with NAPI while GRO is on. Frames of a flood always
 * take it; the client's packets do only when the sending end leaves TCP
 * segmentation to the stack (drivers/net/veth.c, veth_skb_is_eligible_for_gro).
 * Both together make the service share the queue that is flooded.
 */
export function receiveThroughNapi(receiver: DeviceEnd, sender: DeviceEnd): void {
  setFeatures(receiver.name, { 'rx-gro': true }, receiver.namespace)
  const segmentation = [...readFeatures(sender.name, sender.namespace).keys()].filter((name) =>
    name.startsWith('tx-tcp'),
  )
  setFeatures(sender.name, Object.fromEntries(segmentation.map((name) => [name, false])), sender.namespace)
}

/** A device and where it is. */
interface DeviceEnd {
  readonly namespace: NetworkNamespace
  readonly name: string
}
