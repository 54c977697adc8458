import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { type Router, startRouter } from '../src/control/router/router.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { ip } from './support/kernel-routes.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

const HOSTS_TRIED = 10
/** Of so many questions to a host, the first of which waits as the others do, whom those that are swept push out. */
const FEW_QUESTIONS = 4
/** Of all hosts: what a busy machine holds up for a second is behind more of them. */
const LEAST_SOON = HOSTS_TRIED

/** Packets to all addresses of two networks on the link, one after the other, by turns of 64 each millisecond. */
const SWEEP = `
const { createSocket } = require('node:dgram')
const [v4, v6] = [createSocket('udp4'), createSocket('udp6')]
for (const socket of [v4, v6]) socket.on('error', () => {})
v4.bind(0, '${HOSTS[0]}')
v6.bind(0, '${HOSTS6[0]}')
let next = 0
setInterval(() => {
  for (let count = 0; count < 32; count++, next = (next + 1) % 32768) {
    v4.send('x', 9, '10.9.' + (next >> 8) + '.' + (next & 255))
    v6.send('x', 9, 'fd09::' + next.toString(16))
  }
}, 1)`

describe('while somebody sends to all addresses of a network on the link', {
  skip: skipUnless('root', 'ip', 'ping'),
}, () => {
  let network: RoutedNetwork
  let router: Router

  before(async () => {
    network = createRoutedNetwork({ others: ['other'] })
    ip(network.router, 'addr add 10.9.0.1/16 dev right', 'addr add fd09::1/64 dev right')
    // By the same device as the sweep, and from another network.
    ip(network.left, 'addr add 10.8.0.2/24 dev eth0', 'addr add fd08::2/64 dev eth0')
    ip(network.router, 'route add 10.8.0.0/24 via 192.0.1.2', 'route add fd08::/64 via 2001:db8:1::2')
    ip(network.right, 'route add 10.8.0.0/24 via 10.9.0.1 onlink dev eth0')
    const tables = { v4: { rootBits: 16, nodes: 256, routes: 4096 }, v6: { nodes: 256, routes: 4096 } } as const
    const devices = ['left', 'right', 'other']
    router = await startRouter({ devices, namespace: network.router, tables, warn: assert.fail })
  })

  afterEach(endChildren)

  after(async () => {
    router.close()
    await router.done
    network.close()
  })

  for (const [who, from, v4, v6] of [
    ['who comes by another device', 2, '192.0.3.2', '2001:db8:3::2'],
    ['who comes by the same device', 0, '10.8.0.2', 'fd08::2'],
  ] as const) {
    test(`${who} finds hosts there that nobody has found before`, async () => {
      const sweep = startCommand([...inside(network.left), process.execPath, '-e', SWEEP])
      const swept = () => Object.entries(router.totals().drops).some(([reason]) => reason.endsWith(': too many wait'))
      await eventually('more is swept than can wait', swept)
      let soon = 0
      for (let host = 1; host <= HOSTS_TRIED; host++) {
        const [found4, found6] = [`10.9.${200 + from}.${host}`, `fd09::${from + 1}:ffff:${host}`]
        ip(network.right, `addr add ${found4}/16 dev eth0`, `addr add ${found6}/64 dev eth0 nodad`)
        for (const [source, found] of [
          [v4, found4],
          [v6, found6],
        ] as const) {
          const ping = ['ping', '-n', '-c', '1', '-i', '0.25', '-w', '20', '-I', source, found]
          const { stdout } = await runIn(network.hosts[from]!, ping)
          const question = Number(/ bytes from .* icmp_seq=(\d+) /.exec(stdout)?.[1])
          assert(question > 0, stdout)
          if (question <= FEW_QUESTIONS) soon++
        }
      }
      assert(soon >= LEAST_SOON, `${soon} of ${2 * HOSTS_TRIED} by question ${FEW_QUESTIONS}`)
      sweep.kill('SIGKILL')
    })
  }
})
