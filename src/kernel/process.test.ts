import assert from 'node:assert/strict'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../test/support/eventually.js'
import { skipUnless } from '../../test/support/require.js'
import { closeNamespace, createNamespace } from './namespace.js'
import { formatOwner, identify, isAlive, killIf, OWNER_VARIABLE, parseOwner, spawnInNamespace } from './process.js'
import { getAffinity } from './scheduler.js'

const CHILD = new URL('../../test/support/lab-child.js', import.meta.url)
const PRELOAD = new URL('./process-preload.js', import.meta.url).href

test('a process is known by pid and start time, and a later one of the same pid is another', () => {
  const own = identify(process.pid)!
  assert.equal(isAlive(own), true)
  assert.equal(isAlive({ ...own, startTime: '1' }), false)
  assert.deepEqual(parseOwner(formatOwner(own)), own)
  for (const text of ['', '12', '12:', ':5', '12:5:6', 'a:b']) assert.equal(parseOwner(text), undefined, text)
})

test('a zombie does not live', async () => {
  const child = spawn('sleep', ['60'])
  const identity = identify(child.pid!)!
  process.kill(child.pid!, 'SIGKILL')
  // Not reaped before this turn of the event loop ends, so it is a zombie when it is dead at all.
  while (isAlive(identity));
  assert.match(readFileSync(`/proc/${child.pid}/stat`, 'utf8'), /\) Z /)
  await once(child, 'exit')
})

test('a child runs in the namespace, on the CPU, with the mark of its owner', {
  skip: skipUnless('root'),
}, async () => {
  const namespace = createNamespace()
  const [cpu] = getAffinity(0)
  const child = spawnInNamespace(namespace, CHILD, ['idle'], { cpus: [cpu], env: { COLOUR: 'green' } })
  await once(child, 'message')
  const proc = `/proc/${child.pid}`
  assert.equal(readlinkSync(`${proc}/ns/net`), readlinkSync(namespace.path))
  assert.match(readFileSync(`${proc}/status`, 'utf8'), new RegExp(`^Cpus_allowed_list:\t${cpu}$`, 'm'))
  const environment = readFileSync(`${proc}/environ`, 'utf8').split('\0')
  assert.ok(environment.includes(`${OWNER_VARIABLE}=${formatOwner(identify(process.pid)!)}`))
  assert.ok(environment.includes('COLOUR=green'))
  child.kill('SIGKILL')
  await once(child, 'exit')
  closeNamespace(namespace)
})

test('a child whose parent died before it could tie itself ends at once', async () => {
  const child = fork(fileURLToPath(CHILD), ['idle'], {
    execArgv: ['--import', PRELOAD],
    env: { ...process.env, [OWNER_VARIABLE]: `${process.pid}:1` },
  })
  const [code] = await once(child, 'exit')
  assert.equal(code, 1)
})

test('only the process that the check recognizes is killed', async () => {
  const child = spawn('sleep', ['60'])
  const identity = identify(child.pid!)!
  assert.equal(
    killIf(child.pid!, () => false),
    false,
  )
  assert.equal(isAlive(identity), true)
  assert.equal(
    killIf(child.pid!, () => isAlive(identity)),
    true,
  )
  await once(child, 'exit')
  await eventually('the pid is free', () => identify(child.pid!) === undefined)
  assert.equal(
    killIf(child.pid!, () => true),
    false,
  )
})
