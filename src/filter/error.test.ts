import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilterError, formatFilterError, parseFilter } from './index.js'

function report(text: string): string {
  try {
    parseFilter(text)
  } catch (error) {
    if (error instanceof FilterError) return formatFilterError(error)
    throw error
  }
  return assert.fail(`"${text}" is accepted`)
}

test('one sentence, the expression, a caret line under the fault', () => {
  assert.equal(
    report('tcp and host foo'),
    ['no host or network is called "foo"; write an address', '  tcp and host foo', '               ^^^'].join('\n'),
  )
  assert.equal(
    report('tcp and )'),
    [
      '")" cannot stand here; write a primitive such as tcp, host 192.0.2.1, port 53 or ip[8] < 64',
      '  tcp and )',
      '          ^',
    ].join('\n'),
  )
  assert.equal(
    report('tcp port'),
    ['the expression ends too early; write a port number or the name of a service', '  tcp port', '          ^'].join(
      '\n',
    ),
  )
})

test('what was expected stands below when the sentence does not hold it', () => {
  assert.equal(
    report('llc foo'),
    [
      'no LLC frame is called "foo"; write a name of the list below',
      '  llc foo',
      '      ^^^',
      '      expected i, s, u, rr, rnr, rej, ui, ua, disc, dm, sabme, test, xid, frmr',
    ].join('\n'),
  )
})

test('of a long expression the part around the fault is shown, the caret still under it', () => {
  const text = `${'tcp or '.repeat(50)}host foo${' or udp'.repeat(50)}`
  const [, shown, carets] = report(text).split('\n')
  assert.ok(shown!.length <= 100, shown)
  const start = carets!.indexOf('^')
  assert.equal(shown!.slice(start, carets!.length), 'foo')
})

test('line breaks and tabs do not move the caret', () => {
  const [, shown, carets] = report('tcp and\n\thost foo').split('\n')
  assert.equal(shown, '  tcp and  host foo')
  assert.equal(shown!.slice(carets!.indexOf('^'), carets!.length), 'foo')
})
