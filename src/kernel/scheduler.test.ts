import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { skipUnless } from '../../test/support/require.js'
import { getAffinity, pinProcess, setAffinity, setPolicy, withAffinity } from './scheduler.js'

/** Fields of /proc/thread-self/stat by their number in proc(5). */
function schedulingOf(): { nice: number; realTimePriority: number; policy: number } {
  const stat = readFileSync('/proc/thread-self/stat', 'utf8')
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  return { nice: fields[19 - 3], realTimePriority: fields[40 - 3], policy: fields[41 - 3] }
}

function allowedCpus(): string {
  return /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))![1]
}

test('the thread is kept on one CPU while a function runs, and let go', () => {
  const before = getAffinity(0)
  const last = before[before.length - 1]
  withAffinity([last], () => assert.equal(allowedCpus(), `${last}`))
  assert.deepEqual(getAffinity(0), before)
})

test('a CPU that does not exist is refused by name', () => {
  assert.throws(() => setAffinity(0, [8000]), { name: 'KernelError', code: 'EINVAL', message: /to CPU 8000/ })
})

test('a thread becomes real-time and ordinary again', { skip: skipUnless('root') }, () => {
  const before = schedulingOf()
  setPolicy(0, { policy: 'fifo', priority: 3 })
  assert.deepEqual({ ...schedulingOf(), nice: 0 }, { nice: 0, realTimePriority: 3, policy: 1 })
  setPolicy(0, { policy: 'other', nice: before.nice + 1 })
  assert.deepEqual(schedulingOf(), { nice: before.nice + 1, realTimePriority: 0, policy: 0 })
  setPolicy(0, { policy: 'other', nice: before.nice })
})

test('a process is kept on one CPU with all its threads, and let go again', () => {
  const tids = () => readdirSync('/proc/self/task').map(Number)
  const before = tids().map((tid) => getAffinity(tid))
  const unpin = pinProcess(0)
  assert.ok(tids().every((tid) => getAffinity(tid).join() === '0'))
  unpin()
  assert.deepEqual(
    tids().map((tid) => getAffinity(tid)),
    before,
  )
})
