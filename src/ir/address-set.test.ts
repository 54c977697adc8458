import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '../../test/support/random.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { parseFilter } from '../filter/index.js'
import {
  buildGraph,
  type Graph,
  interpret,
  lower,
  optimize,
  type Packet,
  printGraph,
  readsOf,
  type SetLookup,
} from './index.js'

const sets = new Set(['some'])

function graphOf(text: string): Graph {
  return buildGraph([lower(parseFilter(text, { sets }).expression)])
}

/** What `some` holds, as the members of a row of `net`. */
const MEMBERS = ['10.0.0.2', '192.168.0.0/16', '203.0.0.0/9', '2001:db8::53', 'fe80::/10'] as const

const lookup: SetLookup = (set, family, words) => {
  assert.equal(set, 'some')
  assert.equal(words.length, family === 4 ? 1 : 4)
  if (family === 6)
    return words.join() === [0x20010db8, 0, 0, 0x53].join() || (words[0]! & 0xffc0_0000) >>> 0 === 0xfe80_0000
  return words[0] === 0x0a000002 || words[0]! >>> 16 === 0xc0a8 || words[0]! >>> 23 === 0xcb00 >>> 7
}

/** A packet that is not cut inside its addresses, where a row stops at the first read and a look-up at its own. */
function whole(random: Random): Packet {
  const bytes = new Uint8Array(200)
  bytes.set(randomPacket(random).bytes.subarray(0, bytes.length))
  return { bytes, wireLength: bytes.length }
}

test('a set means its members joined by or, on every whole packet', (context) => {
  const random = seededRandom(context, 'ir/address-set')
  let matched = 0
  for (const head of [
    '',
    'src ',
    'dst ',
    'ip ',
    'ip src ',
    'arp ',
    'ip6 dst ',
    'not dst ',
    'vlan and src ',
    'mpls and ',
  ]) {
    const protocol = /ip6|arp|ip/.exec(head)?.[0]
    const members = MEMBERS.filter((member) => protocol === undefined || member.includes(':') === (protocol === 'ip6'))
    const before = /^(not|vlan and|mpls and) /.exec(head)?.[0] ?? ''
    const row = members.map((member) => `${head.slice(before.length)}net ${member}`).join(' or ')
    const [set, plain] = [graphOf(`${head}net @some`), graphOf(`${before}(${row})`)]
    const optimized = optimize(set)
    for (let round = 0; round < 2000; round++) {
      const packet = whole(random)
      const expected = interpret(plain, packet)
      assert.equal(interpret(set, packet, lookup), expected, `${head}net @some`)
      assert.equal(interpret(optimized, packet, lookup), expected, `${head}net @some, optimized`)
      if (expected !== null) matched++
    }
  }
  assert.ok(matched > 1000, `only ${matched} matches`)
})

test('src and dst may lie in different members', () => {
  const graph = graphOf('ip src and dst net @some')
  const frame = new Uint8Array(34)
  frame.set([8, 0, 0x45], 12)
  frame.set([10, 0, 0, 2, 192, 168, 1, 1], 26)
  const packet = { bytes: frame, wireLength: 34 }
  assert.equal(interpret(graph, packet, lookup), 0)
  frame[29] = 3
  assert.equal(interpret(graph, packet, lookup), null)
})

test('a look-up is one test, asked once, behind one bounds check', () => {
  const graph = graphOf('ip6 src net @some and (ip6 src net @some or udp)')
  assert.equal(
    printGraph(optimize(graph)),
    [
      'n4   38 bytes  else no match',
      'n3   [12:2] = 0x86dd  ? n2 : no match',
      'n2   [22:4] [26:4] [30:4] [34:4] in @some  ? rule 0 : no match',
      '',
    ].join('\n'),
  )
})

test('the reads of a look-up are those of all its words', () => {
  const found = graphOf('ip6 dst net @some').nodes.find(
    (node) => node.kind === 'decision' && node.test.operator === 'in',
  )
  assert.ok(found?.kind === 'decision')
  assert.deepEqual(readsOf(found.test), [{ base: null, bytes: 54 }])
})

test('a graph with sets is not run without a look-up', () => {
  const bytes = new Uint8Array(60)
  bytes[12] = 8
  assert.throws(
    () => interpret(graphOf('src net @some'), { bytes, wireLength: 60 }),
    /the set @some.*pass one to interpret/,
  )
})
