import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  addAddress,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  setFeatures,
  setLink,
} from '../src/kernel/index.js'
import { CLI, runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { runIn, startIn } from './support/run-in.js'

const ADDRESSES = ['192.0.2.1', '192.0.2.2'] as const

/** Two hosts of one network, each with a veth to a namespace between them, where their ends are `one` and `other`. */
function build(): { readonly between: NetworkNamespace; readonly hosts: NetworkNamespace[]; close(): void } {
  const between = createNamespace()
  const hosts = [createNamespace(), createNamespace()]
  const middle = openRoute(between)
  hosts.forEach((host, index) => {
    const route = openRoute(host)
    // Rings of several queues beside frames of two sizes.
    createVeth(middle, { name: ['one', 'other'][index]!, queues: 2 }, { name: 'eth0', queues: 2 }, host)
    setLink(middle, findLink(middle, ['one', 'other'][index]!).index, { up: true })
    const far = findLink(route, 'eth0').index
    setLink(route, far, { up: true })
    addAddress(route, far, `${ADDRESSES[index]}/24`)
    // A veth leaves checksums to whoever receives, and a program at its other end meets them unfinished.
    setFeatures('eth0', { 'tx-checksum-ip-generic': false }, host)
    closeNetlink(route)
  })
  closeNetlink(middle)
  return {
    between,
    hosts,
    close() {
      for (const namespace of [between, ...hosts]) closeNamespace(namespace)
    },
  }
}

describe('sluice bridge', { skip: skipUnless('root', 'ip', 'ping', 'iperf3', 'bpftool') }, () => {
  for (const [one, other] of [
    ['one', 'xdp:other'],
    ['packet:one', 'other'],
    ['one', 'packet:other'],
    ['packet:one', 'packet:other'],
  ] as const) {
    test(`carries a network over between ${one} and ${other}, and leaves nothing behind`, async () => {
      const { between, hosts, close } = build()
      const command = startIn(between, [process.execPath, CLI, 'bridge', one, other, '--json'])
      await command.said(/joining/)
      await eventually('the wire carries', async () => {
        return (await runIn(hosts[0]!, ['ping', '-c', '1', '-W', '1', ADDRESSES[1]])).status === 0
      })
      const server = runIn(hosts[1]!, ['iperf3', '-s', '-1', '-B', ADDRESSES[1]])
      await eventually('the server listens', async () => {
        return (await runIn(hosts[1]!, ['ss', '-Htln', 'sport', '=', '5201'])).stdout !== ''
      })
      const { stdout } = await runIn(hosts[0]!, ['iperf3', '-J', '-n', '32M', '-c', ADDRESSES[1]])
      assert(JSON.parse(stdout).end.sum_received.bytes > 1 << 20, stdout.slice(-300))
      await server
      const { status, stdout: document, stderr } = await command.stop()
      assert.equal(status, 0, stderr)
      const { ends, endedBy } = JSON.parse(document)
      assert.equal(endedBy, 'SIGINT')
      assert(ends[0].receivedPackets > 100 && ends[1].sentPackets >= ends[0].receivedPackets * 0.9)
      assert.doesNotMatch((await runIn(between, ['ip', '-d', 'link'])).stdout, /xdp|promiscuity [1-9]/)
      close()
    })
  }

  test('joins two devices in their drivers alone, where only top sees the packets', async () => {
    const { between, hosts, close } = build()
    // A veth takes redirected frames where its other end has NAPI.
    for (const host of hosts) setFeatures('eth0', { 'rx-gro': true }, host)
    const command = startIn(between, [process.execPath, CLI, 'bridge', 'one', 'other', '--in-driver', '--json'])
    await command.said(/joining/)
    await eventually('the wire carries', async () => {
      return (await runIn(hosts[0]!, ['ping', '-c', '1', '-W', '1', ADDRESSES[1]])).status === 0
    })
    const { stdout } = await runIn(hosts[0]!, [...pings(50), '-s', '1400', ADDRESSES[1]])
    assertAnswered(stdout, 50)
    const [service] = JSON.parse(runCli(['status', '--json']).stdout).services
    assert.deepEqual([service.name, service.devices, service.mode], ['bridge', ['one', 'other'], 'native'])
    const { stages } = JSON.parse(runCli(['top', '--json']).stdout)
    assert.deepEqual(
      stages.map(({ stage }: { stage: string }) => stage),
      ['from one', 'from other'],
    )
    const trace = runCli(['trace', 'icmp'])
    assert.equal(trace.status, 2)
    assert.match(
      trace.stderr,
      /^sluice: the packets of sluice bridge stay in the drivers, where only sluice top sees them\n$/,
    )
    const { status, stdout: document, stderr } = await command.stop()
    assert.equal(status, 0, stderr)
    const { ends, endedBy } = JSON.parse(document)
    assert.equal(endedBy, 'SIGINT')
    for (const { handedPackets, handedBytes } of ends)
      assert(handedPackets >= 51 && handedBytes >= 50 * 1442, JSON.stringify(ends))
    assert.doesNotMatch((await runIn(between, ['ip', '-d', 'link'])).stdout, /xdp|promiscuity [1-9]/)
    close()
  })

  test('what cannot be joined in drivers is one sentence, and a program taken off ends it with status 1', async () => {
    const { between, hosts, close } = build()
    const bridge = (...args: string[]) => startIn(between, [process.execPath, CLI, 'bridge', ...args, '--in-driver'])
    for (const [names, sentence] of [
      [['one', 'packet:other'], /^sluice: packets of packet:other come to user space; leave out --in-driver\n$/],
      [
        ['one', `${hosts[0]!.path}/eth0`],
        /^sluice: one and eth0 are in two namespaces, and drivers send only within one/,
      ],
    ] as const) {
      const { status, stderr } = await bridge(...names).ended
      assert.equal(status, 2, stderr)
      assert.match(stderr, sentence)
    }
    for (const host of hosts) setFeatures('eth0', { 'rx-gro': true }, host)
    const running = bridge('one', 'other', '--json')
    await running.said(/joining/)
    await takeProgramOff(between, 'other')
    const { status, stdout, stderr } = await running.ended
    assert.equal(status, 1, stderr)
    assert.equal(JSON.parse(stdout).endedBy, 'failure')
    assert.match(stderr, /\nsluice: somebody has taken the program off other, [^\n]*\n$/)
    close()
  })

  test('joins a host with the machine’s own TAP device', async () => {
    const { between, hosts, close } = build()
    const command = startIn(between, [process.execPath, CLI, 'bridge', 'one', 'tap:tap0', '--json'])
    await command.said(/joining/)
    const addressed = await runIn(between, ['ip', 'addr', 'add', `${ADDRESSES[1]}/24`, 'dev', 'tap0'])
    assert.equal(addressed.status, 0, addressed.stderr)
    await eventually('the wire carries', async () => {
      return (await runIn(hosts[0]!, ['ping', '-c', '1', '-W', '1', ADDRESSES[1]])).status === 0
    })
    const { stdout } = await runIn(hosts[0]!, [...pings(20), '-s', '1400', ADDRESSES[1]])
    assertAnswered(stdout, 20)
    const { status, stderr } = await command.stop()
    assert.equal(status, 0, stderr)
    assert.doesNotMatch((await runIn(between, ['ip', 'link'])).stdout, /tap0/)
    close()
  })

  test('a device whose packets somebody takes already is no end of a wire, nor is a tunnel', async () => {
    const { between, close } = build()
    const taken = startIn(between, [process.execPath, CLI, 'drop', 'icmp', '--on', 'one'])
    const bridge = (...ends: string[]) => runIn(between, [process.execPath, CLI, 'bridge', ...ends, '--for', '1s'])
    await taken.said(/dropping at/)
    const busy = await bridge('one', 'other')
    assert.deepEqual([busy.status, busy.stderr.split('\n').length], [1, 2], busy.stderr)
    assert.match(busy.stderr, /one already has an XDP program: end what owns it/)
    await runIn(between, ['ip', 'tuntap', 'add', 'mode', 'tun', 'name', 'tunnel'])
    await runIn(between, ['ip', 'link', 'set', 'tunnel', 'up'])
    const tunnel = await bridge('other', 'tunnel')
    assert.equal(tunnel.status, 2)
    assert.match(tunnel.stderr, /tunnel carries no Ethernet frames/)
    assert.equal((await taken.stop()).status, 0)
    close()
  })

  test('who has its program taken off ends with one sentence and status 1', async () => {
    const { between, close } = build()
    for (const command of ['bridge', 'route']) {
      const running = startIn(between, [process.execPath, CLI, command, 'one', 'other', '--json'])
      await running.said(/joining|routing between/)
      await takeProgramOff(between, 'other')
      const { status, stdout, stderr } = await running.ended
      assert.equal(status, 1, stderr)
      assert.equal(JSON.parse(stdout).endedBy, 'failure')
      assert.match(
        stderr,
        /\nsluice: somebody has taken the program off other, and its packets go to the kernel; [^\n]*\n$/,
      )
    }
    close()
  })

  test('what cannot be joined is one sentence', () => {
    for (const [names, sentence] of [
      [['lo', 'lo'], /joined with itself/],
      [['lo', 'nothing'], /there is no network device "nothing"/],
      [['lo', 'out.pcap'], /cannot be an end of a wire/],
      [['lo', 'tap:a-name-that-is-long'], /cannot be a device's name; use 1 to 15 bytes/],
      [['tap:t', 'tap:t'], /joined with itself/],
      [['tap:lo', 'tap:t'], /lo is there and is no TAP device/],
    ] as const) {
      const { status, stderr } = runCli(['bridge', ...names])
      assert.equal(status, 2, stderr)
      assert.match(stderr, sentence)
    }
  })
})

/** As somebody else does it. */
async function takeProgramOff(namespace: NetworkNamespace, device: string): Promise<void> {
  const [shown] = JSON.parse((await runIn(namespace, ['ip', '-j', '-d', 'link', 'show', device])).stdout)
  const { id } = shown.xdp.prog
  const links = JSON.parse((await runIn(namespace, ['bpftool', '-j', 'link', 'show'])).stdout)
  const link = links.find(({ prog_id }: { prog_id: number }) => prog_id === id)
  const { status, stderr } = await runIn(namespace, ['bpftool', 'link', 'detach', 'id', String(link.id)])
  assert.equal(status, 0, stderr)
}
