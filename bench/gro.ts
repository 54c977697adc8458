import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createLink, openTapDevice, openXdp, type TapDevice } from '../src/device/index.js'
import { type Device, draw, type Engine, receive, send, startEngine } from '../src/engine/index.js'
import {
  addAddress,
  closeNamespace,
  closeNetlink,
  createNamespace,
  type NetworkNamespace,
  openRoute,
  pinProcess,
  setFeatures,
  setLink,
  withNamespace,
  writeSysctl,
} from '../src/kernel/index.js'
import { attachXdp, loadProgram } from '../src/loader/index.js'
import { BUNDLE_BYTES, createPool, createSpace, DESCRIPTOR_BYTES, loadCode } from '../src/memory/index.js'
import { gro } from '../src/stages/index.js'
import { flowFrame } from '../test/support/flow-packet.js'
import { REDIRECT_PROGRAM, redirectTo } from '../test/support/redirect-program.js'
import { createVethPair } from '../test/support/veth-pair.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * What GRO gains and costs on the way into a TAP device, with and without the
 * stage in turn, over one graph that is changed:
 *
 *     iperf3 ─ veth ─ AF_XDP ─ [gro] ─ TAP ─ iperf3        a TCP connection whose packets are as on a wire
 *     bundles in memory ─ [gro] ─ TAP                      datagrams of 64 flows, one each in a bundle
 *
 * One core is the receiver's: the engine and the iperf3 that is served. The
 * other sends.
 */

const RUNS = 5
const FLOODS = 11
const SECONDS = 3
const ENTRIES = 4096
const BUNDLE = 64
const DATAGRAM_BUNDLES = 2000
const ATTEMPTS = 10
const SERVER = '192.0.2.9'

const space = createSpace(96 << 20)
const code = loadCode(space)
const pool = createPool(space, code, { 2048: 4 * ENTRIES, 65536: 256 })
const worker = pool.openWorker('bench')
const rows: Record<string, string | number>[] = []

if (spawnSync('iperf3', ['--version']).status !== 0) {
  process.stderr.write('gro: needs iperf3 (Debian: apt-get install iperf3)\n')
  process.exit(0)
}
const unpin = pinProcess(1)
const tcpSpeedup = await compareTcp()
const udpLoss = compareUdp()
unpin()
worker.close()
printReport({ name: 'gro', rows, ratios: { tcpSpeedup, udpLoss } })

/** A TAP device that is up, with an address, in a namespace of its own. */
function openEnd(ipv4: string): { readonly tap: TapDevice; readonly namespace: NetworkNamespace } {
  const namespace = createNamespace()
  writeSysctl(namespace, 'ipv6/conf/all/disable_ipv6', 1)
  const tap = openTapDevice(space, code, worker, { namespace })
  const route = openRoute(namespace)
  addAddress(route, tap.interfaceIndex, `${ipv4}/24`)
  setLink(route, tap.interfaceIndex, { up: true })
  closeNetlink(route)
  return { tap, namespace }
}

async function compareTcp(): Promise<number> {
  const pair = createVethPair()
  const { near: client, far } = pair
  // On a wire, packets have their checksums and fit into the MTU.
  setFeatures(client.name, { 'tx-checksum-ip-generic': false }, client.namespace)
  const program = loadProgram(REDIRECT_PROGRAM)
  const link = withNamespace(far.namespace, () => attachXdp(program, far))
  const divert = (queue: number, fd: number | null) => redirectTo(program, queue, fd)
  const xdp = openXdp(space, code, worker, far, { divert, entries: ENTRIES })
  const { tap, namespace } = openEnd(SERVER)
  const merge = gro()
  const queue = xdp.queues[0]!
  const graphs = { without: [], with: [merge] }
  const graphOf = (stages: readonly (typeof merge)[]) =>
    draw([receive(queue), ...stages, send(tap)], [receive(tap), send(queue)])
  const engine = startEngine(space, code, worker, graphOf([]), { name: 'tcp', bundle: BUNDLE })
  const server = startIperf(namespace, '-s')
  const ended = once(server, 'exit')
  const pump = run(engine)
  const rates: Record<keyof typeof graphs, number[]> = { without: [], with: [] }
  try {
    for (let turn = 0; turn < RUNS; turn++) {
      for (const way of ['without', 'with'] as const) {
        engine.change(graphOf(graphs[way]))
        rates[way].push(await transfer(client.namespace))
      }
    }
    const { made, appended } = merge.read()
    for (const way of ['without', 'with'] as const) {
      const { median, least, most } = spreadOf(rates[way])
      const packets = way === 'with' ? (made + appended) / made : 1
      rows.push({ traffic: 'TCP', gro: way, unit: 'Gbit/s', median, least, most, packetsMerged: packets })
    }
  } finally {
    await pump.stop()
    server.kill()
    await ended
    engine.close()
    for (const each of [xdp, tap, link, program, pair]) each.close()
    closeNamespace(namespace)
  }
  return spreadOf(rates.with).median / spreadOf(rates.without).median
}

/** Takes rounds until it is stopped; between some it lets timers and processes be heard. */
function run(engine: Engine): { stop(): Promise<void> } {
  let isRunning = true
  const loop = (async () => {
    while (isRunning) {
      for (let rounds = 0; rounds < 64 && engine.round() > 0; rounds++) {}
      await new Promise((resolve) => setImmediate(resolve))
      await engine.wait(20)
    }
  })()
  return {
    async stop() {
      isRunning = false
      await loop
    },
  }
}

/** Gbit/s that the server has received, as iperf3 says; tried again while the server is not there yet. */
async function transfer(namespace: NetworkNamespace): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const client = startIperf(namespace, '-c', SERVER, '-t', `${SECONDS}`, '-O', '1', '-J')
    let text = ''
    client.stdout!.on('data', (chunk) => {
      text += chunk
    })
    const [status] = await once(client, 'close')
    // It may end with status 0 although it found no server; the document then has no sums.
    const received = status === 0 ? JSON.parse(text).end?.sum_received : undefined
    if (received !== undefined) return received.bits_per_second / 1e9
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  throw new Error('iperf3 found no server behind the engine; run it again')
}

/** Ends with this process, however it ends. */
function startIperf(namespace: NetworkNamespace, ...options: string[]): ChildProcess {
  const stdio = ['ignore', options[0] === '-s' ? 'ignore' : 'pipe', 'ignore'] as const
  const before = ['--pdeathsig', 'KILL', 'taskset', '-c', options[0] === '-s' ? '1' : '0']
  return withNamespace(namespace, () => spawn('setpriv', [...before, 'iperf3', ...options], { stdio: [...stdio] }))
}

/** How much of the packet rate is lost where nothing can be merged: packets of 64 bytes, each of another flow than its neighbours. */
function compareUdp(): number {
  const { tap, namespace } = openEnd('192.0.2.9')
  const [near, far] = createLink(space, code, worker, 'datagrams')
  const merge = gro()
  const graphOf = (stages: readonly (typeof merge)[]) => draw([receive(far), ...stages, send(tap)])
  const engine = startEngine(space, code, worker, graphOf([]), { name: 'udp', bundle: BUNDLE })
  const rates: Record<'without' | 'with', number[]> = { without: [], with: [] }
  for (let turn = 0; turn < FLOODS; turn++) {
    for (const way of ['without', 'with'] as const) {
      engine.change(graphOf(way === 'with' ? [merge] : []))
      rates[way].push(flood(engine, near))
    }
  }
  for (const way of ['without', 'with'] as const) {
    const { median, least, most } = spreadOf(rates[way])
    rows.push({
      traffic: 'UDP, 64 bytes, nothing to merge',
      gro: way,
      unit: 'Mpps',
      median,
      least,
      most,
      packetsMerged: 1,
    })
  }
  engine.close()
  for (const each of [near, far, tap]) each.close()
  closeNamespace(namespace)
  return 1 - spreadOf(rates.with).median / spreadOf(rates.without).median
}

/** Million packets a second, by the time that the engine's rounds take. */
function flood(engine: Engine, near: Device): number {
  const frames = Array.from({ length: BUNDLE }, (_, flow) =>
    flowFrame({ family: 4, protocol: 'udp', flow, payload: new Uint8Array(22), hops: 64 }),
  )
  const region = space.reserve({ name: 'flood', kind: 'bundle', bytes: BUNDLE_BYTES })
  const { words, bytes } = space
  let elapsedMs = 0
  for (let round = 0; round < DATAGRAM_BUNDLES; round++) {
    worker.take(region.offset, BUNDLE)
    for (let index = 0; index < BUNDLE; index++) {
      const word = (region.offset + 16 + index * DESCRIPTOR_BYTES) / 4
      bytes.set(frames[index]!, words[word]!)
      words[word + 1] = words[word + 2] = frames[index]!.length
    }
    near.send(region.offset)
    const begin = performance.now()
    engine.round()
    elapsedMs += performance.now() - begin
  }
  space.free(region.name)
  return (DATAGRAM_BUNDLES * BUNDLE) / elapsedMs / 1000
}
