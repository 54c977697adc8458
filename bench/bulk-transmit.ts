import { availableParallelism } from 'node:os'
import { openXdp } from '../src/device/index.js'
import { type Device, draw, receive, send, startEngine, startWorkers } from '../src/engine/index.js'
import { setAffinity } from '../src/kernel/index.js'
import { type Code, createPool, createSpace, loadCode, type Space, type WorkerPool } from '../src/memory/index.js'
import { steer } from '../src/stages/index.js'
import { type Doorbell, fifo, openQueue, type Queue, type QueueOptions } from '../src/transmit/index.js'
import { skipUnless } from '../test/support/require.js'
import { createVethPair } from '../test/support/veth-pair.js'
import { bulkPlan } from './bulk-plan.js'
import { openSource, writeFlows } from './packet-source.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * Packets a kick and packets a second for each trigger of the doorbell. In
 * memory: a ring to a worker on another core, which sleeps as soon as it has
 * nothing and must be woken. AF_XDP over veth: a kick is a system call, in which
 * the kernel copies each packet. A source fills bundles of 64 of recycled frames.
 */
const FRAMES = 4096
const SLOTS = 1024
const ROUNDS = 9
const MEASURE_MS = 150
const ROUNDS_A_CLOCK = 16
/** Bursts between two requests of the application. */
const CORKED_BURSTS = 8
/** Every burst meets a limit that is less than its bytes. */
const LIMIT_BYTES = 2048

interface Trigger {
  readonly title: string
  readonly doorbell: Doorbell
  readonly byteLimit: QueueOptions['byteLimit']
  readonly queues: 1 | 2
}

const TRIGGERS: readonly Trigger[] = [
  { title: 'each packet', doorbell: 'packet', byteLimit: 'off', queues: 1 },
  { title: 'a burst', doorbell: 'burst', byteLimit: 'off', queues: 1 },
  { title: 'ring full', doorbell: 'ring full', byteLimit: 'off', queues: 1 },
  { title: 'byte limit holds back', doorbell: 'byte limit', byteLimit: LIMIT_BYTES, queues: 1 },
  { title: 'a burst, byte limit by itself', doorbell: 'burst', byteLimit: 'auto', queues: 1 },
  { title: 'device refuses', doorbell: 'refused', byteLimit: 'off', queues: 1 },
  { title: `request, every ${CORKED_BURSTS} bursts`, doorbell: 'request', byteLimit: 'off', queues: 1 },
  { title: 'a burst, two queues split by flow', doorbell: 'burst', byteLimit: 'off', queues: 2 },
]

interface Sample {
  readonly mpps: number
  readonly packetsPerKick: number
}

interface Rig {
  readonly title: string
  readonly space: Space
  readonly code: Code
  readonly pool: WorkerPool
  readonly source: Device
  /** Devices that can be sent to; a queue before one does not close it. */
  readonly devices: readonly Device[]
  /** Packets that have gone through. */
  done(): number
}

/** Sends for a while through queues with this trigger. */
function sample(rig: Rig, { title, doorbell, byteLimit, queues: count }: Trigger): Sample {
  const { space, code, pool, source, devices } = rig
  // As many as there are frames: what the device cannot take yet stays, and the source has to wait for frames.
  const options = { doorbell, byteLimit, discipline: fifo({ packets: FRAMES }) } as QueueOptions
  const queues = devices.slice(0, count).map((device) => openQueue(space, code, pool, device, options))
  const [first, second] = queues as [Queue, Queue?]
  const graph =
    second === undefined
      ? draw([receive(source), send(first)])
      : draw([receive(source), steer('flows', 2), send(first)], ['flows.1', send(second)])
  const engine = startEngine(space, code, pool, graph, { name: `${rig.title} ${title}` })
  const end = performance.now() + MEASURE_MS
  const [before, begin] = [rig.done(), performance.now()]
  let rounds = 0
  do {
    for (let turn = 0; turn < ROUNDS_A_CLOCK; turn++) {
      engine.round()
      if (doorbell === 'request' && ++rounds % CORKED_BURSTS === 0) first.uncork()
    }
  } while (performance.now() < end)
  const mpps = (rig.done() - before) / (performance.now() - begin) / 1000
  for (const queue of queues) queue.uncork()
  const states = queues.map((queue) => queue.queued())
  const kicks = states.reduce((sum, state) => sum + state.kicks, 0)
  const kicked = states.reduce((sum, state) => sum + state.kicks * state.packetsPerKick, 0)
  engine.close()
  for (const queue of queues) queue.close()
  return { mpps, packetsPerKick: kicked / kicks }
}

/** All triggers in turn, so often; the rows, and how much a kick a burst is over one a packet, round by round. */
async function compare(rig: Rig) {
  const triggers = TRIGGERS.filter(({ queues }) => queues <= rig.devices.length)
  const samples = new Map(triggers.map((trigger) => [trigger, [] as Sample[]]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const trigger of triggers) {
      const taken = sample(rig, trigger)
      // What is under way gets to its end, and frames come back.
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (round > 0) samples.get(trigger)!.push(taken)
    }
  }
  const rows = [...samples].map(([{ title }, list]) => {
    const { median, least, most } = spreadOf(list.map(({ mpps }) => mpps))
    return {
      device: rig.title,
      'kicked for': title,
      'packets a kick': spreadOf(list.map(({ packetsPerKick }) => packetsPerKick)).median,
      Mpps: median,
      least,
      most,
    }
  })
  const [single, burst] = [...samples.values()] as [Sample[], Sample[]]
  return { rows, ratio: spreadOf(burst.map(({ mpps }, round) => mpps / single[round]!.mpps)).median }
}

const keptOpen = (device: Device): Device => ({ ...device, close() {} })

async function inMemory() {
  const space = createSpace(32 << 20)
  const code = loadCode(space)
  const pool = createPool(space, code, { 2048: FRAMES })
  const writer = pool.openWorker('writer')
  writeFlows(space, writer, FRAMES)
  writer.close()
  const other = { cpu: availableParallelism() > 1 ? 1 : 0 }
  const workers = await startWorkers(bulkPlan, space, code, pool, {
    settings: undefined,
    slots: SLOTS,
    placement: { left: other, right: other },
  })
  const rig: Rig = {
    title: 'a worker that sleeps',
    space,
    code,
    pool: workers.pool,
    source: openSource(space, workers.pool, () => 'recycled'),
    devices: [workers.to('left'), workers.to('right')].map(keptOpen),
    done: () => workers.statistics().reduce((sum, { stages }) => sum + (stages[0]?.drops['arrived'] ?? 0), 0),
  }
  const found = await compare(rig)
  await workers.close()
  return found
}

async function overAfXdp() {
  const pair = createVethPair(2)
  const space = createSpace(32 << 20)
  const code = loadCode(space)
  const worker = createPool(space, code, { 2048: FRAMES }).openWorker('bench')
  writeFlows(space, worker, FRAMES)
  const opened = openXdp(space, code, worker, pair.near, { divert() {}, entries: SLOTS })
  const { queues } = opened
  const rig: Rig = {
    title: 'AF_XDP over veth',
    space,
    code,
    pool: worker,
    source: openSource(space, worker, () => 'recycled'),
    devices: queues.map(keptOpen),
    done: () => queues.reduce((sum, queue) => sum + queue.statistics().sentPackets - queue.pending!(), 0),
  }
  const found = await compare(rig)
  opened.close()
  pair.close()
  return found
}

setAffinity(0, [0])
const memory = await inMemory()
const missing = skipUnless('root')
if (missing !== false) console.error(`AF_XDP is left out: it ${missing}`)
const xdp = missing === false ? await overAfXdp() : null
printReport({
  name: 'bulk-transmit',
  rows: [...memory.rows, ...(xdp?.rows ?? [])],
  ratios: {
    burstOverSingle: memory.ratio,
    ...(xdp === null ? {} : { burstOverSingleAfXdp: xdp.ratio }),
  },
})
