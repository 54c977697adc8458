import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { takePackets } from '../src/control/index.js'
import { closeNetlink, deleteLink, openRoute, setLink, withNamespace } from '../src/kernel/index.js'
import { eventually } from './support/eventually.js'
import { assertAnswered, pings } from './support/ping.js'
import { skipUnless } from './support/require.js'
import './support/run-directory.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'

const EXAMPLES = fileURLToPath(new URL('../examples/', import.meta.url))

describe('packets taken from a device', { skip: skipUnless('root', 'ping', 'ip') }, () => {
  let pair: VethPair

  before(() => {
    pair = createVethPair(2)
  })

  after(() => pair?.close())

  const far = (...[command, ...args]: string[]) =>
    withNamespace(pair.far.namespace, () => execFileSync(command!, args, { encoding: 'utf8' }))
  const near = (command: string, ...args: string[]) =>
    withNamespace(pair.near.namespace, () => execFileSync(command, args, { encoding: 'utf8' }))

  /** Starts an example at the near end, and comes back when it answers. */
  async function start(example: string, ...args: string[]): Promise<{ child: ChildProcess; said: () => string }> {
    const command = [`${EXAMPLES}${example}.js`, pair.near.name, ...args]
    const child = withNamespace(pair.near.namespace, () =>
      spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] }),
    )
    let said = ''
    child.stdout!.on('data', (text) => {
      said += text
    })
    await eventually(`${example} answers`, () => said.includes('answering') || child.exitCode !== null)
    return { child, said: () => said }
  }

  async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    child.kill(signal)
    await once(child, 'close')
  }

  const programs = () => near('ip', '-details', 'link', 'show', pair.near.name).match(/prog\/xdp/g)?.length ?? 0

  it('answers pings from the example, which the kernel would not, and gives the device back', async () => {
    // The kernel is told to answer none.
    near('sysctl', '-qw', 'net.ipv4.icmp_echo_ignore_all=1')
    const { child, said } = await start('answer-ping')
    for (const size of ['0', '56', '1472']) assertAnswered(far(...pings(20), '-s', size, pair.near.ipv4), 20)
    assert.equal(programs(), 1)
    await stop(child, 'SIGINT')
    await eventually('the program is gone', () => programs() === 0)
    const [received, sent] = ['received', 'sent'].map((what) => Number(said().match(`${what}Packets: (\\d+)`)![1]))
    assert.ok(received! >= 60 && sent === received, said())
    near('sysctl', '-qw', 'net.ipv4.icmp_echo_ignore_all=0')
    assertAnswered(far(...pings(1), pair.near.ipv4), 1)
  })

  it('leaves nothing after SIGKILL: the kernel answers again', async () => {
    const { child } = await start('answer-ping')
    assertAnswered(far(...pings(1), pair.near.ipv4), 1)
    await stop(child, 'SIGKILL')
    await eventually('the program is gone', () => programs() === 0)
    assertAnswered(far(...pings(1), pair.near.ipv4), 1)
  })

  it('answers DNS from the example, to kdig', { skip: skipUnless('kdig') }, async () => {
    const { child } = await start('answer-dns', 'sluice.example', '203.0.113.80')
    const ask = (...args: string[]) => far('kdig', '+time=20', '+retry=1', `@${pair.near.ipv4}`, ...args)
    assert.equal(ask('+short', 'sluice.example').trim(), '203.0.113.80')
    assert.equal(ask('+short', '+noedns', 'SLUICE.Example').trim(), '203.0.113.80')
    assert.match(ask('other.example'), /NXDOMAIN/)
    assert.match(ask('sluice.example'), /aa/)
    await stop(child, 'SIGINT')
  })

  it('leaves to the kernel what the filter does not match, and drops what is not answered', async () => {
    const taken = takePackets(pair.near, 'udp dst port 9', () => {})
    assertAnswered(far(...pings(3), pair.near.ipv4), 3)
    sendUdp(9, 10)
    await eventually('all are counted', () => taken.statistics().drops['unanswered'] === 10)
    const { receivedPackets, sentPackets, copiedPackets } = taken.statistics()
    assert.deepEqual([receivedPackets, sentPackets, copiedPackets], [10, 0, 10])
    taken.close()
    taken.close()
    await taken.done
    assert.equal(taken.statistics().receivedPackets, 10)
  })

  it('can be closed by its handler, and rejects with what a handler throws', async () => {
    const closing = takePackets(pair.near, 'udp dst port 9', () => closing.close())
    sendUdp(9, 1)
    await closing.done
    const throwing = takePackets(pair.near, 'udp dst port 9', () => {
      throw new RangeError('not this one')
    })
    sendUdp(9, 1)
    await assert.rejects(throwing.done, /not this one/)
    assert.equal(programs(), 0)
  })

  it('refuses what is no filter, no device and no room', () => {
    assert.throws(() => takePackets(pair.near, 'udp prt 9', () => {}), { name: 'FilterError' })
    assert.throws(() => takePackets('nowhere', 'udp', () => {}), { name: 'DeviceError' })
    assert.throws(() => takePackets(pair.near, 'udp', () => {}, { zeroCopy: 'require' }), /EOPNOTSUPP/)
    assert.equal(programs(), 0)
  })

  it('goes on when the device comes up again, and ends in one message when it is removed', async () => {
    let count = 0
    const taken = takePackets(pair.near, 'udp dst port 9', (packets) => {
      count += packets.count
    })
    sendUdp(9, 5)
    await eventually('packets come', () => count === 5)
    const route = openRoute(pair.near.namespace)
    setLink(route, pair.near.index, { up: false })
    setLink(route, pair.near.index, { up: true })
    await eventually('packets come again', () => {
      sendUdp(9, 1)
      return count > 5
    })
    deleteLink(route, pair.near.name)
    closeNetlink(route)
    await assert.rejects(taken.done, {
      name: 'LostDeviceError',
      message: /near queue \d is gone: the device has been removed/,
    })
  })

  function sendUdp(port: number, count: number): void {
    const send = `
      const socket = require('node:dgram').createSocket('udp4')
      let left = ${count}
      for (let n = 0; n < ${count}; n++)
        socket.send('hello', ${port}, '${pair.near.ipv4}', () => --left || socket.close())`
    far(process.execPath, '-e', send)
  }
})
