import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilterError, formatFilterError, parseFilter, printExpression } from './index.js'

const sets = new Set(['blocked', 'office-net', 'v6.only'])

/** The error of an expression, as the operator sees it. */
function refusal(text: string, options = { sets }): string {
  try {
    parseFilter(text, options)
  } catch (error) {
    if (error instanceof FilterError) return formatFilterError(error)
    throw error
  }
  throw new assert.AssertionError({ message: `${text} was accepted` })
}

test('a set stands where a host or a network can stand', () => {
  for (const [text, canonical] of [
    ['net @blocked', 'net @blocked'],
    ['src net @blocked', 'src net @blocked'],
    ['dst host @office-net', 'dst net @office-net'],
    ['src @v6.only', 'src net @v6.only'],
    ['ip6 src or dst net @v6.only', 'ip6 net @v6.only'],
    ['not arp src and dst net @blocked', 'not arp src and dst net @blocked'],
    ['src net @blocked or @office-net', 'src net @blocked or src net @office-net'],
    ['src net (@blocked or 10.0.0.0/8)', 'src net @blocked or src net 10.0.0.0/8'],
  ] as const) {
    const { expression } = parseFilter(text, { sets })
    assert.equal(printExpression(expression), canonical)
    assert.equal(printExpression(parseFilter(canonical, { sets }).expression), canonical)
  }
})

test('the syntax tree has the name of the set, its protocol and direction', () => {
  assert.deepEqual(parseFilter('ip dst net @blocked', { sets }).expression, {
    kind: 'address-set',
    protocol: 'ip',
    direction: 'dst',
    set: 'blocked',
    span: { start: 11, end: 19 },
  })
})

test('what cannot be a set is refused at its place', () => {
  const carets = 'there is no set "@blokced"; write one of @blocked, @office-net, @v6.only, or add it to the sets'
  assert.equal(refusal('udp and src net @blokced'), `${carets}\n  udp and src net @blokced\n                  ^^^^^^^^`)
  assert.match(refusal('net @blocked', { sets: new Set() }), /^there is no set "@blocked" here; only a policy has sets/)
  assert.match(refusal('@blocked'), /^"@blocked" has no qualifier before it .* write net @blocked/)
  assert.match(refusal('port @blocked'), /^"@blocked" is a set of addresses, not a port; write net before it/)
  assert.match(refusal('ether host @blocked'), /^"ether" cannot qualify a set of addresses/)
  assert.match(refusal('tcp src host @blocked'), /^"tcp" cannot qualify a set of addresses/)
  assert.match(refusal('proto @blocked'), /^"@blocked" is /)
  assert.match(refusal('addr1 host @blocked'), /802\.11/)
  assert.match(refusal('net @'), /^"@" has no meaning/)
  assert.match(refusal('net @blocked/24'), /^"\/" cannot stand here/)
})

test('a link type that carries no IP is refused, as for an address', () => {
  assert.throws(() => parseFilter('ip6 net @blocked', { sets, linkType: 'IPV4' }), /no packet of link type IPV4/)
  assert.doesNotThrow(() => parseFilter('net @blocked', { sets, linkType: 'IPV4' }))
})
