import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { queryObjects } from 'node:v8'
import { type ListenerRequest, parseListener, type Router, startRouter } from '../src/control/router/router.js'
import { chooseService, connectTo } from '../src/control/service/ask.js'
import { CLI, runCli } from './support/cli.js'
import { atRest, eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { pingsAtOnce } from './support/ping.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { startRouteCommand } from './support/route-command.js'
import { createRoutedNetwork, HOSTS, HOSTS6, type RoutedNetwork } from './support/routed-network.js'
import { runIn } from './support/run-in.js'

const PINGS = 5
/** The language's types leave it out. */
const { Instance } = (globalThis as unknown as { WebAssembly: { Instance: new () => object } }).WebAssembly

for (const options of [{ workers: 0 }, { workers: 2 }, { workers: 2, track: 1000 }]) {
  describe(`hooks of a router with ${JSON.stringify(options)}`, {
    skip: skipUnless('root', 'ip', 'ping', 'tcpdump'),
  }, () => {
    let network: RoutedNetwork
    let router: Router
    const warnings: string[] = []

    before(async () => {
      network = createRoutedNetwork({ others: ['spare'], queues: 2 })
      const devices = ['left', 'right', 'spare']
      router = await startRouter({
        ...options,
        profile: 'small',
        devices,
        namespace: network.router,
        warn: (text) => warnings.push(text),
      })
      await eventually('it routes', async () => (await ping('-c', '1')).status === 0)
    })

    after(async () => {
      endChildren()
      router.close()
      await router.done
      network.close()
      assert.deepEqual(warnings, [])
    })

    const ping = (...args: string[]) => runIn(network.left, ['ping', '-W', '1', ...args, HOSTS[1]])
    const pings = (count: number, ...args: string[]) =>
      runIn(network.left, [...pingsAtOnce(count), ...args, '-s', '100', HOSTS[1]])
    /** Of packets that somebody drops. */
    const unanswered = (count: number) => pings(count, '-W', '1')

    /** Pings while somebody listens, and gives what he has heard, `packets` at least. */
    async function heardOf(request: ListenerRequest, packets: number) {
      const listener = await router.listen(request)
      const { stdout } = await (request.action === 'drop' ? unanswered : pings)(PINGS)
      await eventually('all have been heard', () => listener.heard().packets >= packets)
      const heard = await listener.close()
      assert.deepEqual(listener.heard(), heard)
      return { ...heard, answers: Number(/(\d+) received/.exec(stdout)![1]) }
    }

    test('a counter sees what passes its hook, in each direction or one, and is gone again', async () => {
      const names = () => router.stages().map(({ name }) => name)
      const regions = () => router.space.layout().regions.map(({ name }) => name)
      const without = names()
      const memory = regions()
      const bytes = 14 + 20 + 8 + 100
      for (const [request, packets] of [
        [{ at: 'prerouting', match: 'icmp' }, 2 * PINGS],
        [{ at: 'prerouting', match: 'icmp', from: 'left' }, PINGS],
        [{ at: 'forward', match: 'icmp', from: 'right', to: 'left' }, PINGS],
        [{ at: 'forward', match: 'icmp', to: 'spare' }, 0],
        [{ at: 'forward', match: 'tcp' }, 0],
        [{ at: 'postrouting', match: 'icmp[icmptype] = icmp-echoreply', to: 'left' }, PINGS],
        [{ at: 'postrouting', match: 'icmp' }, 2 * PINGS],
      ] as const) {
        const heard = await heardOf({ ...request, action: 'count' }, packets)
        assert.deepEqual(heard, { packets, bytes: packets * bytes, answers: PINGS }, JSON.stringify(request))
      }
      assert.deepEqual(names(), without)
      assert.deepEqual(regions(), memory)
      const programs = async () =>
        (await runIn(network.router, ['ip', '-details', 'link'])).stdout.match(/prog\/xdp id \d+/g)
      const attached = await programs()
      assert.equal(attached?.length, 3)
      await assert.rejects(router.listen({ at: 'forward', action: 'drop', match: 'tcp port' }))
      assert.deepEqual(await programs(), attached)
    })

    test('a filter drops until it is taken away, at each hook, and the books balance', async () => {
      const { drops: earlier } = router.totals()
      for (const at of ['prerouting', 'forward', 'postrouting'] as const) {
        const kept = () => router.totals().received - router.totals().forwarded
        const before = await atRest(kept)
        const { packets, answers } = await heardOf({ at, action: 'drop', match: 'icmp[icmptype] = icmp-echo' }, PINGS)
        assert.deepEqual({ packets, answers }, { packets: PINGS, answers: 0 })
        assert.equal(router.totals().drops[`${at}: filtered`], PINGS + (earlier[`${at}: filtered`] ?? 0))
        await eventually('the books balance', () => kept() - before === PINGS)
        assert.match((await pings(3)).stdout, / 3 received/)
      }
    })

    test('a mirror gives a host at another device the packets as they leave, and these arrive as well', async () => {
      const filter = 'icmp and host 192.0.2.2'
      const dump = startCommand([...inside(network.hosts[2]!), 'tcpdump', '-n', '-e', '-l', '-i', 'eth0', filter])
      let text = ''
      dump.stdout!.on('data', (data) => (text += data))
      dump.stderr!.on('data', (data) => (text += data))
      await eventually('tcpdump listens', () => text.includes('listening on'))
      const books = () => {
        const { received, copied, forwarded, drops } = router.totals()
        return { copied, missing: received + copied - forwarded - Object.values(drops).reduce((sum, n) => sum + n, 0) }
      }
      const before = books()
      const request = { at: 'postrouting', action: 'mirror', match: 'icmp', copyTo: 'spare' } as const
      const heard = await heardOf(request, 2 * PINGS)
      assert.deepEqual([heard.packets, heard.copied, heard.answers], [2 * PINGS, 2 * PINGS, PINGS])
      await eventually('the copies are there', () => (text.match(/ICMP echo re(quest|ply)/g) ?? []).length >= 2 * PINGS)
      // The Ethernet addresses are those with which the packet itself left.
      assert.equal(text.match(/02:00:00:00:00:12 > 02:00:00:00:00:22, .*echo request/g)?.length, PINGS, text)
      dump.kill('SIGINT')
      await once(dump, 'close')
      await eventually('the books balance', () => books().missing === before.missing)
      assert.equal(books().copied - before.copied, 2 * PINGS)
    })

    test('several stand at one hook in their order, and what cannot be is one sentence and changes nothing', async () => {
      const first = await router.listen({ at: 'forward', action: 'count', match: 'icmp' })
      const filter = await router.listen({ at: 'forward', action: 'drop', match: 'icmp[icmptype] = icmp-echo' })
      const last = await router.listen({ at: 'forward', action: 'count', match: 'icmp' })
      await unanswered(5)
      for (const [request, sentence] of [
        [
          { at: 'forward', action: 'drop', from: 'eth9' },
          /^eth9 is no device of this router; name one of left, right, spare$/,
        ],
        [{ at: 'postrouting', action: 'count', from: 'left' }, /^at postrouting nobody asks .*; listen at forward$/],
        [{ at: 'prerouting', action: 'count', to: 'left' }, /^at prerouting nobody knows yet .*; listen at forward$/],
        [{ at: 'forward', action: 'mirror' }, /^a mirror needs a device/],
        [{ at: 'nowhere', action: 'drop' }, /^there is no hook "nowhere"; choose one of/],
        [{ at: 'forward', action: 'eat' }, /^there is no action at a hook "eat"; choose one of/],
        [{ at: 'forward', action: 'count', copyTo: 'left' }, /^only a mirror sends copies/],
        [{ at: 'forward', action: 'drop', match: 'tcp port' }, /port/],
      ] as [ListenerRequest, RegExp][])
        await assert.rejects(router.listen(request), { message: sentence })
      await eventually('all have been heard', () => filter.heard().packets >= 5)
      const heard = [await first.close(), await filter.close(), await last.close()].map(({ packets }) => packets)
      assert.deepEqual(heard, [5, 5, 0])
      assert.match((await pings(3)).stdout, / 3 received/)
    })

    test('who comes and goes leaves no matcher behind', async () => {
      const instances = () => queryObjects(Instance, { format: 'count' })
      const comeAndGo = async (count: number) => {
        for (let port = 1; port <= count; port++)
          await (await router.listen({ at: 'forward', action: 'count', match: `udp port ${port}` })).close()
      }
      await comeAndGo(1)
      const before = instances()
      assert(before > 0)
      await comeAndGo(20)
      // The last of them may be held for a turn of the event loop still.
      await eventually('none is left', () => instances() <= before)
    })

    test('IPv6 passes the same hooks', async () => {
      const listener = await router.listen({
        at: 'forward',
        action: 'count',
        match: 'icmp6[0] = 128 or icmp6[0] = 129',
      })
      const { stdout } = await runIn(network.left, [...pingsAtOnce(5), HOSTS6[1]])
      assert.match(stdout, / 5 received/)
      await eventually('all have been heard', () => listener.heard().packets >= 10)
      assert.equal((await listener.close()).packets, 10)
    })
  })
}

test('there is room for many listeners, and one too many is refused', {
  skip: skipUnless('root', 'ping'),
}, async () => {
  const network = createRoutedNetwork({ others: ['spare', 'more'] })
  const points = ['prerouting', 'forward', 'postrouting'] as const
  const listeners = Array.from({ length: 32 }, (_, number): ListenerRequest => {
    return { at: points[number % 3]!, action: 'mirror', match: `udp port ${number + 1}`, copyTo: 'spare' }
  })
  const devices = ['left', 'right', 'spare', 'more']
  const router = await startRouter({
    ...{ devices, namespace: network.router, warn: assert.fail, listeners },
    ...{ workers: 1, track: 1000, nat: [{ kind: 'masquerade', outPort: 1 }] },
  })
  await assert.rejects(router.listen({ at: 'forward', action: 'count' }), {
    message: 'a router has 32 listeners at most; end one of them',
  })
  await eventually('it routes', async () => {
    return (await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])).status === 0
  })
  router.close()
  await router.done
  await assert.rejects(router.listen({ at: 'forward', action: 'count' }), { message: /^this router has ended/ })
  network.close()
})

test('sluice route --hook filters from the first packet on, and sluice hook until it ends', {
  skip: skipUnless('root', 'ip', 'ping'),
}, async () => {
  const network = createRoutedNetwork()
  const route = await startRouteCommand(network, '--hook', 'forward drop icmp and greater 1000')
  const ping = (...args: string[]) => runIn(network.left, [...args, HOSTS[1]])
  const dropped = () => JSON.parse(runCli(['status', '--json']).stdout).services[0].dropped
  assert.match((await ping('ping', '-c', '3', '-i', '0.05', '-s', '1200', '-W', '1')).stdout, / 0 received/)
  assert.match((await ping(...pingsAtOnce(3))).stdout, / 3 received/)
  // As nohup has it started.
  const ignoring = { ...process.env, _: '/usr/bin/nohup' }
  const hooked = startCommand([process.execPath, CLI, 'hook', 'forward', 'drop', 'icmp', '--json'], ignoring)
  let [document, said] = ['', '']
  hooked.stdout!.on('data', (data) => (document += data))
  hooked.stderr!.on('data', (data) => (said += data))
  await eventually('it listens', () => said.startsWith('listening at left and right: forward drop icmp, until Ctrl-C'))
  assert.match((await ping(...pingsAtOnce(3), '-W', '1')).stdout, / 0 received/)
  await eventually('all have been dropped', () => dropped() >= 6)
  assert.equal(dropped(), 6)
  // As many as there may be listeners: somebody can still ask.
  const { place } = await chooseService({}, ['engine'])
  const others = Array.from({ length: 32 }, () => connectTo(place))
  for (const other of others) assert.equal((await other.ask({ do: 'status' })).name, 'route')
  assert.equal(runCli(['status']).status, 0)
  for (const other of others) other.close()
  hooked.kill('SIGHUP')
  hooked.kill('SIGINT')
  await once(hooked, 'close')
  const { packets, bytes, listener, endedBy } = JSON.parse(document)
  assert.deepEqual([packets, bytes, listener, endedBy], [3, 3 * 98, 'forward drop icmp', 'SIGINT'])
  await eventually('it is gone', async () => (await ping('ping', '-c', '1', '-W', '1')).status === 0)
  assert.equal(dropped(), 6)

  for (const [args, sentence] of [
    [['hook', 'input', 'drop'], /^sluice: there is no hook "input"; choose one of prerouting, forward, postrouting\n$/],
    [
      ['hook', 'forward', 'reject'],
      /^sluice: there is no action at a hook "reject"; choose one of drop, count, mirror\n$/,
    ],
    [['hook', 'forward', 'drop', 'tcp port'], /^sluice: .*\n {2}tcp port\n/],
    [['hook', 'forward:eth9', 'drop'], /^sluice: eth9 is no device of this router; name one of left, right\n$/],
  ] as const) {
    const { status, stderr: sentenced } = runCli(args)
    assert.equal(status, 2, sentenced)
    assert.match(sentenced, sentence)
  }
  const { drops, received, forwarded } = await route.end()
  assert.deepEqual(drops, { 'forward: filtered': 6 })
  assert.equal(received - forwarded, 6)
  endChildren()
  network.close()
})

test('a listener as it is written', () => {
  for (const [text, request] of [
    ['forward drop tcp dst port 25', { at: 'forward', action: 'drop', match: 'tcp dst port 25' }],
    ['forward count', { at: 'forward', action: 'count', match: '' }],
    ['prerouting:eth0.7 count udp', { at: 'prerouting', action: 'count', match: 'udp', from: 'eth0.7' }],
    [
      'postrouting:eth1  mirror:mon0 ip',
      { at: 'postrouting', action: 'mirror', match: 'ip', to: 'eth1', copyTo: 'mon0' },
    ],
    ['forward:a/b drop', { at: 'forward', action: 'drop', match: '', from: 'a', to: 'b' }],
    ['forward:/b drop', { at: 'forward', action: 'drop', match: '', to: 'b' }],
  ] as const)
    assert.deepEqual(parseListener(text), request)
  assert.deepEqual(parseListener('forward mirror:'), { at: 'forward', action: 'mirror', match: '' })
  for (const [text, message] of [
    ['forward', /^"forward" is no listener at a hook; write one such as/],
    ['prerouting: drop', /^"prerouting:" names no device; write one behind the colon, or leave it out$/],
    ['forward:/ drop', /^"forward:\/" is no way between two devices; write forward:FROM\/TO, /],
    ['forward:a/b/c drop', /^"forward:a\/b\/c" is no way between two devices; /],
  ] as const)
    assert.throws(() => parseListener(text), { message })
})

test('options that no hook can stand beside are one sentence and status 2', { skip: skipUnless('root') }, () => {
  for (const [args, sentence] of [
    [
      ['--track', '1k', '--offload', '--hook', 'forward drop'],
      'packets that the drivers forward meet no hooks; route without --offload',
    ],
    [['--hook', 'nowhere drop'], 'there is no hook "nowhere"; choose one of prerouting, forward, postrouting'],
  ] as const) {
    const { status, stderr } = runCli(['route', 'one', 'other', ...args])
    assert.deepEqual([status, stderr], [2, `sluice: ${sentence}\n`])
  }
})
