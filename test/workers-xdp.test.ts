import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { after, before, it } from 'node:test'
import { policySource } from '../src/control/index.js'
import { openXdp } from '../src/device/index.js'
import { type Device, startWorkers } from '../src/engine/index.js'
import { withNamespace } from '../src/kernel/index.js'
import { attachXdp, type LoadedPolicy, loadPolicy, loadProgram } from '../src/loader/index.js'
import { divert, policy } from '../src/policy/index.js'
import { diverted } from './support/diverted-worker.js'
import { type EngineBench, openBench } from './support/engine.js'
import { eventually } from './support/eventually.js'
import { seededRandom } from './support/random.js'
import { REDIRECT_PROGRAM, redirectTo } from './support/redirect-program.js'
import { skipUnless } from './support/require.js'
import { DEED, DEED_AT } from './support/trap.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'

const ENTRIES = 256
const ENDS = 12
/** Longer than a busy machine lets a thread stand still. */
const STALL_MS = 3000
const PACKET_BYTES = 64
const NUMBER_AT = 42

let pair: VethPair
let loaded: LoadedPolicy
const closers: (() => void)[] = []

before(() => {
  if (skipUnless('root') !== false) return
  pair = createVethPair()
  loaded = loadPolicy(policySource(policy(divert('udp')), { sets: new Map(), interfaceIndex: () => 0 }))
  const link = withNamespace(pair.near.namespace, () => loaded.attach(pair.near))
  closers.push(pair.close, loaded.close, link.close)
})

after(() => {
  for (const close of closers.toReversed()) close()
})

/** The other end of the veth, in this thread. */
function openFar({ space, code, worker }: EngineBench): Device & { close(): void } {
  const program = loadProgram(REDIRECT_PROGRAM)
  const link = withNamespace(pair.far.namespace, () => attachXdp(program, pair.far))
  const divertFar = (queue: number, fd: number | null) => redirectTo(program, queue, fd)
  const [device] = openXdp(space, code, worker, pair.far, { divert: divertFar, entries: ENTRIES }).queues
  return {
    ...device!,
    close() {
      device!.close()
      link.close()
      program.close()
    },
  }
}

/** A UDP packet with a number, and what it does to the worker. */
function numbered(number: number, deed: number = DEED.none): Uint8Array {
  const packet = new Uint8Array(PACKET_BYTES)
  packet.set([8, 0, 0x45, 0, 0, 50], 12)
  packet.set([64, 17, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1, 4, 0, 0, 53], 22)
  new DataView(packet.buffer).setUint32(NUMBER_AT, number)
  packet[DEED_AT] = deed
  return packet
}

/** Sockets of this process, by their descriptors and by what is mapped. */
function sockets() {
  const links = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n')
  const ofSockets = (lines: readonly string[]) => lines.filter((line) => line.includes('socket:[')).length
  return { descriptors: ofSockets(links), mappings: ofSockets(maps) }
}

it('a worker that ends under traffic gives its AF_XDP socket back, and its successor goes on with the queue', {
  skip: skipUnless('root'),
}, async (context) => {
  const random = seededRandom(context, 'workers-xdp')
  const bench = openBench({ 2048: 4096 })
  const { space, code, pool } = bench
  const { name, index, namespace } = pair.near
  const far = openFar(bench)
  const before = sockets()
  const settings = { device: { name, index, namespace }, sockets: loaded.divertMap(), entries: ENTRIES }
  const workers = await startWorkers(diverted, space, code, pool, { settings, stallMs: STALL_MS })
  const during = sockets()
  assert.ok(during.mappings >= before.mappings + 4, 'its rings are mapped')
  const [toOther, fromOther] = [workers.to('other'), workers.from('other')]
  const [sent, taken] = [bench.bundle('sent'), bench.bundle('taken')]
  let [number, atOther, fromNear] = [0, 0, 0]
  const near = () => workers.statistics()[0]!

  const send = (device: Device, packets: readonly Uint8Array[]) => {
    bench.fill(sent, packets)
    device.send(sent)
    device.flush()
    bench.empty(sent)
  }
  const take = (device: Device) => {
    device.receive(taken, 256)
    const numbers = bench.read(taken).map((packet) => new DataView(packet.buffer).getUint32(NUMBER_AT))
    bench.empty(taken)
    return numbers
  }
  /** A burst to each worker: of the one that ends some come back, of the other all, in order. */
  const turn = async (deed: number) => {
    const burst = Array.from({ length: 1 + random.below(64) }, () => numbered(number++))
    send(far, [...burst, numbered(number++, deed)])
    fromNear += take(far).length
    send(toOther, [numbered(atOther)])
    await eventually('the other worker answers', () => {
      const back = take(fromOther)
      if (back.length > 0) assert.deepEqual(back, [atOther])
      return back.length > 0
    })
    atOther++
  }

  try {
    for (let end = 1; end <= ENDS; end++) {
      for (let count = random.below(20); count > 0; count--) await turn(DEED.none)
      const deed = random.pick([DEED.none, DEED.none, DEED.throws, DEED.hangs])
      if (deed === DEED.none) workers.kill('near')
      // What comes while nobody stands at the queue passes: so the deed is sent until it is done.
      while (near().restarts < end) await turn(deed)
      if (random.below(3) > 0) await eventually('the worker runs again', () => near().isRunning, 30_000)
    }
    await eventually('the worker runs again', () => near().isRunning, 30_000)
    assert.deepEqual(sockets(), during)
    const last = number++
    send(far, [numbered(last)])
    await eventually('what was under way has come', () => take(far).includes(last))
    for (let count = 0; count < 50; count++) {
      const burst = Array.from({ length: 32 }, () => number++)
      send(
        far,
        burst.map((each) => numbered(each)),
      )
      const back: number[] = []
      await eventually('a burst comes back', () => back.push(...take(far)) === burst.length)
      assert.deepEqual(back, burst)
    }
    context.diagnostic(`${ENDS} ends, ${number} packets sent; ${fromNear} came back meanwhile, ${atOther} of the other`)
    assert.ok(near().reclaimedFrames >= ENDS * ENTRIES, 'what the kernel had was reclaimed')
  } finally {
    await workers.close()
    assert.deepEqual(sockets(), before)
    far.close()
    bench.worker.close()
  }
  assert.equal(bench.inUse(), 0, 'every frame is back in the pool')
  const { lastFrame: _, ...faults } = pool.faults()
  assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
})
