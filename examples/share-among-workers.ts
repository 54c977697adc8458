/**
 * Shares packets out to two workers by flow, with a flood queue beside them, all in memory; then ends one of
 * the workers, which is started again while the others go on. Needs no rights.
 */
import { setTimeout } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'
import { compileFilter } from 'sluice'
import { placeMatcher } from 'sluice/codegen'
import { draw, planWorkers, receive, send, startWorkers } from 'sluice/engine'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  createPool,
  createSpace,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  loadCode,
  METADATA_BYTES,
  METADATA_VALID,
} from 'sluice/memory'
import { type Budget, budget, count, discard, divide, steer } from 'sluice/stages'

const SUSPECT = compileFilter('udp src port 123').optimized

/** Every thread loads this module; a worker calls its own function of it. */
const plan = planWorkers<{ readonly budget: Budget }>(
  import.meta.url,
  {
    front: {
      to: ['left', 'right', 'flood'],
      graph({ from, to, keep, space }, settings) {
        const { judge } = keep('suspect', () => placeMatcher(space, 'suspect', SUSPECT))
        return draw(
          [receive(from('main')), divide('suspect', judge), steer('flows', 2), send(to('left'))],
          ['flows.1', send(to('right'))],
          ['suspect.matched', budget('flood budget', settings.budget), send(to('flood'))],
        )
      },
    },
    left: { graph: ({ from }) => draw([receive(from('front')), count('left'), discard('done')]) },
    right: { graph: ({ from }) => draw([receive(from('front')), count('right'), discard('done')]) },
    flood: { graph: ({ from }) => draw([receive(from('front')), count('looked at'), discard('done')]) },
  },
  ['front'],
)

// The rest is for the thread that starts them.
if (isMainThread) {
  const space = createSpace(16 << 20)
  const code = loadCode(space)
  const pool = createPool(space, code, { 2048: 4096 })
  const settings = { budget: { packetsPerSecond: 1000, burst: 100 } }
  const workers = await startWorkers(plan, space, code, pool, { settings })
  const front = workers.to('front')
  const bundle = space.reserve({ name: 'example', kind: 'bundle', bytes: BUNDLE_BYTES }).offset

  /** Sends packets of 50 flows, of which every fourth is suspect; waits where the pool or the ring has no room. */
  async function sendPackets(total: number): Promise<void> {
    const headers = [8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 203, 0, 113, 2]
    for (let sent = 0; sent < total; ) {
      const taken = workers.pool.take(bundle, Math.min(64, total - sent))
      for (let index = 0; index < taken; index++, sent++) {
        const descriptor = bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES
        const packet = space.words[(descriptor + DESCRIPTOR_ADDRESS) / 4]!
        space.words[(descriptor + DESCRIPTOR_WIRE) / 4] = 60
        space.words[(descriptor + DESCRIPTOR_CAPTURED) / 4] = 60
        space.bytes[packet - METADATA_BYTES + METADATA_VALID] = 0
        space.bytes.set(headers, packet + 12)
        space.bytes.set([0, sent % 4 === 0 ? 123 : sent % 50, 0, 53], packet + 34)
      }
      do {
        front.send(bundle)
        front.flush()
        if (taken === 0 || space.words[bundle / 4]! > 0) await setTimeout(1)
      } while (space.words[bundle / 4]! > 0)
    }
    await setTimeout(100)
  }

  function show(title: string): void {
    console.log(title)
    for (const { name, restarts, stages } of workers.statistics())
      for (const { name: stage, packets, drops } of stages)
        console.log(`  ${name} (restarts: ${restarts})  ${stage}: ${packets} packets`, drops)
  }

  await sendPackets(20_000)
  show('after 20,000 packets, of which 5,000 were suspect:')

  workers.kill('left')
  const left = () => workers.statistics().find(({ name }) => name === 'left')!
  while (left().restarts === 0 || !left().isRunning) await setTimeout(10)
  await sendPackets(1000)
  show('and after 1,000 more, with another left worker, which counts on:')

  await workers.close()
  const lost = pool.balance().reduce((sum, { frames, free }) => sum + frames - free, 0)
  console.log(`${lost} frames are not back in the pool`)
  process.exitCode = lost === 0 ? 0 : 1
}
