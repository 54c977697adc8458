import { it } from 'node:test'
import { testDevice } from '../../test/support/device-suite.js'
import { openBench } from '../../test/support/engine.js'
import { createLink } from './link.js'

for (const slots of [128, 256, 1024]) {
  testDevice(`link with ${slots} slots`, ({ space, code, worker }) => {
    const [device, peer] = createLink(space, code, worker, 'link', { slots })
    return { device, peer }
  })
}

it('a wait for a link ends with the next one, so that those of a busy engine do not pile up', async () => {
  const { space, code, worker } = openBench({ 2048: 1 })
  const [near, far] = createLink(space, code, worker, 'link')
  const first = near.wait(60_000)
  const second = near.wait(60_000)
  await first
  near.close()
  await second
  far.close()
})
