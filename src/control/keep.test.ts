import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileFilter } from '../compile.js'
import { interpret } from '../ir/index.js'
import { KeepError, keepRules } from './keep.js'

const SESSION = { client: '192.0.2.7', isEstablished: true, others: [] }

/** An Ethernet frame of `etherType` behind `tags` VLAN tags. */
function frame(etherType: number, payload: readonly number[], tags: number): Uint8Array {
  const vlan = Array.from({ length: tags }, () => [0x81, 0x00, 0x00, 0x05]).flat()
  const bytes = [...Array(12).fill(2), ...vlan, etherType >> 8, etherType & 255, ...payload]
  return Uint8Array.from([...bytes, ...Array(40).fill(0)])
}

/** ARP, RFC 826: the sender's address stands in bytes 14 to 17. */
const arpFrom = (address: string) => [0, 1, 8, 0, 6, 4, 0, 2, ...Array(6).fill(2), ...address.split('.').map(Number)]
const ipv4From = (address: string) => [0x45, ...Array(11).fill(0), ...address.split('.').map(Number)]
const icmp6 = (type: number) => [0x60, 0, 0, 0, 0, 8, 58, 255, ...Array(32).fill(0xfe), type]

function isKept(rules: ReturnType<typeof keepRules>, bytes: Uint8Array): boolean {
  return rules.some(
    ({ expression }) => interpret(compileFilter(expression).graph, { bytes, wireLength: bytes.length }) !== null,
  )
}

test('sources are kept behind up to two VLAN tags, once each', () => {
  const rules = keepRules(['198.51.100.0/24', '198.51.100.0/24', '192.0.2.7'], SESSION)
  const told = rules.map(({ what }) => what).filter((what) => !what.includes('ARP'))
  assert.deepEqual(told, ['192.0.2.7 (your SSH client)', '198.51.100.0/24'])
  for (const tags of [0, 1, 2]) {
    assert.ok(isKept(rules, frame(0x0800, ipv4From('192.0.2.7'), tags)), `${tags} tags`)
    assert.ok(isKept(rules, frame(0x0800, ipv4From('198.51.100.9'), tags)), `${tags} tags`)
    assert.ok(!isKept(rules, frame(0x0800, ipv4From('192.0.2.8'), tags)), `${tags} tags`)
  }
})

test('the neighbours of what is kept are kept: ARP of the routers, IPv6 discovery, router advertisements', () => {
  const gateways = () => ['192.0.2.1']
  const client = { ...SESSION, client: '198.51.100.7' }
  for (const rules of [keepRules(['198.51.100.7'], null, gateways), keepRules([], client, gateways)]) {
    for (const tags of [0, 1, 2]) {
      assert.ok(isKept(rules, frame(0x0806, arpFrom('192.0.2.1'), tags)), `${tags} tags`)
      assert.ok(!isKept(rules, frame(0x0806, arpFrom('192.0.2.2'), tags)), `${tags} tags`)
    }
    assert.ok(!isKept(rules, frame(0x86dd, icmp6(135), 0)))
  }
  const discovery = keepRules(['2001:db8::/32'], null)
  for (const tags of [0, 1, 2]) {
    for (const type of [134, 135, 136]) assert.ok(isKept(discovery, frame(0x86dd, icmp6(type), tags)), `type ${type}`)
    assert.ok(!isKept(discovery, frame(0x86dd, icmp6(128), tags)), 'echo request')
  }
})

test('the clients that may be the operator are kept where the session has ended', () => {
  const rules = keepRules([], { client: '192.0.2.7', isEstablished: false, others: ['192.0.2.8'] })
  for (const address of ['192.0.2.7', '192.0.2.8']) assert.ok(isKept(rules, frame(0x0800, ipv4From(address), 0)))
})

test('what is no prefix is refused before it becomes part of an expression', () => {
  for (const text of ['', '10.0.0.0/8 or udp', 'localhost']) {
    assert.throws(() => keepRules([text], null), KeepError, text)
  }
})
