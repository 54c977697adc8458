import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { StageRate } from '../src/control/service/rates.js'
import type { TracedPacket } from '../src/control/service/trace.js'
import type { Region } from '../src/memory/index.js'
import { CLI, runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { type RouteCommand, startRouteCommand } from './support/route-command.js'
import { createRoutedNetwork, HOSTS, type RoutedNetwork } from './support/routed-network.js'
import { RUN_DIRECTORY } from './support/run-directory.js'
import { runIn, startIn } from './support/run-in.js'

/** Whether an Ethernet frame, in hexadecimal, is an echo request over IPv4 without options. */
const isRequest = (begin: string) => begin.slice(2 * 34, 2 * 35) === '08'

for (const [options, stage, output] of [
  [[], 'route left', 'port 1'],
  [['--track', '1k'], 'track left', 'cached 1'],
] as const) {
  describe(`sluice route ${options.join(' ')}, and what looks at it`, {
    skip: skipUnless('root', 'ip', 'ping', 'tcpdump'),
  }, () => {
    let network: RoutedNetwork
    let route: RouteCommand

    before(async () => {
      network = createRoutedNetwork({ queues: 2 })
      route = await startRouteCommand(network, '--workers', '2', ...options)
      // A ping every 20 ms for all that follows, which says nothing: while a test waits for a command nobody reads it.
      startCommand([...inside(network.left), 'ping', '-q', '-i', '0.02', HOSTS[1]])
      await eventually('packets go through', async () => {
        return (await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])).status === 0
      })
    })

    after(() => {
      endChildren()
      network.close()
    })

    const run = (...args: string[]) => {
      const { status, stdout: out, stderr: said } = runCli(args)
      assert.equal(status, 0, said)
      return out
    }

    test('status knows it, and what its memory is used for', () => {
      const [service] = JSON.parse(run('status', '--memory', '--json')).services
      assert.deepEqual([service.name, service.devices, service.mode], ['route', ['left', 'right'], 'native'])
      const names = service.memory.regions.map(({ name }: Region) => name).join('\n')
      for (const name of [/^worker 0: .*right queue 0/m, /^worker 1: .*left queue 1/m, /^routes router v4 root$/m])
        assert.match(names, name)
    })

    test('top shows the stages of each worker', async () => {
      const look = () => (JSON.parse(run('top', '--json')) as { stages: StageRate[] }).stages
      assert.deepEqual(new Set(look().map(({ engine }) => engine)), new Set(['worker 0', 'worker 1']))
      // In the second of one look ping may have stood still.
      await eventually('a stage at work', () => {
        return look().some((each) => each.stage === stage && each.packetsPerSecond > 0)
      })
      const table = run('top', '--once', '--device', 'right')
      const head = /^route \d+ at left and right\n.*\n│ stage +│ packets\/s │ a bundle │ ns a packet │ drops\/s │\n/
      assert.match(table, head)
      assert.match(table, /\n│ worker [01]: .* │\n[\s\S]*\nfurther stages: \d+ without a packet so far\n$/)
    })

    test('trace and capture follow packets', async () => {
      let request: TracedPacket | undefined
      // Of a packet whose worker stands still for a second, a trace gives the way as far as it is known.
      await eventually('a request that is followed to its end', () => {
        const { packets } = JSON.parse(run('trace', 'icmp', '--limit', '4', '--json')) as { packets: TracedPacket[] }
        assert.equal(packets.length, 4)
        request = packets.find(({ begin, steps }) => isRequest(begin) && steps.at(-1)!.went === 'sent')
        return request !== undefined
      })
      // Where it leaves: with connections it may have come by another one.
      const { worker } = request!.steps.at(-1)!
      const path = join(RUN_DIRECTORY, 'routed.pcapng')
      run('capture', `${worker}: ${stage}.${output}`, '-w', path, '--limit', '3')
      const text = execFileSync('tcpdump', ['-n', '-v', '-r', path], { encoding: 'utf8', stdio: 'pipe' })
      assert.equal(text.match(/ttl 63, .*\n +192\.0\.1\.2 > 192\.0\.2\.2: ICMP echo request/g)?.length, 3, text)
    })

    test('its end gives the kernel its packets back, and the totals', async () => {
      const { forwarded, drops, endedBy } = await route.end()
      assert.equal(endedBy, 'SIGINT')
      assert(forwarded > 10, JSON.stringify({ forwarded, drops }))
      assert.match((await runIn(network.router, ['ip', 'link', 'show', 'left'])).stdout, /^\d+: left@if(?!.*xdp)/)
    })
  })
}

test('a router whose device is removed ends with its totals, one sentence and status 1', {
  skip: skipUnless('root', 'ip', 'ping'),
}, async () => {
  const network = createRoutedNetwork()
  const running = startIn(network.router, [process.execPath, CLI, 'route', 'left', 'right', '--json'])
  await running.said(/routing between/)
  await eventually('packets go through', async () => {
    return (await runIn(network.left, ['ping', '-c', '1', '-W', '1', HOSTS[1]])).status === 0
  })
  await runIn(network.router, ['ip', 'link', 'del', 'right'])
  const { status, stdout, stderr } = await running.ended
  assert.equal(status, 1, stderr)
  const { endedBy, forwarded } = JSON.parse(stdout)
  assert.equal(endedBy, 'failure')
  assert(forwarded >= 2, stdout)
  assert.match(stderr, /\nsluice: the device right has been removed: [^\n]*\n$/)
  network.close()
})

test('devices that make no router are one sentence and status 2, in user space and in the driver', () => {
  for (const way of [[], ['--in-driver']]) {
    for (const [devices, sentence] of [
      [['lo'], 'sluice: a router has two devices or more; name another one beside lo\n'],
      [['lo', 'lo'], 'sluice: lo is named twice; name each device of the router once\n'],
    ] as const) {
      const { status, stderr } = runCli(['route', ...devices, ...way])
      assert.deepEqual([status, stderr], [2, sentence])
    }
  }
})
