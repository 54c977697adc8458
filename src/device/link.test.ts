import { testDevice } from '../../test/support/device-suite.js'
import { createLink } from './link.js'

for (const slots of [128, 256, 1024]) {
  testDevice(`link with ${slots} slots`, ({ space, code, worker }) => {
    const [device, peer] = createLink(space, code, worker, 'link', { slots })
    return { device, peer }
  })
}
