import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'

const PROGRAM = fileURLToPath(new URL('./support/exiting-workers.js', import.meta.url))
const ENDS = 12
const STATUS = 7

it('process.exit() while workers fall asleep and wake ends them first, and the status is what was said', {
  skip: skipUnless('root'),
}, (context) => {
  const random = seededRandom(context, 'workers-exit')
  for (let end = 0; end < ENDS; end++) {
    const { status, signal, stderr } = spawnSync(process.execPath, [PROGRAM, `${1 + random.below(400)}`], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.deepEqual([status, signal], [STATUS, null], stderr)
  }
})
