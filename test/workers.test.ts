import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { placeMatcher } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import { type Device, startWorkers, type TracedPacket, type Workers, type WorkersOptions } from '../src/engine/index.js'
import { type EngineBench, openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { type Random, seededRandom } from './support/random.js'
import { type SteeringSettings, steering } from './support/steering-worker.js'
import { DEED, DEED_AT } from './support/trap.js'

const FLOWS = 50
/** Longer than a busy machine lets a thread stand still. */
const STALL_MS = 3000

interface Rig {
  readonly bench: EngineBench
  readonly workers: Workers<SteeringSettings>
  /** Sends packets of random flows, with numbers that count up in each; gives how many the ring took. */
  send(random: Random, count: number, deed?: number): number
  /** What has come back, by the worker that sent it. */
  take(): { readonly worker: string; readonly packet: Uint8Array }[]
}

/**
 * Starts the workers, lets `run` use them, and sees that every frame is back in
 * the end, and that so many descriptors pointed outside of frames.
 */
async function withWorkers(
  options: Partial<WorkersOptions<SteeringSettings>>,
  run: (rig: Rig) => Promise<void>,
  foreign = 0,
) {
  const bench = openBench({ 2048: 4096 })
  const { space, code, pool } = bench
  const workers = await startWorkers(steering, space, code, pool, { settings: { isLonger: false }, ...options })
  const [sent, taken] = [bench.bundle('sent'), bench.bundle('taken')]
  const numbers = new Uint32Array(FLOWS)
  const outputs = ['left', 'right'].map((worker): [string, Device] => [worker, workers.from(worker)])
  // What the tests fill comes from their own side of the pool, and is handed on by the ring.
  const input = workers.to('front')
  const rig: Rig = {
    bench,
    workers,
    send(random, count, deed = DEED.none) {
      bench.fill(
        sent,
        Array.from({ length: count }, () => flowPacket(random.below(FLOWS), numbers, deed)),
      )
      const went = input.send(sent)
      input.flush()
      bench.empty(sent)
      return went
    },
    take: () =>
      outputs.flatMap(([worker, device]) => {
        device.receive(taken, 256)
        const packets = bench.read(taken)
        bench.empty(taken)
        return packets.map((packet) => ({ worker, packet }))
      }),
  }
  try {
    await run(rig)
  } finally {
    await workers.close()
  }
  bench.worker.close()
  assert.equal(bench.inUse(), 0, 'every frame is back in the pool')
  assert.deepEqual(bench.pool.inUse(), [])
  const { lastFrame: _, ...faults } = bench.pool.faults()
  assert.deepEqual(faults, { foreign, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
}

/** A UDP packet of 64 bytes with its flow in the source port and its number in the flow behind the headers. */
function flowPacket(flow: number, numbers: Uint32Array, deed: number): Uint8Array {
  const packet = new Uint8Array(64)
  packet.set([8, 0, 0x45, 0, 0, 50], 12)
  packet.set([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, flow, 0, 53], 22)
  new DataView(packet.buffer).setUint32(42, numbers[flow]!++)
  packet[DEED_AT] = deed
  return packet
}

const flowOf = (packet: Uint8Array) => packet[35]!
const numberOf = (packet: Uint8Array) => new DataView(packet.buffer).getUint32(42)
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Until it holds, or half a minute has gone by. */
async function until(holds: () => boolean) {
  for (const end = performance.now() + 30_000; !holds(); await pause(2))
    assert.ok(performance.now() < end, 'it did not come about within 30 s')
}

/** So many packets have come back. */
async function returned(take: Rig['take'], count: number) {
  let back = 0
  await until(() => {
    back += take().length
    return back >= count
  })
  assert.equal(back, count)
}

describe('workers', () => {
  it('share out flows: each comes back from one worker, complete and in order', async (context) => {
    const random = seededRandom(context, 'workers')
    await withWorkers({ placement: { left: { spinUs: 50 } } }, async ({ workers, send, take }) => {
      const [owners, seen] = [new Map<number, string>(), new Uint32Array(FLOWS)]
      let [sent, back] = [0, 0]
      const receiveAll = () => {
        for (const { worker, packet } of take()) {
          const flow = flowOf(packet)
          assert.equal(owners.get(flow) ?? worker, worker, `flow ${flow} has come from two workers`)
          owners.set(flow, worker)
          assert.equal(numberOf(packet), seen[flow]!++, `flow ${flow} has lost its order`)
          back++
        }
      }
      for (let turn = 0; turn < 400; turn++) {
        sent += send(random, 1 + random.below(256))
        await until(() => {
          receiveAll()
          return sent - back < 512
        })
      }
      await until(() => {
        receiveAll()
        return back === sent
      })
      assert.equal(new Set(owners.values()).size, 2)
      const packets = (worker: number, name: string) =>
        workers.statistics()[worker]!.stages.find((stage) => stage.name === name)!.packets
      await until(() => packets(0, 'flows') === sent && packets(1, 'left') + packets(2, 'right') === sent)
    })
  })

  it('hear of a change, and that they are watched, also while they are being started again', async (context) => {
    const random = seededRandom(context, 'workers')
    await withWorkers({}, async ({ workers, send, take }) => {
      const left = () => workers.statistics().find(({ name }) => name === 'left')!
      workers.watch(true)
      workers.kill('left')
      await until(() => left().restarts === 1)
      await workers.change({ isLonger: true })
      await returned(take, send(random, 200))
      const more = left().stages.find(({ name }) => name === 'more')
      assert.ok(more !== undefined && more.packets > 0)
      assert.notEqual(more.nanosecondsPerPacket, null)
    })
  })

  it('are traced, through rings, also while one of them is killed, and nothing stays behind', async (context) => {
    const random = seededRandom(context, 'workers')
    await withWorkers({}, async ({ workers, send, take, bench: { space } }) => {
      const { regions } = space.layout()
      const matcher = placeMatcher(space, 'trace', compileFilter('udp').optimized)
      const start = async (limit: number) => {
        let hasEnded = false
        const ended = () => {
          hasEnded = true
        }
        const trace = workers.trace({ matcher: matcher.place, limit, ended })
        assert.throws(() => workers.trace({ matcher: matcher.place, limit }), /traced already/)
        const packets: TracedPacket[] = []
        const goOn = async () => {
          send(random, 1 + random.below(64))
          take()
          packets.push(...trace.take())
          await pause(1)
        }
        return { trace, packets, goOn, end: () => until(() => hasEnded) }
      }
      const whole = await start(300)
      while (!whole.trace.isDone()) await whole.goOn()
      await whole.end()
      assert.deepEqual(
        whole.packets.map(({ number }) => number).sort((a, b) => a - b),
        [...Array(301).keys()].slice(1),
      )
      for (const { device, steps } of whole.packets) {
        const behind = steps.at(-1)!.worker
        assert.equal(device, 'from main')
        assert.ok(behind === 'left' || behind === 'right')
        assert.deepEqual(
          steps.map(({ worker, stage, went }) => `${worker}: ${stage} ${went}`),
          [
            'front: front trap output',
            'front: flows output',
            `front: send to ${behind} sent`,
            `${behind}: ${behind} trap output`,
            `${behind}: ${behind} output`,
            `${behind}: send to main sent`,
          ],
        )
      }
      const broken = await start(10_000)
      for (let kills = 0; kills < 5; kills++) {
        for (let turn = 0; turn < 20; turn++) await broken.goOn()
        workers.kill(random.pick(['front', 'left', 'right']))
        await until(() => workers.statistics().every(({ isRunning }) => isRunning))
      }
      await broken.goOn()
      const before = broken.packets.length
      await until(() => {
        send(random, 10)
        take()
        broken.packets.push(...broken.trace.take())
        return broken.packets.length > before
      })
      broken.trace.stop()
      await broken.end()
      context.diagnostic(`${broken.packets.length} packets followed while workers were killed`)
      matcher.close()
      await until(() => space.layout().regions.length === regions.length)
    })
  })

  it('draw other graphs while they run; what is the same keeps its counters', async (context) => {
    const random = seededRandom(context, 'workers')
    await withWorkers({}, async ({ workers, send, take }) => {
      const counted = (name: string) =>
        workers.statistics().flatMap(({ stages }) => stages.filter((stage) => stage.name === name))[0]?.packets
      const sendAll = async (count: number) => {
        const sent = send(random, count)
        await returned(take, sent)
        return sent
      }
      const first = await sendAll(200)
      const [left, right] = [counted('left')!, counted('right')!]
      assert.equal(left + right, first)
      assert.equal(counted('more'), undefined)
      workers.watch(true)
      await workers.change({ isLonger: true })
      const second = await sendAll(250)
      assert.equal(counted('left')! + counted('right')!, first + second)
      assert.equal(counted('more'), counted('left')! - left)
      const times = workers.statistics().flatMap(({ stages }) => stages.map((stage) => stage.nanosecondsPerPacket))
      assert.ok(times.every((time) => time !== null && time > 0))
      await workers.change({ isLonger: false })
      assert.equal(counted('more'), undefined)
      assert.equal(counted('left')! + counted('right')!, first + second)
    })
  })

  it('count on when they are started again, once and again', async (context) => {
    const random = seededRandom(context, 'workers')
    await withWorkers({}, async ({ workers, send, take }) => {
      const front = () => workers.statistics().find(({ name }) => name === 'front')!
      const counted = () => front().stages.map(({ packets, bundles }) => [packets, bundles])
      let sent = 0
      for (const turn of [1, 2, 3]) {
        sent += send(random, 100)
        // All pass the trap and the stage of the flows, and then each is sent to one of the others.
        await until(() => {
          take()
          return front().stages.reduce((sum, { packets }) => sum + packets, 0) === 3 * sent
        })
        const before = counted()
        workers.kill('front')
        await until(() => front().restarts === turn)
        assert.deepEqual(counted(), before, 'while nobody runs')
        await until(() => front().isRunning)
        assert.deepEqual(counted(), before)
      }
    })
  })

  it('wait without a round where nothing comes', async () => {
    await withWorkers({}, async ({ bench: { space } }) => {
      const controls = space.layout().regions.filter(({ name }) => name.endsWith(' control'))
      const rounds = () => controls.map(({ offset }) => space.words[offset / 4 + 16]!)
      // Not at once: after their start they look a few times, and one may stand still before.
      await eventually(
        'they wait',
        async () => {
          const [before, begin] = [rounds(), performance.now()]
          await pause(500)
          const made = rounds().map((count, index) => count - before[index]!)
          // Once a second each looks all the same, and one such second may end here.
          const most = 1 + Math.floor((performance.now() - begin) / 1000)
          return made.every((count) => count <= most)
        },
        200,
      )
    })
  })

  for (const [what, deed] of [
    ['throws', DEED.throws],
    ['hangs', DEED.hangs],
    ['reaches outside the memory', DEED.strays],
    ['ends with the lock of the pool', DEED.locks],
  ] as const) {
    it(`that ${what} is started again; the others go on, and every frame is found`, async (context) => {
      const random = seededRandom(context, 'workers')
      const ended: string[] = []
      const options = { stallMs: STALL_MS, onEnd: (name: string) => void ended.push(name) }
      await withWorkers(
        options,
        async ({ workers, send, take }) => {
          send(random, 1, deed)
          await until(() => workers.statistics()[0]!.restarts === 1 && workers.statistics()[0]!.isRunning)
          assert.deepEqual(ended, ['front'])
          await returned(take, send(random, 100))
          assert.deepEqual(
            workers.statistics().map(({ restarts }) => restarts),
            [1, 0, 0],
          )
          assert.equal(workers.statistics()[0]!.reclaimedFrames > 0, true)
        },
        deed === DEED.strays ? 1 : 0,
      )
    })
  }

  it('that are killed at random moments under load lose what they held and nothing else', async (context) => {
    const random = seededRandom(context, 'workers')
    await withWorkers({}, async ({ workers, send, take, bench }) => {
      const seen = new Int32Array(FLOWS).fill(-1)
      let kills = 0
      for (const end = performance.now() + 6000; performance.now() < end; ) {
        for (let turn = random.below(60); turn > 0; turn--) {
          send(random, 1 + random.below(256))
          for (const { packet } of take()) {
            assert.ok(numberOf(packet) > seen[flowOf(packet)]!, 'a packet came twice or too late')
            seen[flowOf(packet)] = numberOf(packet)
          }
          if (random.below(3) === 0) await pause(0)
        }
        const name = random.pick(['front', 'left', 'right'])
        workers.kill(name)
        kills++
        if (random.below(4) > 0) await until(() => workers.statistics().every(({ isRunning }) => isRunning))
      }
      await until(() => workers.statistics().every(({ isRunning }) => isRunning))
      // All that lies in rings comes out, and then nobody holds a frame but caches.
      await until(() => {
        take()
        return bench.inUse() === 0
      })
      context.diagnostic(
        `${kills} kills, ${workers.statistics().reduce((sum, { restarts }) => sum + restarts, 0)} restarts`,
      )
      await returned(take, send(random, 200))
    })
  })

  it('that cannot start are an error, and leave nothing', async () => {
    const bench = openBench()
    const { space, code, pool } = bench
    const before = space.layout()
    const settings = { isLonger: false }
    await assert.rejects(
      startWorkers(steering, space, code, pool, { settings, partBytes: 4096 }),
      /no room for (front|left|right)/,
    )
    assert.deepEqual(space.layout().regions, before.regions)
  })
})
