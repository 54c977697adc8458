import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Router, startRouter } from '../src/control/router/router.js'
import {
  addAddress,
  addRoute,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  setLink,
} from '../src/kernel/index.js'
import { skipUnless } from './support/require.js'
import { runIn } from './support/run-in.js'

describe('a router between two hosts', { skip: skipUnless('root', 'ip', 'ping') }, () => {
  let [router, left, right]: NetworkNamespace[] = []
  let running: Router
  const warnings: string[] = []

  before(() => {
    router = createNamespace()
    left = createNamespace()
    right = createNamespace()
    const middle = openRoute(router)
    for (const [name, host, network] of [
      ['left', left, 1],
      ['right', right, 2],
    ] as const) {
      const far = openRoute(host)
      createVeth(middle, { name, mac: `02:00:00:00:00:1${network}` }, { name: 'eth0' }, host)
      for (const [route, end] of [
        [middle, name],
        [far, 'eth0'],
      ] as const) {
        setLink(route, findLink(route, end).index, { up: true })
      }
      addAddress(middle, findLink(middle, name).index, `192.0.${network}.1/24`)
      addAddress(far, findLink(far, 'eth0').index, `192.0.${network}.2/24`)
      addRoute(far, 'default', `192.0.${network}.1`)
      closeNetlink(far)
    }
    closeNetlink(middle)
    running = startRouter({ devices: ['left', 'right'], namespace: router, warn: (text) => warnings.push(text) })
  })

  after(async () => {
    running.close()
    await running.done
    for (const namespace of [router, left, right]) closeNamespace(namespace!)
  })

  test('ping goes through, the first packet as well', async () => {
    const { stdout } = await runIn(left!, ['ping', '-c', '3', '-i', '0.2', '192.0.2.2'])
    assert.match(stdout, /3 received/)
    assert.match(stdout, /ttl=63/)
  })
})
