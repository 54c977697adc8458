import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startRouter } from '../src/control/router/router.js'
import { closeNamespace, createNamespace } from '../src/kernel/index.js'
import { CLI } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { ip } from './support/kernel-routes.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS } from './support/routed-network.js'
import { runIn, startIn } from './support/run-in.js'

describe('a router with a TAP device', { skip: skipUnless('root', 'ip', 'ping') }, () => {
  test('forwards between a veth and a guest behind a TAP device, both ways', async () => {
    const network = createRoutedNetwork()
    const [guest, link] = [createNamespace(), createNamespace()]
    // The guest's network card is a veth here, and what joins it with the TAP device is our own wire.
    ip(link, `link add other type veth peer name eth0 netns ${guest.path}`, 'link set other up')
    ip(guest, 'addr add 192.0.9.2/24 dev eth0', 'link set eth0 up', 'route add default via 192.0.9.1')
    const wire = startIn(link, [process.execPath, CLI, 'bridge', `tap:${network.router.path}/tap0`, 'other'])
    await wire.said(/joining/)
    const { status, stderr } = await runIn(network.router, ['ip', 'addr', 'add', '192.0.9.1/24', 'dev', 'tap0'])
    assert.equal(status, 0, stderr)
    const router = await startRouter({ devices: ['left', 'tap0'], namespace: network.router, warn: assert.fail })
    await eventually('the guest is reached', async () => {
      return (await runIn(network.left, ['ping', '-c', '1', '-W', '1', '192.0.9.2'])).status === 0
    })
    const there = await runIn(network.left, [...pings(20), '-s', '1400', '192.0.9.2'])
    assertAnswered(there.stdout, 20)
    const back = await runIn(guest, [...pings(20), HOSTS[0]])
    assertAnswered(back.stdout, 20)
    assert.match(back.stdout, /ttl=63/)
    assert(router.totals().forwarded >= 80)
    router.close()
    await router.done
    assert.equal((await wire.stop()).status, 0)
    network.close()
    for (const namespace of [guest, link]) closeNamespace(namespace)
  })
})
