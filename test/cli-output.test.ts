import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createCapture } from '../src/device/index.js'
import { CLI, runCli } from './support/cli.js'

const folder = mkdtempSync(join(tmpdir(), 'sluice-output-'))
after(() => rmSync(folder, { recursive: true }))

const CAPTURE = join(folder, 'two.pcap')
const writer = createCapture(CAPTURE, { linkTypeNumber: 1, snapLength: 65535, resolution: 'microseconds' })
for (const seconds of [1, 2]) writer.write({ data: new Uint8Array(60), wireLength: 60, seconds, nanoseconds: 0 })
writer.finish()

test('a disk that is full behind standard output is one sentence and status 1', () => {
  const full = openSync('/dev/full', 'w')
  for (const more of [[], ['--json'], ['-w', '-']]) {
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'match', '', '-r', CAPTURE, ...more], {
      encoding: 'utf8',
      stdio: ['ignore', full, 'pipe'],
    })
    assert.equal(status, 1, stderr)
    assert.match(stderr, /^sluice: .*standard output.*ENOSPC.*\n$/)
  }
})

test('--json holds the count and the numbers, whatever else is asked for', () => {
  const plain = JSON.parse(runCli(['match', '', '-r', CAPTURE, '--json']).stdout)
  assert.deepEqual([plain.matched, plain.numbers], [2, [1, 2]])
  for (const option of ['--count', '--numbers']) {
    assert.deepEqual(JSON.parse(runCli(['match', '', '-r', CAPTURE, '--json', option]).stdout), plain)
  }
})

test('what is said of wrong usage has its full stops in place', () => {
  for (const args of [['match', '', '-r', CAPTURE, '--engine', 'magic'], ['flod']]) {
    const { status, stderr } = runCli(args)
    assert.equal(status, 2)
    assert.doesNotMatch(stderr, /[.;,:] ?[.;,:]/)
  }
})

test('--resolve looks names up; without it they are refused with that remedy', () => {
  assert.match(runCli(['compile', 'ip host localhost', '--to', 'ir', '--resolve']).stdout, /0x7f000001/)
  assert.equal(runCli(['match', 'host localhost', '-r', CAPTURE, '--resolve', '--count']).stdout, '0\n')
  const refused = runCli(['compile', 'ip host localhost'])
  assert.deepEqual([refused.status, refused.stdout], [2, ''])
  for (const args of [
    ['compile', 'host localhost'],
    ['match', 'host localhost', '-r', CAPTURE],
    ['drop', 'host localhost', '--on', 'lo', '--no-keep-ssh'],
  ])
    assert.match(runCli(args).stderr, /no host or network is called "localhost"; write an address, or pass --resolve/)
  assert.match(runCli(['explain', 'host localhost']).stderr, /called "localhost"; write an address\n/)
})
