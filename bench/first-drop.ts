import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readStatistics, withNamespace } from '../src/kernel/index.js'
import { openFloodGenerator } from '../src/lab/flood.js'
import { createNetwork } from '../src/lab/network.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * From the command to the first dropped packet: `sluice drop` is started on a
 * device that is being flooded, and the driver's own counter of XDP drops is
 * watched. In turn: as it is installed, without the code that V8 has compiled
 * before, and from the modules that the compiler has made. Node's start is
 * measured beside it and taken off.
 */

const ROUNDS = 9
const PACKETS_PER_SECOND = 100_000
const RULE = 'tcp[tcpflags] == tcp-syn and ip[2:2] == 40'
const INSTALLED = fileURLToPath(new URL('../../dist/bin/sluice.cjs', import.meta.url))
const MODULES = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const WAYS = {
  command: { cli: INSTALLED, env: {} },
  withoutCode: { cli: INSTALLED, env: { SLUICE_CODE_CACHE: 'off' } },
  modules: { cli: MODULES, env: {} },
}
const FLOOD = new URL('../src/lab/flood-process.js', import.meta.url)

const network = createNetwork()
const { victim, router } = network
const generator = await openFloodGenerator(network.spawn(router, FLOOD))
const samples: Record<string, number[]> = { node: [] }
const beyondNode: Record<string, number[]> = {}
generator.start({
  spec: {
    kind: 'syn',
    sourceMac: router.towardsVictim.mac,
    destinationMac: victim.device.mac,
    destination: victim.device.ipv4,
    port: 8080,
    sources: { address: '198.18.0.0', length: 15 },
    bytes: { least: 60, most: 60 },
  },
  interfaceIndex: router.towardsVictim.index,
  packetsPerSecond: PACKETS_PER_SECOND,
  seconds: 60,
})
await sleep(200)
for (let round = 0; round < ROUNDS; round++) {
  const node = timeNode()
  samples['node']!.push(node)
  for (const [name, way] of Object.entries(WAYS)) {
    const command = await timeDrop(way)
    push(samples, name, command)
    push(beyondNode, `${name} - node`, command - node)
  }
}
await generator.stop()
network.close()

const rows = Object.entries({ ...samples, ...beyondNode }).map(([what, milliseconds]) => {
  const { median, least, most } = spreadOf(milliseconds)
  return { what, 'median ms': median, 'least ms': least, 'most ms': most }
})
printReport({ name: 'first-drop', rows, ratios: { firstDropMs: spreadOf(beyondNode['command - node']!).median } })

function push(lists: Record<string, number[]>, name: string, value: number): void {
  lists[name] = [...(lists[name] ?? []), value]
}

function timeNode(): number {
  const start = performance.now()
  spawnSync(process.execPath, ['-e', ''])
  return performance.now() - start
}

async function timeDrop({ cli, env }: (typeof WAYS)[keyof typeof WAYS]): Promise<number> {
  const dropped = () => readStatistics(victim.device.name, victim.namespace).get('rx_queue_0_xdp_drops') ?? 0
  const before = dropped()
  const start = performance.now()
  const child = withNamespace(victim.namespace, () =>
    spawn(process.execPath, [cli, 'drop', RULE, '--on', victim.device.name], {
      stdio: 'ignore',
      env: { ...process.env, ...env },
    }),
  )
  const ended = once(child, 'exit')
  while (dropped() === before) await sleep(0.5)
  const milliseconds = performance.now() - start
  child.kill('SIGTERM')
  await ended
  return milliseconds
}
