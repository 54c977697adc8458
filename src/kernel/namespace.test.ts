import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { test } from 'node:test'
import { skipUnless } from '../../test/support/require.js'
import { closeNamespace, createNamespace, withNamespace, writeSysctl } from './namespace.js'

const currentNamespace = () => readlinkSync('/proc/thread-self/ns/net')

test('a function runs inside the namespace, and its thread comes home', { skip: skipUnless('root') }, () => {
  const home = currentNamespace()
  const namespace = createNamespace()
  assert.equal(currentNamespace(), home)
  const inside = withNamespace(namespace, currentNamespace)
  assert.notEqual(inside, home)
  assert.equal(readlinkSync(namespace.path), inside)
  assert.equal(currentNamespace(), home)
  closeNamespace(namespace)
})

test('the thread comes home from a function that throws, and from one inside another', {
  skip: skipUnless('root'),
}, () => {
  const home = currentNamespace()
  const [outer, inner] = [createNamespace(), createNamespace()]
  withNamespace(outer, () => {
    const here = currentNamespace()
    const fail = () => {
      throw new Error('from inside')
    }
    assert.throws(() => withNamespace(inner, fail), /from inside/)
    assert.equal(currentNamespace(), here)
  })
  assert.equal(currentNamespace(), home)
  closeNamespace(outer)
  closeNamespace(inner)
})

test('an asynchronous function is refused, because its later part would run at home', {
  skip: skipUnless('root'),
}, () => {
  const namespace = createNamespace()
  assert.throws(() => withNamespace(namespace, async () => 1), TypeError)
  closeNamespace(namespace)
})

test('no thread of the pool is born in a namespace', { skip: skipUnless('root') }, async () => {
  const home = currentNamespace()
  const namespace = createNamespace()
  withNamespace(namespace, () => {
    stat('/').catch(assert.fail)
  })
  await stat('/')
  const threads = readdirSync('/proc/self/task').map((tid) => readlinkSync(`/proc/self/task/${tid}/ns/net`))
  assert.ok(threads.length > 4)
  assert.deepEqual(new Set(threads), new Set([home]))
  closeNamespace(namespace)
})

test('a new namespace holds nothing but its own loopback', { skip: skipUnless('root', 'ip') }, () => {
  const namespace = createNamespace()
  const links = withNamespace(namespace, () => execFileSync('ip', ['-brief', 'link'], { encoding: 'utf8' }))
  assert.deepEqual(
    links
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]),
    ['lo'],
  )
  closeNamespace(namespace)
})

test('a setting is written inside only', { skip: skipUnless('root') }, () => {
  const path = '/proc/sys/net/ipv4/ip_default_ttl'
  const before = readFileSync(path, 'utf8')
  const namespace = createNamespace()
  writeSysctl(namespace, 'ipv4/ip_default_ttl', 77)
  assert.equal(
    withNamespace(namespace, () => readFileSync(path, 'utf8')),
    '77\n',
  )
  assert.equal(readFileSync(path, 'utf8'), before)
  assert.throws(() => writeSysctl(namespace, 'ipv4/no_such_thing', 1), { name: 'KernelError', code: 'ENOENT' })
  closeNamespace(namespace)
})
