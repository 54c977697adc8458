import assert from 'node:assert/strict'
import { execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  findNapiThreads,
  getAffinity,
  identify,
  listLinks,
  OWNER_VARIABLE,
  openRoute,
  placeNapi,
  readStatistics,
  withNamespace,
} from '../src/kernel/index.js'
import { removeLeftovers } from '../src/lab/leftovers.js'
import { createNetwork, type LabHost, type LabNetwork } from '../src/lab/network.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'

const CHILD = new URL('./support/lab-child.js', import.meta.url)
const OWNER = fileURLToPath(new URL('./support/network-owner.js', import.meta.url))
const PORT = '7000'

const hostDevices = () => listLinks(openRoute()).map((link) => link.name)

/** What a service on the victim answers to a connection from `host`: the address it sees. */
async function ask(network: LabNetwork, host: LabHost, address: string): Promise<string> {
  const [answer] = await once(network.spawn(host, CHILD, ['ask', PORT, address]), 'message')
  return answer
}

describe('the lab network', { skip: skipUnless('root', 'ip') }, () => {
  const devicesBefore = hostDevices()
  let network: LabNetwork

  before(async () => {
    network = createNetwork()
    await once(network.spawn(network.victim, CHILD, ['serve', PORT]), 'message')
  })
  after(() => network.close())

  test('is made while one looks', (t) => {
    t.diagnostic(`made in ${network.createdInMs.toFixed(1)} ms`)
    for (const { namespace, device } of [network.attacker, network.client, network.victim]) {
      const shown = withNamespace(namespace, () => execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' }))
      assert.match(shown, new RegExp(`^${device.name}@.* ${device.mac} <.*UP,LOWER_UP>`, 'm'))
    }
    assert.deepEqual(hostDevices(), devicesBefore)
  })

  for (const family of ['ipv4', 'ipv6'] as const) {
    test(`carries ${family} from client and attacker through the router, addresses unchanged`, async () => {
      const { client, attacker, victim } = network
      for (const host of [client, attacker]) {
        const seen = await ask(network, host, victim.device[family]!)
        assert.equal(seen.replace('::ffff:', ''), host.device[family])
      }
    })
  }

  test('takes TCP of the client through the receive queue that a flood takes', async () => {
    const { client, victim, router } = network
    const count = (name: string) => readStatistics(victim.device.name, victim.namespace).get(name)!
    const received = () => count('rx_queue_0_xdp_packets')
    const before = received()
    await ask(network, client, victim.device.ipv4)
    await eventually('SYN, ACK and FIN at the least have come through the queue', () => received() - before >= 3)
    assert.equal(count('peer_ifindex'), router.towardsVictim.index)
  })

  test('lets packets with a forged source reach the stack', () => {
    for (const { namespace, device } of [network.victim, network.attacker]) {
      const read = (scope: string) =>
        withNamespace(namespace, () => readFileSync(`/proc/sys/net/ipv4/conf/${scope}/rp_filter`, 'utf8').trim())
      assert.deepEqual([read('all'), read(device.name)], ['0', '0'])
    }
  })

  test('processes the packets of the victim on the CPU that it is told', async () => {
    const { victim, client } = network
    const cpu = getAffinity(0).at(-1)!
    const scheduling = { policy: 'fifo', priority: 5 } as const
    const { threads, problems } = placeNapi(victim.namespace, victim.device.name, { cpus: [cpu], scheduling })
    assert.deepEqual(problems, [])
    assert.equal(threads.length, 1)
    const proc = `/proc/${threads[0]}`
    assert.match(readFileSync(`${proc}/comm`, 'utf8'), new RegExp(`^napi/${victim.device.name}-\\d+$`, 'm'))
    const status = () => readFileSync(`${proc}/status`, 'utf8')
    assert.match(status(), new RegExp(`^Cpus_allowed_list:\t${cpu}$`, 'm'))
    // Fields 40 and 41 of proc(5): real-time priority, policy.
    assert.deepEqual(readFileSync(`${proc}/stat`, 'utf8').split(' ').slice(39, 41), ['5', '1'])

    const switches = () => Number(/^voluntary_ctxt_switches:\t(\d+)$/m.exec(status())![1])
    const before = switches()
    await ask(network, client, victim.device.ipv4)
    await eventually('the thread has run', () => switches() > before)
  })

  test('says what could not be arranged, and where', () => {
    const { threads, problems } = placeNapi(network.victim.namespace, 'nowhere', { cpus: [0] })
    assert.deepEqual(threads, [])
    assert.deepEqual(problems, ['setting threaded of nowhere to 1: ENOENT; its packets stay on the CPU they arrive at'])
  })

  test('goes when it is closed, with its children; a second close does nothing', async () => {
    const other = createNetwork()
    const { name } = other.victim.device
    placeNapi(other.victim.namespace, name, {})
    const child = other.spawn(other.client, CHILD, ['idle'])
    await once(child, 'message')
    const routerDevices = openRoute(other.router.namespace)
    assert.equal(listLinks(routerDevices).length, 4)
    other.close()
    other.close()
    const [, signal] = await once(child, 'exit')
    assert.equal(signal, 'SIGKILL')
    assert.deepEqual(
      listLinks(routerDevices).map((link) => link.name),
      ['lo'],
    )
    assert.deepEqual(findNapiThreads(name), [])
  })

  test('leaves nothing when its owner is killed', async (t) => {
    const owner = fork(OWNER)
    const [made] = (await once(owner, 'message')) as [{ device: string; threads: number[]; children: number[] }]
    assert.equal(made.threads.length, 1)
    assert.ok(made.children.every((pid) => identify(pid)))
    const killedAt = performance.now()
    owner.kill('SIGKILL')
    await eventually('the children are gone', () => made.children.every((pid) => !identify(pid)))
    // The thread belongs to the device, the device to the namespace.
    await eventually('the devices are gone', () => findNapiThreads(made.device).length === 0)
    t.diagnostic(`gone ${(performance.now() - killedAt).toFixed(0)} ms after SIGKILL`)
    assert.deepEqual(hostDevices(), devicesBefore)
  })
})

test('leftovers of dead owners are ended, and nothing else', { skip: skipUnless('root') }, async () => {
  const own = identify(process.pid)!
  const start = (marker: string | undefined) => {
    const { [OWNER_VARIABLE]: _, ...env } = process.env
    return spawn('sleep', ['60'], { env: marker === undefined ? env : { ...env, [OWNER_VARIABLE]: marker } })
  }
  const deadOwner = start('4194305:77')
  const laterProcessOfSamePid = start(`${own.pid}:1`)
  const survivors = [start(`${own.pid}:${own.startTime}`), start(undefined), start('garbage'), start('')]
  // The environment is the old one until exec.
  await eventually('all run', () =>
    [deadOwner, laterProcessOfSamePid, ...survivors].every(
      (child) => readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'sleep\n',
    ),
  )

  const removed = removeLeftovers()
  const ended = [deadOwner, laterProcessOfSamePid].map((child) => child.pid!)
  assert.deepEqual(new Set(removed.map(({ pid }) => pid).filter((pid) => ended.includes(pid))), new Set(ended))
  assert.equal(removed.find((leftover) => leftover.pid === deadOwner.pid)?.command, 'sleep 60')
  await Promise.all([once(deadOwner, 'exit'), once(laterProcessOfSamePid, 'exit')])
  for (const child of survivors) {
    assert.ok(identify(child.pid!), `${child.pid} was ended`)
    child.kill('SIGKILL')
  }
})
