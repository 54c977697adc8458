import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startWorkers } from '../src/engine/index.js'
import { openRoutes, type Prefix } from '../src/route/index.js'
import { addWords, foldChecksum, write16 } from '../src/wire/index.js'
import { openBench } from './support/engine.js'
import { flowFrame } from './support/flow-packet.js'
import { type Random, seededRandom } from './support/random.js'
import { routing } from './support/routing-worker.js'

const PACKETS = 200_000
/** Changes between two bundles, while the other thread is at work on the one before. */
const CHANGES = 40
/** Without a packet for so long, those that are missing are lost: the other thread may not have had a core meanwhile. */
const MOST_IDLE_MS = 20_000
const PLACES = 6
const OWN = Uint8Array.of(2, 0, 0, 0, 0, 0x0b)
/** Routes of fewer nodes than there are places: each new one has the node of one that was just removed. */
const SIZES = { rootBits: 16, nodes: 4, routes: 64 } as const

/** 10.0.0.0/16 is always by hop 1; of each place in it, 128 addresses are now and then by a hop of the place's own. */
const placeOf = (place: number): Prefix => ({ address: Uint8Array.of(10, 0, place, 128), length: 25 })

function packetTo(address: readonly number[]): Uint8Array {
  const packet = flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(18), flow: 1 })
  packet.set(address, 30)
  packet.set([0, 0], 24)
  write16(packet, 24, foldChecksum(addWords(0, packet, 14, 34)))
  return packet
}

function randomAddress(random: Random): number[] {
  return [10, 0, random.below(PLACES), random.pick([5, 127, 128, 200, 255])]
}

test('routes-while-changing: a packet is routed as before a change or as after it, and none is lost', async (context) => {
  const random = seededRandom(context, 'routes-while-changing')
  const bench = openBench({ 2048: 4096 }, false)
  const { space, code, pool } = bench
  const tables = openRoutes(space, code, 'test', { v4: SIZES, v6: SIZES, ports: 2 })
  tables.setPort(0, { mac: OWN, mtu: 1500 })
  tables.setPort(1, { mac: Uint8Array.of(2, 0, 0, 0, 0, 0x0c), mtu: 1500 })
  const hopOf = (last: number) =>
    tables.addNextHop({ kind: 'forward', port: last % 2, mac: Uint8Array.of(2, 0, 0, 0, 9, last) })
  const hops = Array.from({ length: PLACES + 1 }, (_, place) => hopOf(place))
  assert.equal(tables.insert({ address: Uint8Array.of(10, 0, 0, 0), length: 16 }, hops[PLACES]!), null)
  const workers = await startWorkers(routing, space, code, pool, { settings: { address: tables.address, ports: 2 } })
  const [sent, taken] = [bench.bundle('sent'), bench.bundle('taken')]
  const [input, output] = [workers.to('router'), workers.from('router')]
  const seen = { general: 0, own: 0 }
  let refused = 0
  const look = () => {
    const count = output.receive(taken, 256)
    for (const packet of bench.read(taken)) {
      const [place, last, hop] = [packet[32]!, packet[33]!, packet[5]!]
      if (hop === PLACES) seen.general++
      else {
        assert.ok(hop === place && last >= 128, `10.0.${place}.${last} went by the hop of 10.0.${hop}.128/25`)
        seen.own++
      }
    }
    bench.empty(taken)
    return count
  }
  try {
    let [went, came, lastCame] = [0, 0, performance.now()]
    const isIn = new Array<boolean>(PLACES).fill(false)
    while (came < PACKETS) {
      if (went < PACKETS && went - came < 1024) {
        bench.fill(
          sent,
          Array.from({ length: 64 }, () => packetTo(randomAddress(random))),
        )
        went += input.send(sent)
        input.flush()
        bench.empty(sent)
      }
      for (let change = 0; change < CHANGES; change++) {
        const place = random.below(PLACES)
        if (isIn[place]) isIn[place] = !tables.remove(placeOf(place))
        else if (tables.insert(placeOf(place), hops[place]!) === null) isIn[place] = true
        else refused++
      }
      const count = look()
      came += count
      if (count > 0) lastCame = performance.now()
      assert.ok(performance.now() - lastCame < MOST_IDLE_MS, `${went - came} packets did not come back`)
      if (came < went) await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(came, went)
  } finally {
    await workers.close()
  }
  context.diagnostic(`${seen.own} by a place's own hop, ${refused} changes refused while nodes were in use or seen`)
  assert.ok(seen.general > 0 && seen.own > 0)
  bench.worker.close()
  assert.equal(bench.inUse(), 0)
})
