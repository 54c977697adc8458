import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Router, startRouter } from '../src/control/router/router.js'
import { type NetworkNamespace, withNamespace } from '../src/kernel/index.js'
import { inside } from './support/joined-namespaces.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

const SERVER = fileURLToPath(new URL('./support/serve-file.js', import.meta.url))
const DOCUMENT_BYTES = 4 << 20

describe('a router whose right port takes 1,400 bytes', {
  skip: skipUnless('root', 'ip', 'ping', 'curl', 'iperf3'),
}, () => {
  let network: RoutedNetwork
  let router: Router
  const children: ChildProcess[] = []
  const warnings: string[] = []

  before(async () => {
    network = createRoutedNetwork()
    const { router: namespace, right } = network
    ip(namespace, 'link', 'set', 'right', 'mtu', '1400')
    // What the right host sends is no longer either; what it takes is as long as the left one believes.
    for (const [gateway, ...family] of [['192.0.2.1'], ['2001:db8:2::1', '-6']])
      ip(right, ...family, 'route', 'replace', 'default', 'via', gateway!, 'mtu', '1400', 'advmss', '1440')
    router = await startRouter({ devices: ['left', 'right'], namespace, warn: (text) => warnings.push(text) })
  })

  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    router.close()
    await router.done
    network.close()
    assert.deepEqual(warnings, [])
  })

  const start = (namespace: NetworkNamespace, ...command: readonly string[]) => {
    const [first, ...rest] = [...inside(namespace), ...command]
    const child = spawn(first!, rest, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    children.push(child)
    return child
  }

  const packetsOf = (stage: string) => router.stages().find(({ name }) => name === stage)!.packets

  /** The MTU that the left host knows of for a destination. */
  const learned = async (host: string) =>
    /mtu (\d+)/.exec((await runIn(network.left, ['ip', 'route', 'get', host])).stdout)?.[1] ?? null

  test('curl gets a document whole from a server whose packets are too big at first', async () => {
    const server = start(network.left, process.execPath, SERVER, `${DOCUMENT_BYTES}`)
    const [document] = await once(server, 'message')
    assert.equal(await learned(HOSTS[1]), null)
    const { status, stdout } = await runIn(network.right, ['sh', '-c', `curl -s http://${HOSTS[0]}/ | base64 -w 0`])
    assert.equal(status, 0)
    assert(stdout === document, 'the document differs')
    assert.equal(await learned(HOSTS[1]), '1400')
  })

  test('iperf3 finds the MTU of its path, by both families', async () => {
    for (const host of [HOSTS[1], HOSTS6[1]]) {
      const server = start(network.right, 'iperf3', '-s', '-1', '--forceflush', '-B', host)
      const ended = once(server, 'exit')
      await once(server.stdout!, 'data')
      const { stdout, stderr } = await runIn(network.left, ['iperf3', '-J', '-n', '16M', '-c', host])
      assert(JSON.parse(stdout).end?.sum_received.bytes > 1 << 20, stderr + stdout.slice(-500))
      await ended
      assert.equal(await learned(host), '1400')
    }
  })

  test('the kernel puts together what the router has cut, and what it has cut again', async () => {
    // What it has learned would have the host cut by itself.
    await runIn(network.left, ['ip', 'route', 'flush', 'cache'])
    const before = packetsOf('fragment left')
    for (const [bytes, ...more] of [['1390'], ['1472'], ['2000'], ['8000'], ['1400', '-R']]) {
      // The first wait for a neighbour as well.
      ip(network.router, 'neigh', 'flush', 'dev', 'right')
      const command = [...pings(10, 50), '-M', 'dont', '-s', bytes!, ...more, HOSTS[1]]
      const { stdout } = await runIn(network.left, command)
      assertAnswered(stdout, 10)
      assert.doesNotMatch(stdout, /wrong data|Frag/)
    }
    assert(packetsOf('fragment left') - before >= 90)
    const { stdout } = await runIn(network.right, ['cat', '/proc/net/snmp'])
    const [names, values] = stdout.match(/^Ip: .*$/gm)!.map((line) => line.split(' '))
    const counter = (name: string) => Number(values![names!.indexOf(name)])
    assert(counter('ReasmOKs') >= 50)
    assert.equal(counter('ReasmFails'), 0)
  })
})

function ip(namespace: NetworkNamespace, ...words: readonly string[]): void {
  const { status, stderr } = withNamespace(namespace, () => spawnSync('ip', words, { encoding: 'utf8' }))
  assert.equal(status, 0, stderr)
}
