import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as build from './index.js'
import { isFinal, limit, type Policy, PolicyError, policy, printPolicy, type Rule, readPolicy } from './index.js'

/** The message of the PolicyError that `make` throws. */
function refusal(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    if (error instanceof PolicyError) return error.message
    throw error
  }
  throw new assert.AssertionError({ message: 'nothing was thrown' })
}

const FILE = `
sets:
  blocked: [192.0.2.0/24, "2001:db8::/32"]
  scanners: { file: scanners.txt }
tables:
  limits: { entries: 65536, whenFull: drop }
rules:
  - { action: pass, match: src net @scanners, name: ours, mode: shadow }
  - { action: drop, match: src net @blocked, until: "2026-12-01T08:00:00+01:00" }
  - { action: limit, match: tcp, per: source, rate: 2.5 kpps, burst: 5000, for: 10m }
  - { action: limit, match: udp, per: source-prefix, prefix: { v4: 24, v6: 56 }, rate: 10 Mbit/s, burst: 64 KiB }
  - { action: limit, match: icmp, per: rule, rate: 10 pps }
  - { action: count, match: arp }
  - { action: sample, match: ip6, oneIn: 1000, bytes: 64 }
  - { action: divert, match: udp port 4789 }
  - { action: steer, match: tcp port 80, cpu: 3 }
  - { action: forward, match: ip host 10.0.0.1, device: eth1 }
  - { action: mark, match: "", value: 7 }
`

const BUILT: Policy = policy(
  {
    sets: { blocked: ['192.0.2.0/24', '2001:db8::/32'], scanners: { file: 'scanners.txt' } },
    tables: { limits: { entries: 65536, whenFull: 'drop' } },
  },
  build.pass('src net @scanners', { name: 'ours', mode: 'shadow' }),
  build.drop('src net @blocked', { until: '2026-12-01T07:00:00Z' }),
  limit('tcp', { per: 'source', rate: '2500 pps', burst: 5000, for: '600s' }),
  limit('udp', { per: 'source-prefix', prefix: { v4: 24, v6: 56 }, rate: '1.25 MB/s', burst: 65536 }),
  limit('icmp', { per: 'rule', rate: '10 pps', burst: '10 packets' }),
  build.count('arp'),
  build.sample('ip6', { oneIn: 1000, bytes: 64 }),
  build.divert('udp port 4789'),
  build.steer('tcp port 80', { cpu: 3 }),
  build.forward('ip host 10.0.0.1', { device: 'eth1' }),
  build.mark('', { value: 7 }),
)

describe('the builders', () => {
  it('give the value that a file gives, for every action', () => {
    assert.deepEqual(readPolicy(FILE, 'policy.yaml'), BUILT)
    const actions = new Set(BUILT.rules.map(({ action }) => action.kind))
    assert.equal(actions.size, 9)
  })

  it('give plain values: as JSON and back they are the same', () => {
    assert.deepEqual(JSON.parse(JSON.stringify(BUILT)), BUILT)
    assert.deepEqual(readPolicy(printPolicy(BUILT, 'json'), 'policy.json'), BUILT)
  })

  it('resolve units and defaults', () => {
    const [, dropped, tcp, udp, icmp] = BUILT.rules as [Rule, Rule, Rule, Rule, Rule]
    assert.deepEqual(dropped.lifetime, { kind: 'until', unixSeconds: Date.UTC(2026, 11, 1, 7) / 1000 })
    assert.deepEqual(tcp, {
      name: 'limit tcp',
      match: 'tcp',
      action: { kind: 'limit', per: 'source', rate: { unit: 'packets', perSecond: 2500 }, burst: 5000 },
      mode: 'enforce',
      lifetime: { kind: 'for', seconds: 600 },
    })
    assert.deepEqual(udp.action, {
      kind: 'limit',
      per: 'source-prefix',
      prefix: { v4: 24, v6: 56 },
      rate: { unit: 'bytes', perSecond: 1_250_000 },
      burst: 65_536,
    })
    assert.equal(icmp.action.kind === 'limit' && icmp.action.burst, 10)
    assert.deepEqual(policy().tables, {
      limits: { entries: 131_072, whenFull: 'share' },
      samples: { bytes: 1_048_576 },
    })
  })

  it('take the burst of a second where none is given, and a full frame at least', () => {
    const burstOf = ({ action }: Rule) => (action.kind === 'limit' ? action.burst : null)
    assert.equal(burstOf(limit('', { per: 'rule', rate: '800 pps' })), 800)
    assert.equal(burstOf(limit('', { per: 'rule', rate: '1 MB/s' })), 1_000_000)
    assert.equal(burstOf(limit('', { per: 'rule', rate: '8 kbit/s' })), 1514)
  })

  it('say which rules end the list', () => {
    const final = BUILT.rules.filter(isFinal).map(({ action }) => action.kind)
    assert.deepEqual(final, ['drop', 'limit', 'limit', 'limit', 'divert', 'steer', 'forward'])
  })

  it('refuse options that contradict each other, by the name of the option', () => {
    const limited = (options: Partial<build.LimitOptions>) =>
      refusal(() => limit('tcp', { per: 'source', rate: '10 pps', ...options }))
    assert.match(limited({ rate: '10 packets' }), /^limit\('tcp'\): "10 packets" is no rate; write one such as/)
    assert.match(limited({ rate: '0 pps' }), /lets nothing pass; write action: drop$/)
    assert.match(limited({ rate: '1.5 pps' }), /"1\.5 pps" is 1\.5 packets a second; write a whole number/)
    assert.match(limited({ rate: '999 GB/s' }), /write a whole number from 1 to 15000000000$/)
    assert.match(limited({ burst: '64 kB' }), /the burst is in bytes and the rate in packets/)
    assert.match(limited({ burst: 0 }), /nothing would ever pass; write at least 1$/)
    assert.match(limited({ rate: '1 Mpps', burst: 15e9 + 1 }), /is 15000000001 packets; write a whole number from 1 to/)
    assert.match(
      limited({ rate: '1 MB/s', burst: 1000 }),
      /no frame of 1514 bytes would ever pass; write at least 1514/,
    )
    assert.match(limited({ burst: 400_000_000 }), /more than a year to come back; write at most 315360000$/)
    assert.match(limited({ burst: 'much' }), /"much" is no burst/)
    assert.match(limited({ per: 'source-prefix' }), /needs the lengths/)
    assert.match(limited({ prefix: { v4: 24, v6: 56 } }), /prefix has no meaning with per source/)
    assert.match(
      limited({ per: 'source-prefix', prefix: { v4: 33, v6: 56 } }),
      /v4 is 33; write a whole number from 0 to 32/,
    )
    assert.match(limited({ for: '1m', until: '2026-12-01T08:00:00Z' }), /contradict each other/)
    assert.match(limited({ for: '0s' }), /"0s" is no time from 1 second to 10 years/)
    assert.match(limited({ until: '2026-12-01' }), /is no moment; write it with its zone/)
    assert.match(limited({ until: '2026-13-01T08:00:00Z' }), /is no moment/)
    assert.match(limited({ name: ' x' }), /a name has 1 to 200 printable characters/)
    assert.match(
      refusal(() => build.steer('', { cpu: 1.5 })),
      /cpu is 1\.5; write a whole number from 0 to 4095/,
    )
    assert.match(
      refusal(() => build.sample('', { oneIn: 0 })),
      /oneIn is 0; write a whole number from 1/,
    )
    assert.match(
      refusal(() => build.forward('', { device: 'a name too long' })),
      /cannot be the name of a device/,
    )
    assert.match(
      refusal(() => build.mark('', { value: 2 ** 32 })),
      /value is 4294967296/,
    )
  })

  it('refuse what does not go together in a policy, all of it at once', () => {
    const message = refusal(() =>
      policy(
        { sets: { 'a set': [], blocked: ['10.0.0.1/8'] }, tables: { samples: { bytes: 5000 } } },
        build.drop('src net @blokced'),
        build.drop('udp'),
        build.drop('udp'),
        build.drop('tcp port'),
      ),
    )
    for (const sentence of [
      'rules[0].match: there is no set "@blokced"; did you mean "@blocked"?\n  src net @blokced\n          ^^^^^^^^',
      'rules[2].name: rules 2 and 3 are both called "drop udp"; give one another name',
      'rules[3].match: the expression ends too early',
      'sets.a set: "a set" cannot be the name of a set',
      'sets.blocked[0]: "10.0.0.1/8" has bits set behind its prefix; write 10.0.0.0/8',
      'tables.samples.bytes: "bytes" is 5000; it must be a power of two, write 8192',
    ])
      assert.ok(message.includes(sentence), `${sentence}\n\nis not in\n\n${message}`)
  })
})
