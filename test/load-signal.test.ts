import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { differentShapes } from '../bench/policy-rules.js'
import { compileRules } from '../src/compile.js'
import { loadProgram } from '../src/loader/index.js'
import { skipUnless } from './support/require.js'

/** Fewer than a load makes attempts, so that all of them may meet one load. */
const SIGNALS = 4
const MOST_LOADS = 1000

describe('loading a program', { skip: skipUnless('root') }, () => {
  it('goes on after signals that make the verifier give up', async (context) => {
    const { program } = compileRules(differentShapes(500))
    let handled = 0
    const onSignal = () => handled++
    process.on('SIGWINCH', onSignal)
    const script = `for i in $(seq ${SIGNALS}); do sleep 0.02; kill -WINCH ${process.pid}; done`
    const sender = spawn('bash', ['-c', script], { stdio: 'ignore' })
    const ended = once(sender, 'exit')
    let loads = 0
    // Signals of one kind that come close together may be handled as one.
    for (; handled === 0 || loads < 2 || (sender.exitCode === null && loads < MOST_LOADS); loads++) {
      loadProgram(program).close()
      await new Promise(setImmediate)
    }
    const [status] = await ended
    process.off('SIGWINCH', onSignal)
    assert.equal(status, 0)
    context.diagnostic(`${handled} signals in ${loads} loads`)
  })
})
