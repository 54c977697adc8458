import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FilterError } from './error.js'
import { MAX_SOURCE_LENGTH, tokenize } from './lexer.js'

/** Kind and text of each token but the last. */
function tokensOf(source: string): string[] {
  return tokenize(source)
    .slice(0, -1)
    .map((token) => `${token.kind} ${token.text}`)
}

function numberOf(source: string): number {
  const [token] = tokenize(source)
  assert.equal(token?.kind, 'number')
  return token.value
}

test('spellings of one meaning become one symbol', () => {
  assert.deepEqual(tokensOf('ether && link || ! wlan == es-is length'), [
    ...['symbol link', 'symbol and', 'symbol link', 'symbol or', 'symbol not', 'symbol link'],
    ...['symbol =', 'symbol esis', 'symbol len'],
  ])
})

test('numbers are decimal, hexadecimal, octal, or a constant', () => {
  assert.deepEqual(['80', '0x50', '0X5A', '0120', '4294967295'].map(numberOf), [80, 0x50, 0x5a, 0o120, 0xffffffff])
  assert.deepEqual(['tcpflags', 'tcp-cwr', 'icmp-echo', 'icmp6-routersolicit'].map(numberOf), [13, 0x80, 8, 133])
})

test('the longest token wins', () => {
  assert.deepEqual(tokensOf('10 10.1 10.1.2 10.1.2.3 10.1.2.3.4 80-90 tcp-foo'), [
    ...['number 10', 'ipv4 10.1', 'ipv4 10.1.2', 'ipv4 10.1.2.3', 'name 10.1.2.3.4', 'name 80-90', 'name tcp-foo'],
  ])
  assert.deepEqual(tokensOf('ip[8]-1'), ['symbol ip', 'symbol [', 'number 8', 'symbol ]', 'symbol -', 'number 1'])
  assert.deepEqual(tokensOf('ether[12:2]'), [
    ...['symbol link', 'symbol [', 'number 12', 'symbol :', 'number 2', 'symbol ]'],
  ])
})

test('a MAC address in each of its forms', () => {
  const forms = ['a:b:c:d:e:f', '0a-0b-0c-0d-0e-0f', '0A.0B.0C.0D.0E.0F', '0a0b.0c0d.0e0f', '0a0b0c0d0e0f']
  for (const form of forms) {
    const [token] = tokenize(form)
    assert.equal(token?.kind, 'mac', form)
    assert.deepEqual(token.bytes, [10, 11, 12, 13, 14, 15], form)
  }
  assert.deepEqual(tokensOf('$0e $f'), ['station $0e', 'station $f'])
})

test('an IPv6 address, also with a dotted quad', () => {
  const forms: [string, number[]][] = [
    ['::', [0, 0, 0, 0]],
    ['::1', [0, 0, 0, 1]],
    ['2001:db8::53', [0x20010db8, 0, 0, 0x53]],
    ['1:2:3:4:5:6:7:8', [0x10002, 0x30004, 0x50006, 0x70008]],
    ['fe80::7788:99ff:254.170.187.204', [0xfe800000, 0, 0x778899ff, 0xfeaabbcc]],
    ['1:2:3:4:5:6:7::', [0x10002, 0x30004, 0x50006, 0x70000]],
  ]
  for (const [form, words] of forms) {
    const [token, end] = tokenize(form)
    assert.equal(token?.kind, 'ipv6', form)
    assert.deepEqual(token.words, words, form)
    assert.equal(end?.kind, 'end')
  }
})

test('a backslash makes any word a name', () => {
  assert.deepEqual(tokensOf('\\tcp \\host (\\a/b)'), ['name tcp', 'name host', 'symbol (', 'name a/b', 'symbol )'])
})

test('what no token can hold is refused at its place', () => {
  const cases: [string, number, RegExp][] = [
    ['tcp # udp', 4, /"#" has no meaning/],
    ['port 089', 5, /octal/],
    ['port 4294967296', 5, /32 bits/],
    ['ip6 host fe80::10.256.30.40', 9, /no IPv6 address/],
    ['ether host ab:cd:ef:0g', 11, /not complete/],
    ['tcp 💧', 4, /"💧" has no meaning/],
  ]
  for (const [source, start, message] of cases) {
    assert.throws(
      () => tokenize(source),
      (error) => error instanceof FilterError && error.span.start === start && message.test(error.message),
      source,
    )
  }
})

test('an expression of a megabyte is read, a longer one refused', () => {
  assert.equal(tokenize('tcp '.repeat(MAX_SOURCE_LENGTH / 4)).length, MAX_SOURCE_LENGTH / 4 + 1)
  assert.throws(() => tokenize(' '.repeat(MAX_SOURCE_LENGTH + 1)), /longer than 1048576 characters/)
})
