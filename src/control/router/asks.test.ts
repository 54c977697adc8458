import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBench } from '../../../test/support/engine.js'
import { eventually } from '../../../test/support/eventually.js'
import { asksBytes, hearAsks, tellAsks } from './asks.js'

test('who is told faster than it hears lets others of its thread have their turn', async () => {
  const { space, code } = openBench()
  const { offset } = space.reserve({ name: 'asks', kind: 'state', bytes: asksBytes(2) })
  const tell = [0, 1].map((worker) => tellAsks(space, code, offset, worker))
  const heard: string[] = []
  const asks = hearAsks(space, code, offset, 2, (hop, address, sender) => {
    heard.push(`${hop} ${address.join('.')} ${sender}`)
    // As by a worker that has the next one already.
    tell[hop]!(hop, address, sender)
  })
  tell[0]!(0, Uint8Array.of(192, 0, 2, 1), 7)
  tell[1]!(1, Uint8Array.of(198, 51, 100, 1), 255)
  await eventually('many are heard', () => heard.length > 128)
  asks.close()
  assert.ok(heard.includes('0 192.0.2.1 7') && heard.includes('1 198.51.100.1 255'))
})
