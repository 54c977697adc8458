import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { type Router, startRouter } from '../src/control/router/router.js'
import { inside } from './support/joined-namespaces.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

const DATAGRAMS = 60
const MOST_BYTES = 30_000

/** Sends back what it gets, as many bytes, each one more than it was. */
const ECHO = `
const socket = require('node:dgram').createSocket({ type: 'udp6', recvBufferSize: 1 << 22 })
socket.on('message', (bytes, from) => socket.send(bytes.map((byte) => byte + 1), from.port, from.address))
socket.bind(7000, () => process.send('up'))
`
/** Sends datagrams of many lengths, two at a time, and prints how many came back as they must. */
const asking = (host: string) => `
const socket = require('node:dgram').createSocket({ type: 'udp${host.includes(':') ? 6 : 4}', recvBufferSize: 1 << 22 })
const lengths = Array.from({ length: ${DATAGRAMS} }, (_, each) => 100 + Math.floor(${MOST_BYTES} * each / ${DATAGRAMS}))
let right = 0
let next = 0
const send = () => {
  if (next === lengths.length) return
  const length = lengths[next++]
  socket.send(Buffer.alloc(length, next), 7000, '${host}')
}
socket.on('message', (bytes) => {
  const each = lengths.indexOf(bytes.length)
  if (each >= 0 && bytes.every((byte) => byte === each + 2)) right++
  send()
  if (right === lengths.length) end()
})
const end = () => { console.log(right); process.exit() }
setTimeout(end, 50_000)
send(); send()
`

for (const workers of [1, 2])
  describe(`real programs whose datagrams come in fragments, through translation by ${workers}`, {
    skip: skipUnless('root', 'ip', 'ping'),
  }, () => {
    let network: RoutedNetwork
    let router: Router
    const children: ChildProcess[] = []
    const warnings: string[] = []

    before(async () => {
      network = createRoutedNetwork({ queues: workers })
      router = await startRouter({
        devices: ['left', 'right'],
        namespace: network.router,
        workers,
        profile: 'small',
        nat: [{ kind: 'masquerade', outPort: 1 }],
        warn: (text) => warnings.push(text),
      })
      for (const namespace of [network.right, network.router]) {
        const [first, ...rest] = [...inside(namespace), process.execPath, '-e', ECHO]
        const child = spawn(first!, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
        children.push(child)
        await once(child, 'message')
      }
    })

    after(async () => {
      for (const child of children) child.kill('SIGKILL')
      router.close()
      await router.done
      network.close()
      assert.deepEqual(warnings, [])
    })

    test('echoes of 4,000 bytes, and of 60,000', async () => {
      for (const host of [HOSTS[1], HOSTS6[1]])
        for (const bytes of ['4000', '60000']) {
          const { stdout } = await runIn(network.left, [...pings(5, 100), '-s', bytes, host])
          assertAnswered(stdout, 5)
        }
    })

    test('datagrams of many lengths are answered by such', async () => {
      for (const host of [HOSTS[1], HOSTS6[1]]) {
        const { stdout } = await runIn(network.left, [process.execPath, '-e', asking(host)])
        assert.equal(stdout, `${DATAGRAMS}\n`, JSON.stringify(router.totals()))
      }
    })

    test('what the router’s own kernel says and hears is left to it', async () => {
      for (const [host, own] of [
        [HOSTS[1], '192.0.2.1'],
        [HOSTS6[1], '2001:db8:2::1'],
      ] as const) {
        for (const [namespace, target] of [
          [network.router, host],
          [network.right, own],
        ] as const) {
          const { stdout } = await runIn(namespace, [...pings(3, 100), '-s', '4000', target])
          assertAnswered(stdout, 3)
        }
      }
      const { drops } = router.totals()
      assert(!Object.keys(drops).some((name) => name.endsWith(': not taken')), JSON.stringify(drops))
    })
  })
