import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { XDP } from '../src/ebpf/index.js'
import {
  closeNetlink,
  findLink,
  openRoute,
  parseAddress,
  parseMac,
  testRun,
  withNamespace,
  writeSysctl,
} from '../src/kernel/index.js'
import { type LoadedProgram, loadProgram } from '../src/loader/index.js'
import { PORTS } from '../src/offload/formats.js'
import { frontProgram } from '../src/offload/front-program.js'
import { forwardProgram, type OffloadFlow, openDriverFlows } from '../src/offload/index.js'
import { allowTarget } from '../src/offload/targets.js'
import { ETHERTYPE, writeEthernet } from '../src/wire/index.js'
import { damagedFrame } from './support/damaged-frame.js'
import { ip } from './support/kernel-routes.js'
import { forwardedPlainly, type PlainDriver } from './support/plain-driver.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, type RoutedNetwork } from './support/routed-network.js'
import { translatedIp } from './support/translated-packet.js'

const PACKETS = 20_000
const CAPACITY = 64
const NEIGHBOUR = parseMac('02:00:00:00:00:99')
const FAMILIES = [4, 6] as const
/** Hosts behind the device that packets come by, and behind the other one: two that the kernel knows, one that it does not, and others. */
const SOURCES = { 4: ['192.0.1.2', '192.0.1.3', '10.1.1.1'], 6: ['2001:db8:1::2', '2001:db8:1::3', 'fd00::1'] } as const
const KNOWN = { 4: ['192.0.2.2', '192.0.2.3'], 6: ['2001:db8:2::2', '2001:db8:2::3'] } as const
const OTHERS = {
  4: ['192.0.2.77', '192.0.2.1', '8.8.8.8', '127.0.0.1', '224.0.0.1', '0.0.0.0', '255.255.255.255'],
  6: ['2001:db8:2::77', '2001:db8:2::1', '2001:db8:77::1', '::1', 'ff02::1', '::', 'fe80::1', '::ffff:192.0.2.2'],
} as const

describe('forwarding programs do what is plainly right with packets of all kinds', {
  skip: skipUnless('root', 'ip'),
}, () => {
  let network: RoutedNetwork
  let flows: readonly OffloadFlow[]
  let [left, right]: { readonly index: number; readonly mac: Uint8Array }[] = []

  before(() => {
    network = createRoutedNetwork()
    writeSysctl(network.router, 'ipv4/ip_forward', 1)
    writeSysctl(network.router, 'ipv6/conf/all/forwarding', 1)
    const known = [...KNOWN[4], ...KNOWN[6]]
    ip(network.router, ...known.map((host) => `neigh replace ${host} lladdr 02:00:00:00:00:99 dev right nud permanent`))
    const route = openRoute(network.router)
    ;[left, right] = ['left', 'right'].map((name) => {
      const { index, mac } = findLink(route, name)
      return { index, mac: parseMac(mac) }
    })
    closeNetlink(route)
    flows = FAMILIES.flatMap(flowsOf)
  })

  after(() => network.close())

  function flowsOf(family: 4 | 6): OffloadFlow[] {
    return [6, 17].flatMap((protocol) =>
      [0, 1, 2, 3].map((which): OffloadFlow => {
        const key = {
          ...{ family, protocol, from: left!.index, sourcePort: 5000 + which, destinationPort: 53 },
          source: parseAddress(SOURCES[family][which & 1]!),
          destination: parseAddress(KNOWN[family][which >> 1]!),
        }
        const { family: _, protocol: __, from: ___, ...ends } = key
        const source = family === 4 ? Uint8Array.of(203, 0, 113, which) : parseAddress(`2001:db8:ffff::fffe:${which}`)
        const translated = which > 0 ? { ...ends, source, sourcePort: which } : undefined
        return {
          ...{ key, out: right!.index, longestBytes: which === 2 ? 100 : 1500 },
          ...{ sourceMac: right!.mac, destinationMac: Uint8Array.of(2, 0, 0, 0, 7, which) },
          ...(translated && { translated }),
        }
      }),
    )
  }

  function frameFor(random: Random): Uint8Array {
    const family = random.pick(FAMILIES)
    const protocol = random.pick(['tcp', 'udp', 'udp', 'icmp'] as const)
    const destinations = random.below(5) === 0 ? OTHERS[family] : KNOWN[family]
    const port = 5000 + random.below(5)
    const packet = translatedIp({
      protocol,
      source: parseAddress(random.pick(random.below(20) === 0 ? OTHERS[family] : SOURCES[family])),
      destination: parseAddress(random.pick<string>(destinations)),
      sourcePort: port,
      destinationPort: protocol === 'icmp' ? port : 53,
      payload: Uint8Array.from({ length: random.pick([0, 1, 20, 72, 73, 200]) }, () => random.below(256)),
      isReply: random.below(2) === 0,
      hops: random.pick([0, 1, 2, 3, 64, 255]),
      isUnsummed: protocol === 'udp' && random.below(4) === 0,
      flags: random.pick([0x10, 0x10, 0x18, 2, 0x11, 4]),
    })
    const frame = new Uint8Array(14 + packet.length)
    const to = random.below(30) === 0 ? right!.mac : left!.mac
    writeEthernet(frame, to, Uint8Array.of(2, 0, 0, 0, 0, 1), family === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6)
    frame.set(packet, 14)
    return random.below(2) === 0 ? damagedFrame(random, frame) : frame
  }

  function compare(random: Random, program: LoadedProgram, lookUp: PlainDriver['lookUp']): void {
    const driver = { mac: left!.mac, flows, lookUp }
    const output = new Uint8Array(4096)
    let forwarded = 0
    for (let packet = 0; packet < PACKETS; packet++) {
      const data = frameFor(random)
      // The kernel runs no program on less than an Ethernet header.
      if (data.length < 14) continue
      const { retval, outputBytes } = testRun({ fd: program.fd, data, output })
      const wanted = forwardedPlainly(driver, data)
      const text = () => `packet ${packet}: ${Buffer.from(data).toString('hex')}`
      assert.equal(retval, wanted === null ? XDP.pass : XDP.redirect, text())
      assert.deepEqual(Buffer.from(output.subarray(0, outputBytes)), Buffer.from(wanted ?? data), text())
      if (wanted !== null) forwarded++
    }
    assert.ok(forwarded > PACKETS / 100 && forwarded < PACKETS / 2, `${forwarded} of ${PACKETS} were forwarded`)
  }

  function withProgram(make: () => LoadedProgram, run: (program: LoadedProgram) => void): void {
    withNamespace(network.router, () => {
      const program = make()
      try {
        allowTarget(program.maps.get(PORTS)!, right!.index)
        const table = openDriverFlows(program.maps)
        for (const flow of flows) assert.ok(table.install(flow))
        run(program)
      } finally {
        program.close()
      }
    })
  }

  test('a flow table in front of another program', (context) => {
    const random = seededRandom(context, 'offload-random')
    const make = () => loadProgram(frontProgram({ index: left!.index, mac: left!.mac }, 0, CAPACITY))
    withProgram(make, (program) => compare(random, program, () => null))
  })

  test('a flow table in front of the kernel’s own tables', (context) => {
    const random = seededRandom(context, 'offload-random')
    const port = { index: left!.index, mac: left!.mac, reversePath: 'off' } as const
    const known = [...KNOWN[4], ...KNOWN[6]].map(parseAddress)
    const lookUp = (destination: Uint8Array) =>
      known.some((host) => Buffer.compare(host, destination) === 0)
        ? Uint8Array.from([...NEIGHBOUR, ...right!.mac])
        : null
    const make = () => loadProgram(forwardProgram(port, { capacity: CAPACITY, learnOneIn: 0 }))
    withProgram(make, (program) => compare(random, program, lookUp))
  })
})
