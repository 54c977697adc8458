import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compileFilter, compileRule, compileRules } from './compile.js'
import { FilterError } from './filter/index.js'
import { interpret, printGraph, UnsupportedError } from './ir/index.js'

/** The optimized graph of an expression, one line a node. */
function linesOf(expression: string): string[] {
  return printGraph(compileFilter(expression).optimized)
    .trim()
    .split('\n')
    .map((line) => line.replace(/^n\d+ +/, ''))
}

describe('the rule road', () => {
  it('gives every form of a rule', () => {
    const { filters, graph, optimized, program } = compileRule({ match: 'udp port 53', action: 'drop', name: 'dns' })
    assert.equal(filters[0]!.text, 'udp port 53')
    assert.ok(graph.nodes.length > 0 && optimized.nodes.length > 0)
    assert.equal(program.maps[0]!.maxEntries, 1)
  })

  it('matches every packet with an empty expression', () => {
    const { optimized } = compileFilter('')
    assert.equal(interpret(optimized, { bytes: new Uint8Array(0), wireLength: 0 }), 0)
  })

  it('has a counter for each rule of a list', () => {
    const rules = ['tcp', 'udp', 'icmp'].map((match) => ({ match, action: 'count' }) as const)
    assert.equal(compileRules(rules).program.maps[0]!.maxEntries, 3)
    assert.equal(compileRules([]).program.instructions.length > 0, true)
  })

  it('compiles a row of five thousand alternatives', () => {
    const expression = Array.from({ length: 5000 }, (_, index) => `udp port ${index + 1}`).join(' or ')
    const { optimized } = compileFilter(expression)
    const frame = new Uint8Array(60)
    frame.set([8, 0, 0x45], 12)
    frame[23] = 17
    new DataView(frame.buffer).setUint16(36, 4711)
    assert.equal(interpret(optimized, { bytes: frame, wireLength: 60 }), 0)
    new DataView(frame.buffer).setUint16(36, 5001)
    assert.equal(interpret(optimized, { bytes: frame, wireLength: 60 }), null)
  })

  it('refuses what is not compiled, at its place in the text', () => {
    const expression = 'udp and inbound'
    assert.throws(
      () => compileFilter(expression),
      (error) => {
        assert.ok(error instanceof UnsupportedError)
        assert.match(error.message, /^EN10MB frames do not say which way they went/)
        assert.equal(expression.slice(error.span.start, error.span.end), 'inbound')
        return true
      },
    )
    for (const other of ['gateway 10.0.0.1', 'ifindex 3', 'vpi 3', 'type mgt'])
      assert.throws(() => compileFilter(other), isRefusal, other)
    assert.throws(() => compileFilter('udp', { linkType: 'SUNATM' }), /link type SUNATM cannot be compiled for/)
  })

  it('refuses what stands behind a header that cannot carry it', () => {
    for (const expression of ['mpls and arp', 'mpls and vlan', 'pppoes and ether host 02:00:00:00:00:01'])
      assert.throws(() => compileFilter(expression), isRefusal, expression)
  })
})

describe('meanings that follow libpcap', () => {
  it('vlan moves what stands behind it, across `or` and out of `not`', () => {
    assert.deepEqual(linesOf('arp or (vlan and arp)').at(-1), '[16:2] = 0x806  ? rule 0 : no match')
    assert.deepEqual(linesOf('not vlan and arp').at(-1), '[16:2] = 0x806  ? rule 0 : no match')
  })

  it('asks of the right operand of a calculation no protocol', () => {
    assert.ok(linesOf('tcp[0] + 4 = 5').some((line) => line.startsWith('[23] = 6  ?')))
    assert.deepEqual(linesOf('4 + tcp[0] = 5').slice(1), [
      '(([14] & 15) << 2) + 15 bytes  else no match',
      '[(([14] & 15) << 2) + 14] = 1  ? rule 0 : no match',
    ])
  })

  it('reads a negative constant offset before the header', () => {
    assert.equal(linesOf('ip[-1] = 5').at(-1), '[13] = 5  ? rule 0 : no match')
  })

  it('reads no address behind a mask of nothing', () => {
    assert.deepEqual(linesOf('ip net 0.0.0.0/0'), ['14 bytes  else no match', '[12:2] = 0x800  ? rule 0 : no match'])
  })
})

function isRefusal(error: unknown): boolean {
  return error instanceof UnsupportedError || error instanceof FilterError
}
