import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { attachedProgram, SENDER } from './support/joined-namespaces.js'
import { skipUnless } from './support/require.js'
import { DATAGRAMS, openServed, POLICY, PORT, refused, run } from './support/served-policy.js'

const skip = skipUnless('root', 'ip')
const { network, write, list, rule, send, serve } = openServed(skip)

test('a rule is added at its place, drops real packets, and goes again', { skip }, async () => {
  const { end } = await serve()
  const added = JSON.parse(run('add', 'udp dst port', `${PORT}`, '--before', 'blocked', '--name', 'now', '--json'))
  assert.deepEqual(added, { device: 'far', name: 'now', rules: 4, warnings: [] })
  send()
  assert.deepEqual(
    list().rules.map(({ name, packets }) => [name, packets]),
    [
      ['seen', DATAGRAMS],
      ['now', DATAGRAMS],
      ['blocked', 0],
      ['rest', 0],
    ],
  )
  assert.match(run('remove', 'now'), /^rule "now" is not in force at far any more; 3 are\n$/)
  send()
  assert.deepEqual(
    list().rules.map(({ name, packets }) => [name, packets]),
    [
      ['seen', 2 * DATAGRAMS],
      ['blocked', 0],
      ['rest', DATAGRAMS],
    ],
  )
  // Behind a rule that takes all of its packets it would do nothing.
  const behind = runCli(['add', 'udp dst port', `${PORT}`, 'and greater 100'])
  assert.equal(behind.status, 0)
  assert.match(behind.stderr, /^sluice: warning: rule 4 "drop udp .*" is never reached, because rule 3 "rest"/)
  await end()
})

test('what a rule has beside its match is as in a policy', { skip }, async () => {
  await serve()
  const prefixes = ['--per', 'source-prefix', '--prefix', '24,56', '--rate', '10 Mbit/s', '--burst', '64 kB']
  run('add', 'tcp', '--action', 'limit', ...prefixes)
  run('add', 'icmp', '--action', 'sample', '--one-in', '10', '--bytes', '64', '--first')
  run('add', 'arp', '--action', 'mark', '--value', '0x10', '--shadow', '--until', '2100-01-01T00:00:00Z')
  run('add', 'igmp', '--action', 'pass', '--after', 'sample icmp', '--for', '1h')
  const { rules } = list()
  assert.deepEqual(
    rules.map(({ name, action, mode }) => [name, action, mode]),
    [
      ['sample icmp', 'sample', 'enforce'],
      ['pass igmp', 'pass', 'enforce'],
      ['seen', 'count', 'enforce'],
      ['blocked', 'drop', 'enforce'],
      ['rest', 'limit', 'enforce'],
      ['limit tcp', 'limit', 'enforce'],
      ['mark arp', 'mark', 'shadow'],
    ],
  )
  assert.ok(rules[1]!.secondsLeft! > 3500 && rules[1]!.secondsLeft! <= 3600)
  assert.ok(rules[6]!.secondsLeft! > 365 * 86_400)
})

test('addresses come into a set and leave it, without another program', { skip }, async () => {
  await serve()
  const { programId } = attachedProgram(network())
  assert.equal(
    run('add', '--set', '@blocked', SENDER, '2001:db8::1'),
    '@blocked has 3 prefixes at far now, and had 1\n',
  )
  send()
  assert.equal(rule('blocked').packets, DATAGRAMS)
  // The half of a prefix goes; what is left of it stays.
  run('add', '--set', 'blocked', '198.51.100.0/31')
  assert.deepEqual(list().sets[0], { name: 'blocked', ipv4: 2, ipv6: 1 })
  run('remove', '--set', 'blocked', SENDER)
  assert.deepEqual(list().sets[0], { name: 'blocked', ipv4: 2, ipv6: 1 })
  send()
  assert.equal(rule('blocked').packets, DATAGRAMS)
  assert.equal(attachedProgram(network()).programId, programId, 'only the map was written')
})

test('what was changed stays when the policy is read again, until the file says it', { skip }, async () => {
  const protecting = await serve()
  run('add', 'udp dst port 1', '--name', 'one', '--before', 'rest')
  run('add', 'udp dst port 2', '--name', 'two', '--after', 'one')
  run('remove', 'seen')
  run('add', '--set', 'blocked', SENDER)
  run('remove', '--set', 'blocked', '203.0.113.0/25')
  const names = () => list().rules.map(({ name }) => name)
  assert.deepEqual(names(), ['blocked', 'one', 'two', 'rest'])
  write(`${POLICY}  - { name: more, action: count, match: arp }\n`)
  await protecting.reload(/5 rules are in force/)
  assert.deepEqual(names(), ['blocked', 'one', 'two', 'rest', 'more'])
  assert.deepEqual(list().sets[0], { name: 'blocked', ipv4: 2, ipv6: 0 })
  assert.match(run('status'), /policy\.yaml: 5 rules, 2 added, 1 removed, 1 set changed │/)
  // The rule beside which another stood is removed; the other keeps its place.
  run('remove', 'one')
  assert.deepEqual(names(), ['blocked', 'two', 'rest', 'more'])
  // The file has the rule now, and a faulty one changes nothing.
  write(`${POLICY}  - { name: two, action: count, match: arp }\n`)
  await protecting.reload(/warning: the file has a rule "two" now, which takes the place of the added one/)
  assert.deepEqual(names(), ['blocked', 'rest', 'two'])
  run('add', 'src net @other', '--name', 'others')
  write(POLICY.replace(/ {2}other:.*\n/, ''))
  await protecting.reload(/sluice: rule "others": there is no set "@other"[\s\S]*the policy of before stays in force/)
  assert.deepEqual(names(), ['blocked', 'rest', 'two', 'others'])
  send()
  assert.equal(rule('blocked').packets, DATAGRAMS)
})

test('an added rule ends by the kernel’s clock, leaves with the next change, and can begin anew', {
  skip,
}, async () => {
  await serve()
  const add = (time: string) => run('add', 'udp', '--name', 'short', '--for', time, '--first')
  add('1s')
  await eventually('it has ended', () => rule('short').secondsLeft === 0)
  const { packets } = rule('short')
  send()
  assert.equal(rule('short').packets, packets)
  add('1h')
  assert.ok(rule('short').secondsLeft! > 3000 && rule('short').secondsLeft! <= 3600)
  const { packets: before } = rule('short')
  send()
  assert.equal(rule('short').packets, before + DATAGRAMS)
  run('remove', 'short')
  add('1s')
  await eventually('it has ended again', () => rule('short').secondsLeft === 0)
  run('add', 'arp', '--name', 'other')
  assert.equal(rule('short'), undefined)
})

test('what cannot be done is one sentence and status 2, and nothing is changed', { skip }, async () => {
  await serve()
  const before = list()
  const { programId } = attachedProgram(network())
  const faults: [args: string[], said: RegExp][] = [
    [['add', 'udp prt 5'], /^sluice: rule "drop udp prt 5": .*\n {2}udp prt 5\n {6}\^\^\^\n$/],
    [['add', 'src net @blokced'], /there is no set "@blokced"; did you mean "@blocked"\?/],
    [['add', 'udp', '--rate', '5 pps'], /a rule with action drop has no "rate"/],
    [['add', 'udp', '--action', 'dorp'], /"action" is "dorp"; did you mean "drop"\?/],
    [['add', 'udp', '--action', 'limit', '--per', 'source', '--rate', '5'], /write a rate such as 1000 pps/],
    [['add', 'udp', '--for', 'ever'], /"for" is "ever"; write a time such as/],
    [['add', 'udp', '--name', 'seen'], /a rule called "seen" is in force already/],
    [['add', 'udp', '--before', 'sen'], /no rule "sen" is in force; did you mean "seen"\?/],
    [['add', 'udp', '--action', 'forward', '--to', 'nowhere0'], /there is no network() device "nowhere0"/],
    [['add', 'udp', '--first', '--after', 'seen'], /cannot be used with/],
    [['add', 'udp', '--action', 'limit', '--prefix', '24'], /"24" is no pair of prefix lengths/],
    [['add', '--set', 'blocked', '192.0.2.1', '192.0.2.300'], /"192\.0\.2\.300" is no address or prefix/],
    [['add', '--set', 'blocked', '192.0.2.1\n192.0.2.2'], /is no address or prefix/],
    [['add', '--set', 'block', '192.0.2.1'], /the policy has no set @block; its sets are @blocked, @other/],
    [['remove', 'nothing'], /no rule "nothing" is in force; sluice list shows/],
    [['remove', 'seen', 'rest'], /there are 2 names/],
    [['list', '--process', '1'], /no service runs as 1/],
  ]
  for (const [args, said] of faults) {
    const { status, stderr } = refused(...args)
    assert.equal(status, 2, stderr)
    assert.match(stderr, said)
  }
  assert.deepEqual(list(), before)
  assert.equal(attachedProgram(network()).programId, programId)
})
