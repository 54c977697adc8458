import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Mirror, mirrorKernel } from '../src/control/router/mirror.js'
import { formatAddress } from '../src/control/traffic-range.js'
import {
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  parseAddress,
  setLink,
  writeSysctl,
} from '../src/kernel/index.js'
import { createSpace, loadCode, type Space } from '../src/memory/index.js'
import {
  HOP_BYTES,
  HOP_WAY,
  openRoutes,
  type Prefix,
  type Routes,
  TABLES_HOPS,
  WAY_MTU_MASK,
  WAY_MTU_SHIFT,
} from '../src/route/index.js'
import { describeHop } from './support/describe-hop.js'
import { eventually } from './support/eventually.js'
import { ip, routeGet } from './support/kernel-routes.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'

const PORTS = ['one', 'two', 'three'] as const

/** A router with three devices, each of which leads to a host `.2` in one far namespace; 192.0.2.0, 198.51.100.0 and 203.0.113.0. */
const NETWORKS = ['192.0.2', '198.51.100', '203.0.113']
const NETWORKS6 = ['2001:db8:1', '2001:db8:2', '2001:db8:3']

const MAC = '02:00:00:00:00:77'

describe('the kernel’s routes in the tables', { skip: skipUnless('root', 'ip') }, () => {
  let [router, hosts]: NetworkNamespace[] = []
  let space: Space
  let tables: Routes
  let mirror: Mirror
  const warnings: string[] = []
  /** What the kernel alone routes. */
  let kernels: readonly Prefix[] = []

  before(() => {
    router = createNamespace()
    hosts = createNamespace()
    const [near, far] = [openRoute(router), openRoute(hosts)]
    const ports = PORTS.map((name, index) => {
      const [mac, peer] = [`02:00:00:00:01:0${index}`, `02:00:00:00:02:0${index}`]
      createVeth(near, { name, mac }, { name: `far-${name}`, mac: peer }, hosts!)
      for (const [route, end] of [
        [near, name],
        [far, `far-${name}`],
      ] as const) {
        setLink(route, findLink(route, end).index, { up: true })
      }
      ip(
        router!,
        `addr add ${NETWORKS[index]}.1/24 dev ${name}`,
        `addr add ${NETWORKS6[index]}::1/64 dev ${name} nodad`,
      )
      ip(hosts!, `addr add ${NETWORKS[index]}.2/24 dev far-${name}`)
      return findLink(near, name).index
    })
    for (const route of [near, far]) closeNetlink(route)
    space = createSpace(96 << 20)
    tables = openRoutes(space, loadCode(space, true), 'mirror', {
      v4: { rootBits: 16, nodes: 8192 },
      v6: { nodes: 8192 },
    })
    mirror = mirrorKernel({
      tables,
      ports,
      namespace: router!,
      warn: (sentence) => warnings.push(sentence),
      kernels: (prefixes) => (kernels = prefixes),
    })
  })

  after(() => {
    mirror.close()
    for (const namespace of [router, hosts]) closeNamespace(namespace!)
  })

  /** What the tables say of an address: kind, port, hardware address. */
  function look(address: string | Uint8Array): string {
    const { nextHop } = tables.lookup(typeof address === 'string' ? parseAddress(address) : address)
    return describeHop(space, tables, PORTS, nextHop)
  }

  const settled = async () => {
    // The kernel tells of a change while it makes it: it lies there when ip has ended.
    await new Promise((resolve) => setTimeout(resolve, 20))
    await eventually('all changes taken', async () => {
      const before = mirror.statistics().changes
      await new Promise((resolve) => setTimeout(resolve, 20))
      return mirror.statistics().changes === before
    })
  }

  test('what was there: the router’s own addresses, networks on the link, and nothing', async () => {
    // The kernel's own routes of an IPv6 address follow it a moment later.
    await eventually('the routes of its own', () => look('2001:db8:3::1') === 'local')
    assert.equal(look('192.0.2.1'), 'local')
    assert.equal(look('192.0.2.255'), 'local')
    assert.equal(look('198.51.100.77'), 'two ?')
    assert.equal(look('2001:db8:3::77'), 'three ?')
    assert.equal(look('8.8.8.8'), 'none')
  })

  test('a host that is asked for gets a route of its own, and loses it with its neighbour', async () => {
    mirror.ask(tables.lookup(parseAddress('198.51.100.2')).nextHop, parseAddress('198.51.100.2'), 0)
    await eventually('the route of the tables', () => look('198.51.100.2') === 'two 020000000201')
    assert.equal(mirror.statistics().hosts, 1)
    ip(router!, 'neigh del 198.51.100.2 dev two')
    await eventually('the route of the tables', () => look('198.51.100.2') === 'two ?')
  })

  test('a route to the very host stands before its neighbour, and a longer prefix as well', async () => {
    ip(router!, 'neigh replace 203.0.113.9 lladdr 02:00:00:00:00:99 dev three')
    await eventually('the route of the tables', () => look('203.0.113.9') === 'three 020000000099')
    ip(router!, 'route add blackhole 203.0.113.8/30')
    await eventually('the route of the tables', () => look('203.0.113.9') === 'blackhole')
    ip(router!, 'route del blackhole 203.0.113.8/30')
    await eventually('the route of the tables', () => look('203.0.113.9') === 'three 020000000099')
    ip(router!, 'route add unreachable 203.0.113.9')
    await eventually('the route of the tables', () => look('203.0.113.9') === 'unreachable')
    ip(router!, 'route del unreachable 203.0.113.9')
    await eventually('the route of the tables', () => look('203.0.113.9') === 'three 020000000099')
    ip(router!, 'neigh del 203.0.113.9 dev three')
    await eventually('the route of the tables', () => look('203.0.113.9') === 'three ?')
  })

  test('what is as it was is no change: a neighbour that answers again, a device that is none of the router’s', async () => {
    // Nobody answers the kernel's probes, after which the neighbour would be lost: by itself there are three, a second each.
    writeSysctl(router!, 'ipv4/neigh/three/ucast_solicit', 100)
    ip(router!, 'neigh replace 203.0.113.10 lladdr 02:00:00:00:00:aa dev three nud reachable')
    await eventually('the route of the tables', () => look('203.0.113.10') === 'three 0200000000aa')
    await settled()
    const [{ changes, listed }, generation] = [mirror.statistics(), tables.generation()]
    ip(
      router!,
      ...['stale', 'reachable', 'probe'].map((state) => `neigh change 203.0.113.10 dev three nud ${state}`),
      'link add other type dummy',
      'link set three promisc on',
      'link set three promisc off',
    )
    await eventually('the changes', () => mirror.statistics().changes >= changes + 4)
    await settled()
    assert.equal(look('203.0.113.10'), 'three 0200000000aa')
    assert.deepEqual([tables.generation(), mirror.statistics().listed], [generation, listed])
    ip(router!, 'link del other', 'neigh del 203.0.113.10 dev three')
    await eventually('the route of the tables', () => look('203.0.113.10') === 'three ?')
  })

  test('several ways share by weight, through gateways of either family', async () => {
    ip(
      router!,
      'neigh replace 192.0.2.7 lladdr 02:00:00:00:00:07 dev one',
      'neigh replace 2001:db8:2::8 lladdr 02:00:00:00:00:08 dev two',
      'route add 10.9.0.0/16 nexthop via 192.0.2.7 weight 3 nexthop via inet6 2001:db8:2::8 dev two weight 1',
    )
    await eventually('the route of the tables', () => look('10.9.1.1') === 'one 020000000007 48, two 020000000008 16')
    ip(router!, 'route del 10.9.0.0/16', 'neigh del 192.0.2.7 dev one', 'neigh del 2001:db8:2::8 dev two')
    await eventually('the route of the tables', () => look('10.9.1.1') === 'none')
  })

  test('an IPv6 route gets ways and loses them one by one', async () => {
    const changes = [
      ['add', 1, 'one ?'],
      ['append', 2, 'one ? 32, two ? 32'],
      ['append', 3, 'one ? 22, two ? 21, three ? 21'],
      ['del', 1, 'two ? 32, three ? 32'],
      ['replace', 1, 'one ?'],
      ['append', 3, 'one ? 32, three ? 32'],
      ['del', 3, 'one ?'],
      ['del', 1, 'none'],
    ] as const
    const ways = (text: string) =>
      text
        .replace(/ \d+(?=,|$)/g, '')
        .split(', ')
        .sort()
        .join()
    for (const [verb, network, expected] of changes) {
      ip(router!, `route ${verb} 2001:db8:77::/48 via 2001:db8:${network}::2`)
      await eventually('the route of the tables', () => ways(look('2001:db8:77::1')) === ways(expected))
    }
  })

  test('routes follow their next hop objects, of whose end the kernel tells nothing else', async () => {
    ip(
      router!,
      'nexthop add id 1 via 192.0.2.2 dev one',
      'nexthop add id 2 via 198.51.100.2 dev two',
      'nexthop add id 10 group 1/2',
      'nexthop add id 21 via 2001:db8:3::2 dev three',
      'route add 10.5.0.0/16 nhid 10',
      'route add 2001:db8:78::/48 nhid 21',
    )
    const ways = () => [look('10.5.0.1'), look('2001:db8:78::1')].map((way) => way.replace(/ [0-9a-f?]+/g, ''))
    const become = (...expected: string[]) => eventually('the routes', () => ways().join('; ') === expected.join('; '))
    await become('one, two', 'three')
    ip(router!, 'nexthop del id 2')
    await become('one', 'three')
    ip(router!, 'nexthop replace id 1 via 203.0.113.2 dev three', 'nexthop replace id 21 via 2001:db8:1::2 dev one')
    await become('three', 'one')
    ip(router!, 'nexthop del id 10', 'nexthop del id 21')
    await become('none', 'none')
    ip(router!, 'nexthop del id 1')
  })

  test('rules that nobody follows are said', () => {
    ip(router!, 'rule add from 192.0.2.77 table 7')
    const said: string[] = []
    const sizes = { rootBits: 16, nodes: 64, routes: 64 } as const
    const own = createSpace(16 << 20)
    const other = openRoutes(own, loadCode(own, true), 'ruled', { v4: sizes, v6: sizes })
    mirrorKernel({ tables: other, ports: [], namespace: router!, warn: (sentence) => said.push(sentence) }).close()
    ip(router!, 'rule del from 192.0.2.77 table 7')
    assert.equal(said.length, 1)
    assert.match(said[0]!, /1 more rule than usual/)
  })

  test('next hop objects of which routes tell no more are said', () => {
    writeSysctl(router!, 'ipv4/nexthop_compat_mode', 0)
    const said: string[] = []
    const sizes = { rootBits: 16, nodes: 64, routes: 64 } as const
    const own = createSpace(16 << 20)
    const other = openRoutes(own, loadCode(own, true), 'untold', { v4: sizes, v6: sizes })
    mirrorKernel({ tables: other, ports: [], namespace: router!, warn: (sentence) => said.push(sentence) }).close()
    writeSysctl(router!, 'ipv4/nexthop_compat_mode', 1)
    assert.equal(said.length, 1)
    assert.match(said[0]!, /nexthop_compat_mode is 0/)
  })

  test('a host on one of several links that share a network has a route, and keeps it on the other', async () => {
    ip(
      router!,
      'route add 10.30.0.0/16 nexthop dev one nexthop dev two',
      'neigh replace 10.30.0.9 lladdr 02:00:00:00:00:91 dev one',
    )
    await eventually('the route of the tables', () => look('10.30.0.9') === 'one 020000000091')
    ip(router!, 'neigh replace 10.30.0.9 lladdr 02:00:00:00:00:92 dev two')
    await eventually('the route of the tables', () => look('10.30.0.9') === 'two 020000000092')
    ip(router!, 'neigh del 10.30.0.9 dev two')
    await eventually('the route of the tables', () => look('10.30.0.9') === 'one 020000000091')
    ip(router!, 'neigh del 10.30.0.9 dev one')
    await eventually('the route of the tables', () => look('10.30.0.9') === 'one ? 32, two ? 32')
    ip(router!, 'route del 10.30.0.0/16')
    await eventually('the route of the tables', () => look('10.30.0.9') === 'none')
  })

  test('routes that there was no room for have it when others are gone', async () => {
    const own = createSpace(16 << 20)
    const few = openRoutes(own, loadCode(own, true), 'few', {
      v4: { rootBits: 16, nodes: 64, routes: 48 },
      v6: { rootBits: 16, nodes: 64, routes: 64 },
    })
    const said: string[] = []
    const route = openRoute(router!)
    const { index } = findLink(route, 'one')
    closeNetlink(route)
    const small = mirrorKernel({
      tables: few,
      ports: [index],
      namespace: router!,
      warn: (sentence) => said.push(sentence),
    })
    const [early, late] = [0, 50].map((first) =>
      Array.from({ length: 50 }, (_, route) => `10.20.${first + route}.0/24`),
    )
    ip(router!, ...[...early!, ...late!].map((prefix) => `route add ${prefix} via 192.0.2.2`))
    await eventually('the routes are refused', () => small.statistics().refused >= 50)
    const { refused } = small.statistics()
    const found = (prefix: string) => few.lookup(parseAddress(prefix.replace('0/24', '1'))).prefixLength === 24
    assert.ok(!late!.some(found))
    ip(router!, ...early!.map((prefix) => `route del ${prefix}`))
    await eventually('some of the others are in', () => late!.filter(found).length > 20)
    assert.equal(small.statistics().refused, refused)
    assert.deepEqual(said.length, 1)
    small.close()
    ip(router!, ...late!.map((prefix) => `route del ${prefix}`))
    await eventually('the route of the tables', () => look('10.20.99.1') === 'none')
  })

  test('the MTU of a network on the link is that of its hosts', async () => {
    const mtuOf = (address: string) => {
      const { nextHop } = tables.lookup(parseAddress(address))
      const hops = space.words[(tables.address + TABLES_HOPS) / 4]!
      return (space.words[(hops + nextHop * HOP_BYTES + HOP_WAY) / 4]! >>> WAY_MTU_SHIFT) & WAY_MTU_MASK
    }
    ip(
      router!,
      'neigh replace 10.40.0.9 lladdr 02:00:00:00:00:49 dev one',
      'neigh replace 2001:db8:40::9 lladdr 02:00:00:00:00:4a dev one',
    )
    for (const mtu of [1300, 1400]) {
      ip(router!, ...['10.40.0.0/16', '2001:db8:40::/48'].map((prefix) => `route replace ${prefix} dev one mtu ${mtu}`))
      await eventually(`an MTU of ${mtu}`, () => mtuOf('10.40.0.9') === mtu && mtuOf('2001:db8:40::9') === mtu)
      assert.deepEqual(['10.40.0.9', '2001:db8:40::9'].map(look), ['one 020000000049', 'one 02000000004a'])
    }
    ip(router!, 'route replace 10.40.0.0/16 dev one')
    await eventually('that of the port', () => mtuOf('10.40.0.9') === 1500)
    ip(router!, 'route del 10.40.0.0/16', 'route del 2001:db8:40::/48')
    await eventually('the route of the tables', () => look('10.40.0.9') === 'none' && look('2001:db8:40::9') === 'none')
  })

  test('what leaves in a tunnel is not sent without it', async () => {
    ip(router!, 'route add 10.6.0.0/16 encap ip id 7 dst 192.0.2.2 via 192.0.2.2')
    await eventually('the route of the tables', () => look('10.6.1.1') === 'local')
    const isKernels = () =>
      kernels.some(({ address, length }) => formatAddress(address) === '10.6.0.0' && length === 16)
    await eventually('it is told', isKernels)
    ip(router!, 'route del 10.6.0.0/16')
    await eventually('it is told', () => !isKernels())
    await eventually('the route of the tables', () => look('10.6.1.1') === 'none')
  })

  test('a device that goes down takes its routes along, and brings none back that are gone', async () => {
    ip(router!, 'route add 10.7.0.0/16 via 203.0.113.2', 'route add 10.8.0.0/16 via 192.0.2.2')
    await eventually(
      'the route of the tables',
      () => look('10.7.0.1').startsWith('three') && look('10.8.0.1').startsWith('one'),
    )
    ip(router!, 'link set three down')
    await eventually('the route of the tables', () => look('10.7.0.1') === 'none' && look('203.0.113.50') === 'none')
    assert(look('10.8.0.1').startsWith('one'))
    ip(router!, 'link set three up', 'addr add 2001:db8:3::1/64 dev three nodad')
    await eventually('the route of the tables', () => look('203.0.113.50') === 'three ?')
    assert.equal(look('10.7.0.1'), 'none')
    ip(router!, 'route del 10.8.0.0/16')
  })

  test('changes that the kernel had no room to tell are made up for by a list', async () => {
    const { listed } = mirror.statistics()
    // While ip runs, this thread takes none of them: the socket holds less than 100,000.
    const changes = Array.from({ length: 120_000 }, (_, index) => {
      // Each is another way than before; the same again the kernel would not tell.
      const network = NETWORKS[index < 119_950 ? Math.floor(index / 100) % 2 : 2]
      return `route replace 10.14.${index % 100}.0/24 via ${network}.2`
    })
    ip(router!, changes.join('\n'))
    await eventually('the list', () => mirror.statistics().listed > listed)
    // What waited beside what was lost is older than the list.
    await settled()
    const addresses = Array.from({ length: 100 }, (_, third) => Uint8Array.of(10, 14, third, 1))
    const ours = addresses.map((address) => look(address).split(' ')[0])
    assert.deepEqual(ours, routeGet(router!, addresses))
    assert.deepEqual(new Set(ours), new Set(['two', 'three']))
    assert(mirror.statistics().listed <= listed + 3, `listed ${mirror.statistics().listed - listed} times`)
  })

  test('after random changes every address goes where the kernel sends it', async (context) => {
    const random = seededRandom(context, 'route-mirror')
    const answers = new Set<string>()
    // Of IPv6 routes of one prefix and metric, the kernel passes over one whose gateway it has asked for in vain.
    const gateways = NETWORKS6.flatMap((network, port) =>
      [2, 3, 4].map((last) => [`${network}::${last}`, port] as const),
    )
    ip(router!, ...gateways.map(([gateway, port]) => `neigh replace ${gateway} lladdr ${MAC} dev ${PORTS[port]}`))
    for (let turn = 0; turn < 6; turn++) {
      // What cannot be done, such as a second route of the same metric, ip says and goes on.
      ip(router!, ...Array.from({ length: turn === 0 ? 8 : 400 }, () => randomChange(random)))
      await settled()
      for (const family of [4, 6] as const) {
        const addresses = Array.from({ length: 500 }, () => randomAddress(random, family))
        const kernel = routeGet(router!, addresses)
        for (const answer of kernel) answers.add(answer)
        const wrong = () =>
          addresses.flatMap((address, index) => {
            // Among several ways of an IPv6 route the kernel chooses by its own hash.
            const ours = look(address)
              .split(', ')
              .map((way) => way.split(' ')[0])
            return ours.includes(kernel[index]) ? [] : [`${formatAddress(address)}: ${ours}, not ${kernel[index]}`]
          })
        // A thread that has had no turn yet has not taken all; what is then still wrong is named.
        await eventually(`turn ${turn}`, () => wrong().length === 0).catch(() => assert.deepEqual(wrong(), []))
      }
    }
    // Where nothing is routed at all anybody agrees.
    for (const answer of ['one', 'two', 'three', 'blackhole', 'unreachable', 'prohibit'])
      assert(answers.has(answer), answer)
    assert.deepEqual(warnings, [])
  })
})

/** Few prefixes of many lengths, so that changes meet: in 10.0.0.0/12 and 2001:db8:aaa0::/44. */
function randomChange(random: Random): string {
  const family = random.pick([4, 4, 6] as const)
  const port = random.below(3)
  const length = family === 4 ? random.pick([12, 16, 20, 24, 25, 30, 32]) : random.pick([44, 48, 56, 64, 96, 128])
  const address = formatAddress(masked(randomAddress(random, family), length))
  const verb = random.pick(['add', 'replace', 'del', 'append', 'prepend'])
  const via = family === 4 ? `${NETWORKS[port]}.${2 + random.below(3)}` : `${NETWORKS6[port]}::${2 + random.below(3)}`
  const type = random.pick(['', '', '', 'blackhole ', 'unreachable ', 'prohibit '])
  // Which of them the kernel takes where an IPv6 route has no way and another of its prefix and metric has: see the guide.
  const metric = family === 6 && type !== '' ? ' metric 9' : random.pick(['', '', ' metric 7', ' metric 300'])
  const way = type === '' ? ` via ${via} dev ${PORTS[port]}` : ''
  return `route ${verb} ${type}${address}/${length}${way}${metric}`
}

function randomAddress(random: Random, family: 4 | 6): Uint8Array {
  const bits = () => random.pick([0, 1, 127, 128, 255])
  if (family === 4) return Uint8Array.of(10, random.below(16), bits(), bits())
  return Uint8Array.of(
    0x20,
    1,
    0xd,
    0xb8,
    0xaa,
    0xa0 + random.below(16),
    bits(),
    bits(),
    ...Array.from({ length: 8 }, bits),
  )
}

function masked(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, length - at * 8))) & 0xff)
}
