import { it } from 'node:test'
import { runQueue } from './support/queue-run.js'

/**
 * Numbered packets from threads of their own: none is lost, none comes twice,
 * none overtakes one of its producer. A billion: `npm run bench -- queue --packets 1000000000`.
 */
const BUNDLES = [64, 1, 7, 256, 32, 3, 128]
const RUNS = [
  { locking: 'lockless', producers: 1, packets: 10_000_000 },
  { locking: 'lockless', producers: 2, packets: 20_000_000 },
  { locking: 'lockless', producers: 4, packets: 20_000_000 },
  { locking: 'locked', producers: 1, packets: 2_000_000 },
  { locking: 'locked', producers: 4, packets: 2_000_000 },
] as const

for (const run of RUNS) {
  it(`${run.packets / 1e6} million packets of ${run.producers} producers, ${run.locking}`, async () => {
    await runQueue({ ...run, bundles: BUNDLES })
  })
}

it('the checked build, whose queues are slower and have other neighbours', async () => {
  for (const locking of ['lockless', 'locked'] as const)
    await runQueue({ locking, producers: 3, packets: 300_000, bundles: BUNDLES, slots: 128, isChecked: true })
})
