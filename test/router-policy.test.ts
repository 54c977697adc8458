import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import type { ListedRule } from '../src/control/service/protocol.js'
import { closeNetlink, findLink, openRoute, parseAddress, setFeatures, writeSysctl } from '../src/kernel/index.js'
import { addWords, foldChecksum, write16 } from '../src/wire/index.js'
import { runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { flowFrame } from './support/flow-packet.js'
import { type HostSocket, openHostSocket } from './support/host-socket.js'
import { inside } from './support/joined-namespaces.js'
import { endChildren } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { startRouteCommand } from './support/route-command.js'
import { createRoutedNetwork, HOSTS, type RoutedNetwork } from './support/routed-network.js'
import { RUN_DIRECTORY } from './support/run-directory.js'
import { runIn } from './support/run-in.js'

/** That have to come through, at a time. */
const PACKETS = 20
const [FLOOD, GOOD, LATER] = [7, 9, 11]
const POLICY = `rules:
  - { name: seen, action: count, match: udp and src net 192.0.1.0/24 }
  - { name: flood, action: drop, match: udp dst port ${FLOOD} }
`
const WAYS = [
  ['in user space', ['--workers', '2']],
  ['in user space, with flows in the drivers', ['--track', '1k', '--offload']],
  ['in the drivers', ['--in-driver']],
] as const

/** A datagram from the left host to a port of the right one, as it comes to the router; its source port says of which time it is. */
function datagram(port: number, time: number): Uint8Array {
  const frame = flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(40), isUnsummed: true })
  frame.set([2, 0, 0, 0, 0, 0x11, 2, 0, 0, 0, 0, 0x21])
  frame.set(parseAddress(HOSTS[0]), 26)
  frame.set(parseAddress(HOSTS[1]), 30)
  write16(frame, 34, time)
  write16(frame, 36, port)
  write16(frame, 24, 0)
  write16(frame, 24, foldChecksum(addWords(0, frame, 14, 34)))
  return frame
}

/** Beside the tests of a whole: a policy's file, which they write anew. */
function write(text: string): string {
  const path = join(RUN_DIRECTORY, 'policy.yaml')
  writeFileSync(path, text)
  return path
}

function createForwardingNetwork(): RoutedNetwork {
  const network = createRoutedNetwork({ queues: 2 })
  // For the router in the drivers: the kernel's setting is its own, and frames are redirected to a veth whose other end has NAPI.
  writeSysctl(network.router, 'ipv4/ip_forward', 1)
  for (const host of network.hosts) setFeatures('eth0', { 'rx-gro': true }, host)
  return network
}

function modesAt({ router }: RoutedNetwork): string[] {
  const route = openRoute(router)
  try {
    return ['left', 'right'].map((name) => findLink(route, name).xdp.mode)
  } finally {
    closeNetlink(route)
  }
}

for (const [way, options] of WAYS) {
  describe(`sluice route --policy, ${way}`, { skip: skipUnless('root', 'ip', 'ping') }, () => {
    let network: RoutedNetwork
    let left: HostSocket
    let right: HostSocket
    /** Datagrams that have come to the right host, by port. */
    const arrived = new Map<number, number>()
    let times = 1000

    before(() => {
      network = createForwardingNetwork()
      left = openHostSocket(network.left, 'eth0')
      right = openHostSocket(network.right, 'eth0')
    })

    afterEach(endChildren)

    after(() => {
      left.close()
      right.close()
      network.close()
    })

    const start = async (...more: readonly string[]) => {
      const running = await startRouteCommand(network, ...options, ...more)
      // Once it is answered, the neighbours are known, so that none of the packets has to wait.
      await eventually('packets go through', async () => {
        return (await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])).status === 0
      })
      return running
    }
    const listed = (): ListedRule[] => {
      const { status, stdout, stderr } = runCli(['list', '--json', '--device', 'right'])
      assert.equal(status, 0, stderr)
      return JSON.parse(stdout).rules
    }
    const packetsOf = (name: string) => listed().find((rule) => rule.name === name)?.packets ?? 0
    /** Sends to the ports in turn until enough has come of what went to `passes`, and gives how many went to each: some may be lost on a busy machine. */
    const send = async (ports: readonly number[], passes: number) => {
      arrived.clear()
      const time = ++times
      let sent = 0
      await eventually(`what goes to port ${passes} comes`, () => {
        left.send(ports.map((port) => datagram(port, time)))
        sent++
        for (const frame of right.take()) {
          if (frame[12] !== 8 || frame[13] !== 0 || frame[23] !== 17) continue
          if (((frame[34]! << 8) | frame[35]!) !== time) continue
          const port = (frame[36]! << 8) | frame[37]!
          arrived.set(port, (arrived.get(port) ?? 0) + 1)
        }
        return (arrived.get(passes) ?? 0) >= PACKETS
      })
      assert.deepEqual([...arrived.keys()], [passes])
      return sent
    }

    test('drops in the driver what the policy says, and forwards the rest', async () => {
      const running = await start('--policy', write(POLICY))
      assert.deepEqual(modesAt(network), ['native', 'native'])
      const sent = await send([FLOOD, GOOD], GOOD)
      const [flood, seen] = [packetsOf('flood'), packetsOf('seen')]
      assert(flood > 0 && flood <= sent, `${flood} of ${sent}`)
      assert(seen >= flood + arrived.get(GOOD)! && seen <= 2 * sent, `${seen} seen, ${flood} of ${sent} dropped`)

      const [service] = JSON.parse(runCli(['status', '--json']).stdout).services
      assert.equal(service.policy.rules, 2)
      assert(service.dropped >= flood, JSON.stringify(service))
      const top = JSON.parse(runCli(['top', '--json', '--device', 'left']).stdout)
      assert.deepEqual(top.rules.map(({ name }: ListedRule) => name).sort(), ['flood', 'seen'])
      assert(top.stages.length > 0)
      assert.match(runCli(['top', '--once']).stdout, /│ flood +│ drop [\s\S]*│ stage /)

      const { drops, policy } = await running.end()
      assert.deepEqual(
        policy.rules.map(({ name }: ListedRule) => name),
        ['seen', 'flood'],
      )
      assert(drops['policy: flood'] >= flood && drops['policy: flood'] <= sent, JSON.stringify(drops))
      assert.deepEqual([policy.dropped, policy.rules[1].packets], Array(2).fill(drops['policy: flood']))
      assert.deepEqual(policy.reloads, { done: 0, refused: 0 })
      assert.deepEqual(modesAt(network), ['none', 'none'])
    })

    test('reads the policy again by SIGHUP, keeps the old one where that is faulty, and takes rules of commands', async () => {
      const running = await start('--policy', write(POLICY))
      await send([FLOOD, GOOD], GOOD)
      const seen = packetsOf('seen')
      write(POLICY.replace(`port ${FLOOD}`, `port ${GOOD}`))
      await running.reload(/was read again; 2 rules are in force/)
      const sent = await send([GOOD, FLOOD], FLOOD)
      // Of the same name, but another rule, which begins at zero; the one that stays has gone on counting.
      assert(packetsOf('flood') > 0 && packetsOf('flood') <= sent)
      assert(packetsOf('seen') >= seen + arrived.get(FLOOD)!)

      write(POLICY.replace('udp dst port', 'udp dst prot'))
      await running.reload(/policy\.yaml:3:\d+: [\s\S]*the policy of before stays in force; correct this/)
      write(POLICY.replace('action: drop,', 'action: divert,'))
      await running.reload(/rule 2 "flood" diverts packets to AF_XDP sockets[\s\S]*the policy of before stays in force/)
      const { status, stderr } = runCli(['add', `udp dst port ${LATER}`, '--device', 'left'])
      assert.equal(status, 0, stderr)
      await send([GOOD, LATER, FLOOD], FLOOD)
      assert(packetsOf(`drop udp dst port ${LATER}`) > 0)
      const refused = runCli(['add', 'icmp', '--action', 'forward', '--to', 'right'])
      assert.equal(refused.status, 2)
      assert.match(
        refused.stderr,
        /rule 4 "forward icmp" forwards packets past the router; leave it out, and add a route/,
      )
      const { policy } = await running.end()
      assert.deepEqual(policy.reloads, { done: 1, refused: 2 })
    })

    test('spares whom --keep names', async () => {
      const policy = write('rules: [{ name: pings, action: drop, match: icmp }]')
      const running = await start('--policy', policy, ...HOSTS.flatMap((host) => ['--keep', host]))
      assert.match(running.stderr(), /\nnever dropped: what comes from 192\.0\.1\.2\n/)
      const totals = await running.end()
      assert(totals.policy.kept.packets >= 2, JSON.stringify(totals))
      assert.equal(totals.policy.dropped, 0)
    })

    test('a policy that is wrong, or would go past the router, is one sentence and status 2, and leaves nothing', async () => {
      const wrong: [text: string, sentence: RegExp][] = [
        ['rules: [{ action: drop, match: udp dst prot 7 }]', /policy\.yaml:1:\d+: /],
        ['rules: [{ name: x, action: divert, match: udp }]', /:1:\d+: rule 1 "x" diverts packets to AF_XDP sockets/],
        ['rules: [{ name: x, action: steer, cpu: 0, match: udp }]', /:1:\d+: rule 1 "x" steers packets to the network/],
        ['rules: [{ name: x, action: forward, device: left, match: udp }]', /rule 1 "x" forwards packets past the/],
      ]
      for (const [text, sentence] of wrong) {
        const args = ['route', 'left', 'right', ...options, '--policy', write(text)]
        const { status, stdout, stderr } = runCli(args, inside(network.router))
        assert.deepEqual([status, stdout], [2, ''], stderr)
        assert.match(stderr, sentence)
        assert.deepEqual(modesAt(network), ['none', 'none'])
      }
    })
  })
}
