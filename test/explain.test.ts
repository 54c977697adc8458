import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeExpression, parseFilter } from '../src/filter/index.js'
import { runCli } from './support/cli.js'
import { skipUnless } from './support/require.js'

const describe = (text: string) => describeExpression(parseFilter(text).expression)

test('an expression is said in words, a line for each question', () => {
  assert.deepEqual(describe(''), ['every packet'])
  assert.deepEqual(describe('not (tcp dst port 80 or 443) and ip[8] < 64'), [
    'all of:',
    '  not:',
    '    any of:',
    '      TCP with destination port 80 (of IPv4 only first fragments have ports)',
    '      TCP with destination port 443 (of IPv4 only first fragments have ports)',
    '  ip[8] is below 64',
  ])
  assert.deepEqual(describe('src net 2001:db8::/32'), ['source address 2001:db8::/32 (IPv6)'])
  assert.deepEqual(describe('ether dst host 02:00:00:00:00:01'), ['destination link address 02:00:00:00:00:01'])
  assert.match(describe('vlan 5 and ip')[1]!, /^ {2}vlan 5: .*behind that header$/)
})

test('explain names the bytes that a rule reads', () => {
  const { status, stdout } = runCli(['explain', '--json', 'ip[8] < 64 and udp port 53'])
  assert.equal(status, 0)
  const { reads, decisions, checks, instructions } = JSON.parse(stdout)
  const start = reads.filter(({ behind }: { behind: string | null }) => behind === null)
  assert.ok(
    start.some(({ from, to }: { from: number; to: number }) => from <= 22 && to >= 22),
    'the time to live',
  )
  assert.ok(reads.length > start.length, 'the ports lie behind a header of variable length')
  assert.ok(decisions >= 4 && checks >= 1 && instructions > decisions)
})

test('explain asks the kernel what a rule costs', { skip: skipUnless('root') }, () => {
  const { kernel } = JSON.parse(runCli(['explain', '--json', 'udp port 53']).stdout)
  assert.ok(kernel.verifier.walked > 10 && kernel.machineCodeBytes > 50)
  const verdicts = Object.fromEntries(
    kernel.nanoseconds.map(({ packet, verdict }: { packet: string; verdict: string }) => [packet, verdict]),
  )
  assert.equal(verdicts['UDP to port 53 over IPv4'], 'drop')
  assert.equal(verdicts['TCP SYN to port 443 over IPv4'], 'pass')
  assert.equal(verdicts['ARP'], 'pass')
})

test('explain without rights says so and explains the rest', { skip: skipUnless('root') }, () => {
  const { status, stdout } = runCli(['explain', 'udp'], ['setpriv', '--bounding-set=-all', '--inh-caps=-all'])
  assert.equal(status, 0)
  assert.match(stdout, /the kernel was not asked: .*sudo/)
})
