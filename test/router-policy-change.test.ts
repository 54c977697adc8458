import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { LostDeviceError } from '../src/control/device.js'
import { type Router, type RouterOptions, startRouter } from '../src/control/router/router.js'
import type { WorkerStatistics, Workers } from '../src/engine/index.js'
import { closeNetlink, deleteLink, findLink, openRoute, setLink, writeSysctl } from '../src/kernel/index.js'
import { METADATA_BYTES, METADATA_MARK } from '../src/memory/index.js'
import { handle } from '../src/stages/index.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { assertAnswered, pings } from './support/ping.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, HOSTS, type RoutedNetwork } from './support/routed-network.js'
import { RUN_DIRECTORY } from './support/run-directory.js'
import { runIn } from './support/run-in.js'
import { type WireWatch, watchWire } from './support/watch-wire.js'

const FLOOD = 'udp dst port 7'
/** One every millisecond to each port, until it is ended; what cannot be sent is not. */
const SENDER = `
const socket = require('node:dgram').createSocket('udp4')
setInterval(() => { for (const port of [7, 9]) socket.send('flood', port, '${HOSTS[1]}', () => {}) }, 1)`
/** Both drop the flood, and nothing else. */
const POLICIES = [
  `rules: [{ name: seen, action: count, match: udp }, { name: flood, action: drop, match: ${FLOOD} }]`,
  `rules: [{ name: other, action: drop, match: tcp dst port 7 }, { name: flood, action: drop, match: ${FLOOD} }]`,
] as const
const RELOADS = 60

function write(text: string): string {
  const path = join(RUN_DIRECTORY, 'policy.yaml')
  writeFileSync(path, text)
  return path
}

describe('a router and its policy under a flood', { skip: skipUnless('root', 'ip', 'ping', 'tcpdump') }, () => {
  let network: RoutedNetwork
  let router: Router
  let wire: WireWatch
  const done: Promise<unknown>[] = []

  before(async () => {
    network = createRoutedNetwork()
    // What passes while no worker has a socket is forwarded by the kernel: no less is to be dropped of it.
    writeSysctl(network.router, 'ipv4/ip_forward', 1)
  })

  afterEach(async () => {
    endChildren()
    router.close()
    await Promise.all(done.splice(0))
  })

  after(() => network.close())

  /** Starts it, a watch at the right host for what must not come there, and the flood. */
  async function start(text: string = POLICIES[0], options: Partial<RouterOptions> = {}): Promise<void> {
    const request = { policyFile: write(text), keep: [], keepSsh: false }
    const common = { devices: ['left', 'right'], namespace: network.router, profile: 'small', warn: () => {} } as const
    router = await startRouter({ ...common, policy: request, ...options })
    done.push(router.done.catch((error: unknown) => error))
    await answered()
    wire = await watchWire({ namespace: network.right, name: 'eth0' }, FLOOD)
    startCommand([...inside(network.left), process.execPath, '-e', SENDER])
    await more()
  }

  const ping = () => runIn(network.left, [...pings(1), HOSTS[1]])
  const answered = () => eventually('pings are answered', async () => (await ping()).status === 0)
  const dropped = () => router.totals().drops['policy: flood'] ?? 0
  /** Until more of the flood has been dropped, and more of the rest forwarded. */
  const more = async () => {
    const before = dropped()
    await eventually('the flood is dropped', () => dropped() > before + 20)
    await answered()
  }
  const nothingCame = async () => assert.equal((await wire.stop()).length, 0)

  test(`lets no packet through unfiltered and loses none that it routes in ${RELOADS} reloads`, async () => {
    await start()
    const pinging = runIn(network.left, [...pings(100, 20), HOSTS[1]])
    const before = dropped()
    for (let reload = 1; reload <= RELOADS; reload++) {
      write(POLICIES[reload % POLICIES.length]!)
      assert.deepEqual(router.policy!.reload(), { lapsed: [], changed: 'policy', rules: 2 })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assertAnswered((await pinging).stdout, 100)
    assert(dropped() > before, 'the rule that stays goes on counting')
    await nothingCame()
  })

  test('is in force while a worker is started again, and after devices were down', async () => {
    await start()
    const workers = router.engine as Workers<never>
    for (let kills = 1; kills <= 3; kills++) {
      workers.kill('worker 0')
      await eventually('it is started again', () =>
        (workers.statistics() as WorkerStatistics[]).every((each) => each.isRunning && each.restarts === kills),
      )
      await more()
    }
    const route = openRoute(network.router)
    for (const up of [false, true])
      for (const name of ['left', 'right']) setLink(route, findLink(route, name).index, { up })
    closeNetlink(route)
    await more()
    await nothingCame()
  })

  test('ends with a device that is removed, and leaves nothing at the others', async () => {
    await start()
    await nothingCame()
    const route = openRoute(network.router)
    try {
      deleteLink(route, 'right')
      assert((await done[0]) instanceof LostDeviceError)
      assert.equal(findLink(route, 'left').xdp.mode, 'none')
      assert(dropped() > 0)
      // It has gone on dropping until it was taken off.
      assert(router.policy!.read().rules[1]!.packets >= dropped())
      assert.throws(() => router.policy!.reload(), /^Error: this policy has ended/)
    } finally {
      closeNetlink(route)
    }
    network.close()
    network = createRoutedNetwork()
  })

  test('marks packets for the stages of the router', async () => {
    /** Of datagrams that have come to the router, by their port. */
    const marks = new Map<number, number>()
    const look = handle('look', ({ count, view, bytes, start: startOf, answer }) => {
      for (let packet = 0; packet < count; packet++) {
        const at = startOf(packet)
        if (bytes[at + 23] === 17)
          marks.set(view.getUint16(at + 36), view.getUint32(at - METADATA_BYTES + METADATA_MARK, true))
        answer(packet)
      }
    })
    const marking = `rules: [{ name: flood, action: drop, match: ${FLOOD} }, { action: mark, value: 7, match: udp port 9 }]`
    await start(marking, { workers: 0, hooks: { prerouting: [({ name }) => (name === 'left' ? look : null)] } })
    await eventually('marked datagrams', () => marks.size > 0)
    assert.deepEqual([...marks], [[9, 7]])
    await nothingCame()
  })
})
