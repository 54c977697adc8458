import { workerData } from 'node:worker_threads'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_WIRE,
  loadCode,
  openPart,
} from '../../src/memory/index.js'
import { attachProducer } from '../../src/transmit/index.js'
import { type ProducerStart, SIGNAL } from './queue-run.js'

/**
 * Puts packets into a shared queue, each with the producer's number as address
 * and its own number, from 0 on, as length; waits for the start.
 */
const { memory, isChecked, part, place, number, packets, bundles, signals } = workerData as ProducerStart
const space = openPart(memory, part)
const { words } = space
const producer = attachProducer(space, loadCode(space, isChecked), place, number)
const bundle = space.reserve({ name: 'bundle', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
const shared = new Int32Array(memory.buffer, signals)
const SPINS = 100

function fill(first: number, count: number): void {
  let at = (bundle + BUNDLE_DESCRIPTORS) / 4
  for (let index = 0; index < count; index++, at += DESCRIPTOR_BYTES / 4) {
    words[at + DESCRIPTOR_ADDRESS / 4] = number
    words[at + DESCRIPTOR_WIRE / 4] = first + index
  }
  words[bundle / 4] = count
}

/** As long as there is no room, this one gives its core away: there may be more threads than cores. */
function pushAll(): void {
  for (let tries = 0; words[bundle / 4]! > 0; tries++) {
    if (producer.push(bundle) === 0 && tries > SPINS) Atomics.wait(shared, SIGNAL.never, 0, 0.05)
  }
}

Atomics.add(shared, SIGNAL.ready, 1)
Atomics.notify(shared, SIGNAL.ready)
Atomics.wait(shared, SIGNAL.start, 0)
for (let sent = 0, turn = number; sent < packets; turn++) {
  const count = Math.min(bundles[turn % bundles.length]!, packets - sent)
  fill(sent, count)
  pushAll()
  sent += count
}
