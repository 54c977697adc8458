import assert from 'node:assert/strict'
import { it } from 'node:test'
import { openBench } from '../../test/support/engine.js'
import { createWaiter, openEvent } from '../kernel/index.js'
import { WORKER_BYTES } from '../memory/index.js'
import { openBell } from './bell.js'

/** A bell as the worker that sleeps at it has it, and as another thread has it. */
function openBells() {
  const { space, code } = openBench()
  const event = openEvent()
  const { offset } = space.reserve({ name: 'control', kind: 'counters', bytes: WORKER_BYTES })
  const [own, other] = [openBell(space, code, offset, event.fd), openBell(space, code, offset, event.fd)]
  const waiter = createWaiter([event.fd])
  return { own, other, isWoken: () => waiter.wait(0) > 0, close: event.close }
}

it('wakes who sleeps in poll, once, and nobody who is awake', () => {
  const { own, other, isWoken, close } = openBells()
  for (let turn = 0; turn < 3; turn++) {
    other.ring()
    assert.equal(isWoken(), false)
    own.poll(true)
    // All rings to a worker say so.
    own.poll(true)
    assert.equal(isWoken(), false)
    other.ring()
    other.ring()
    assert.equal(isWoken(), true)
    own.poll(false)
    own.poll(false)
    assert.equal(isWoken(), false)
  }
  close()
})

it('is not woken by an old ring when it sleeps in the event loop', async () => {
  const { own, other, isWoken, close } = openBells()
  own.poll(true)
  own.poll(false)
  const woken = own.wait(() => false, 10_000)
  other.ring()
  await woken
  assert.equal(isWoken(), false)
  close()
})

it('does not wake by an old ring who waits from then on', async () => {
  const { own, other, close } = openBells()
  const first = own.wait(() => false, 10_000)
  own.ring()
  let isWokenAgain = false
  const second = own
    .wait(() => false, 10_000)
    .then(() => {
      isWokenAgain = true
    })
  await first
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
  assert.equal(isWokenAgain, false)
  other.ring()
  await second
  close()
})
