import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compilePolicy } from './compile-policy.js'
import { count, drop, limit, PolicyError, pass, policy, type Rule } from './policy/index.js'

const warningsOf = (...rules: readonly Rule[]) => compilePolicy(policy(...rules)).warnings.map(({ message }) => message)

describe('a compiled policy', () => {
  it('is cut behind each rule that lets the list go on', () => {
    const { segments } = compilePolicy(
      policy(
        pass('tcp port 22'),
        drop('udp', { mode: 'shadow' }),
        count('tcp'),
        drop('tcp port 80', { for: '10m' }),
        drop('arp'),
        limit('ip', { per: 'source', rate: '10 pps' }),
      ),
    )
    assert.deepEqual(
      segments.map(({ rules }) => rules),
      [[0, 1], [2], [3], [4, 5]],
    )
    assert.deepEqual(compilePolicy(policy()), { policy: policy(), conditions: [], segments: [], warnings: [] })
  })

  it('refuses what is not compiled, all at once, by the name of the rule and the place in its expression', () => {
    assert.throws(
      () => compilePolicy(policy(drop('arp'), drop('udp and inbound', { name: 'in' }), drop('ifindex 3'))),
      (error: Error) => {
        assert.match(error.message, /^rule 2 "in": .+\n {2}udp and inbound\n {10}\^{7}\nrule 3 "drop ifindex 3": /)
        return error instanceof PolicyError
      },
    )
  })
})

describe('warnings of a policy', () => {
  it('name the rule that is never reached and the one that shadows it', () => {
    assert.deepEqual(warningsOf(pass('tcp port 22'), drop('udp'), drop('udp port 53', { name: 'dns' })), [
      'rule 3 "dns" is never reached, because rule 2 "drop udp" takes all of its packets; move it before that rule, or remove it',
    ])
  })

  it('say where several rules take its packets together, and where none could match', () => {
    assert.deepEqual(warningsOf(drop('ip'), drop('ip6'), pass('tcp')), [
      'rule 3 "pass tcp" is never reached, because rule 1 "drop ip" and rule 2 "drop ip6" take all of its packets together; move it up, or remove it',
    ])
    assert.deepEqual(warningsOf(drop('ip and arp')), [
      'rule 1 "drop ip and arp" can never match, because its expression contradicts itself; correct or remove it',
    ])
  })

  it('are not given for what a counting, a shadow or a temporary rule matches first', () => {
    assert.deepEqual(warningsOf(count('udp'), drop('udp')), [])
    assert.deepEqual(warningsOf(drop('udp', { mode: 'shadow', name: 'tried' }), drop('udp')), [])
    assert.deepEqual(warningsOf(drop('udp', { for: '10m', name: 'short' }), drop('udp')), [])
    assert.deepEqual(warningsOf(drop('udp port 53'), drop('udp')), [])
  })

  it('name a rule whose end has passed, and no other thing about it', () => {
    const until = '2020-01-01T00:00:00Z'
    assert.deepEqual(warningsOf(drop('tcp'), drop('udp', { until, name: 'old' }), drop('tcp port 9', { until })), [
      'rule 2 "old" meets no packet, because the moment in its "until" has passed; write a later one, or remove the rule',
      'rule 3 "drop tcp port 9" meets no packet, because the moment in its "until" has passed; write a later one, or remove the rule',
    ])
    assert.deepEqual(warningsOf(drop('udp', { until: '2999-01-01T00:00:00Z' })), [])
  })

  it('are found in lists of any length', () => {
    const rules = Array.from({ length: 1000 }, (_, index) => drop(`src host 10.${index >> 8}.${index & 255}.1`))
    const [warning, ...rest] = warningsOf(...rules, pass('src host 10.2.7.1'))
    assert.match(
      warning!,
      /^rule 1001 "pass src host 10\.2\.7\.1" is never reached, because rule 520 "drop src host 10\.2\.7\.1"/,
    )
    assert.deepEqual(rest, [])
    assert.deepEqual(warningsOf(drop('src net 10.2.0.0/16'), ...rules).length, 256)
    assert.match(
      warningsOf(...rules, drop('tcp port 80'), pass('tcp dst port 80'))[0]!,
      /^rule 1002 .* rule 1001 "drop/,
    )
  })
})
