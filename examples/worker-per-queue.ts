/**
 * Answers ICMP echo requests at two queues of a device, with a worker at each, until Ctrl-C; `sluice top` shows
 * both. Without a device it makes a veth pair, and has some pings ask there. Needs root.
 *
 *     node worker-per-queue.js eth0
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { isMainThread } from 'node:worker_threads'
import { findDevice, loadPolicy, type NetworkDevice, policySource, serveEngine, xdpWorkers } from 'sluice'
import { draw, planWorkers, receive, send, startWorkers } from 'sluice/engine'
import { addAddress, closeNetlink, findLink, openRoute, withNamespace } from 'sluice/kernel'
import { createPool, createSpace, loadCode } from 'sluice/memory'
import { divert, policy } from 'sluice/policy'
import { handle, reflect } from 'sluice/stages'
import { answerEcho, ECHO_REQUESTS } from './support/answer-echo.js'
import { makePair } from './support/veth-pair.js'

/** Every thread loads this module; a worker draws the graph of its queue. */
const plan = planWorkers(
  import.meta.url,
  xdpWorkers(2, (queue) => draw([receive(queue), handle('echo', answerEcho), reflect(), send(queue)])),
)

async function serve(device: NetworkDevice, until: () => Promise<unknown>): Promise<void> {
  const space = createSpace(64 << 20)
  const code = loadCode(space)
  const pool = createPool(space, code, { 2048: 20_480 })
  const loaded = loadPolicy(policySource(policy(divert(ECHO_REQUESTS)), { sets: new Map(), interfaceIndex: () => 0 }))
  const settings = { device, sockets: loaded.divertMap() }
  const workers = await startWorkers(plan, space, code, pool, { settings, partBytes: 2 << 20 })
  const link =
    device.namespace === undefined
      ? loaded.attach(device)
      : withNamespace(device.namespace, () => loaded.attach(device))
  const control = await serveEngine({ name: 'pings', device: device.name, space, engine: workers })
  console.log(`answering pings at two queues of ${device.name}`)
  await until()
  for (const { name, stages } of workers.statistics())
    console.log(`${name}: ${stages.find((stage) => stage.name === 'echo')?.packets} requests`)
  control.close()
  link.close()
  await workers.close()
  loaded.close()
}

/** Asks from several addresses of `near`, by which the kernel shares packets out to queues. */
async function pingSome(near: ReturnType<typeof makePair>['near']): Promise<void> {
  const addresses = Array.from({ length: 8 }, (_, index) => `192.0.2.${10 + index}`)
  const route = openRoute(near)
  const { index } = findLink(route, 'near')
  for (const address of addresses) addAddress(route, index, `${address}/24`)
  closeNetlink(route)
  const pings = withNamespace(near, () =>
    addresses.map((address) => execFile('ping', ['-I', address, '-c', '2', '-i', '0.2', '192.0.2.2'])),
  )
  const statuses = await Promise.all(pings.map((ping) => once(ping, 'close')))
  console.log(`${statuses.filter(([status]) => status === 0).length} of ${pings.length} pings were answered`)
}

// The rest is for the thread that starts them.
if (isMainThread) {
  const name = process.argv[2]
  if (process.getuid?.() !== 0) {
    console.error('skipped: AF_XDP sockets and programs need root, run it with sudo')
  } else if (name !== undefined) {
    await serve(findDevice(name), () => once(process, 'SIGINT'))
  } else {
    const { near, far } = makePair(2)
    const device = { ...withNamespace(far, () => findDevice('far')), namespace: far }
    await serve(device, () => pingSome(near))
  }
}
