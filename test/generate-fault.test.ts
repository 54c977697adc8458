import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLink, type FaultCounts, type Faults, openFault } from '../src/device/index.js'
import { draw, receive, startEngine } from '../src/engine/index.js'
import { frameTemplates, type Measured, measure, openGenerator, parseSizes } from '../src/generate/index.js'
import { discard } from '../src/stages/index.js'
import { type EngineBench, openBench } from './support/engine.js'
import { seededRandom } from './support/random.js'
import { frameSpec, planOf } from './support/traffic.js'

const SENT = 20_000

interface Outcome {
  readonly measured: Measured
  readonly faults: FaultCounts
  /** Every packet that came out of the unreliable device, in that order. */
  readonly arrived: readonly Uint8Array[]
}

/** Generator, an unreliable device, a look at what comes out of it, and the measuring stage. */
async function sendThrough(bench: EngineBench, faults: Faults): Promise<Outcome> {
  const { space, code, worker } = bench
  const [near, wire] = createLink(space, code, worker, 'sent')
  const [relay, far] = createLink(space, code, worker, 'seen')
  const unreliable = openFault(space, code, worker, wire, faults)
  const plan = planOf(frameTemplates(frameSpec({ sizes: parseSizes('60-200') })), { mostPackets: SENT })
  const generator = openGenerator(space, code, worker, 'fault', plan)
  const stage = measure('measured', () => 0)
  const engine = startEngine(space, code, worker, draw([receive(far), stage, discard('read')]))
  const [out, seen] = [bench.bundle('out'), bench.bundle('between')]
  const arrived: Uint8Array[] = []
  const look = () => {
    const count = unreliable.receive(seen, 64)
    arrived.push(...bench.read(seen))
    relay.send(seen)
    assert.equal(bench.count(seen), 0)
    engine.round()
    return count
  }
  while (generator.dueNs() === 0 || bench.count(out) > 0) {
    generator.make(out, 0)
    near.send(out)
    for (let turn = 0; turn < 8; turn++) look()
  }
  // What is held back for a time comes when that is over.
  for (let idle = 0; idle < 3; ) {
    await unreliable.wait(20)
    idle = look() === 0 ? idle + 1 : 0
  }
  const outcome = { measured: stage.read(), faults: unreliable.faults(), arrived }
  generator.close()
  engine.close()
  for (const device of [near, unreliable, relay, far]) device.close()
  assert.equal(bench.inUse(), 0)
  return outcome
}

/** Sequence numbers as they arrived, counted plainly. */
function countPlainly(arrived: readonly Uint8Array[]) {
  const seen = new Set<number>()
  let [duplicates, reordered, next] = [0, 0, 0]
  for (const packet of arrived) {
    const number = new DataView(packet.buffer, packet.byteOffset).getUint32(48, true)
    if (seen.has(number)) duplicates++
    else if (number < next) reordered++
    seen.add(number)
    next = Math.max(next, number + 1)
  }
  return { received: seen.size, duplicates, reordered, lost: SENT - seen.size }
}

const counted = ({ received, duplicates, reordered }: Measured) => {
  return { received, duplicates, reordered, lost: SENT - received }
}

describe('what is measured behind an unreliable device', () => {
  it('loss and copies are exactly what it did', async (context) => {
    const { seed } = seededRandom(context, 'generate-fault')
    const { measured, faults, arrived } = await sendThrough(openBench(), { loses: 0.05, duplicates: 0.03, seed })
    assert.ok(faults.lost > 0 && faults.duplicated > 0)
    assert.deepEqual(counted(measured), countPlainly(arrived))
    const { lost, duplicated } = faults
    assert.deepEqual(counted(measured), { received: SENT - lost, duplicates: duplicated, reordered: 0, lost })
  })

  it('order is exactly that in which packets came, beside loss, copies and delays', async (context) => {
    const { seed } = seededRandom(context, 'generate-fault')
    const all = { loses: 0.02, duplicates: 0.02, reorders: 0.02, delays: 0.01, delayMs: 2, seed }
    const { measured, faults, arrived } = await sendThrough(openBench(), all)
    assert.deepEqual(counted(measured), countPlainly(arrived))
    assert.deepEqual([SENT - measured.received, measured.duplicates], [faults.lost, faults.duplicated])
    assert.ok(measured.reordered > 0 && faults.reordered > 0 && faults.delayed > 0)
  })

  it('nobody is out of order who was not overtaken', async (context) => {
    const { seed } = seededRandom(context, 'generate-fault')
    const { measured, faults, arrived } = await sendThrough(openBench(), { reorders: 0.002, seed })
    assert.deepEqual(counted(measured), countPlainly(arrived))
    // Of two neighbours that are both held back, one may come before the other after all.
    const [found, held] = [measured.reordered, faults.reordered]
    assert.ok(found > held / 2 && found <= held, `${found} of ${held}`)
  })

  it('each corrupted packet is missing, but where a bit of its Ethernet addresses was turned', async (context) => {
    const { seed } = seededRandom(context, 'generate-fault')
    const { measured, faults } = await sendThrough(openBench(), { corrupts: 0.1, seed })
    const unseen = faults.corrupted - measured.corrupted - measured.others - measured.otherRuns
    assert.equal(measured.received, SENT - measured.corrupted - measured.others - measured.otherRuns)
    // 12 of 60 to 200 bytes hold the addresses: about one in ten.
    assert.ok(unseen >= 0 && unseen < faults.corrupted / 4, `${unseen} of ${faults.corrupted} not seen`)
  })
})
