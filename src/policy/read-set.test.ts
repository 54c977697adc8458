import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Random, seededRandom } from '../../test/support/random.js'
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../filter/index.js'
import { isInSet, loadSets, policy, readSet, type SetContents, SetError } from './index.js'

const read = (text: string) => readSet(Buffer.from(text), 'list.txt')

/** Prefixes as text, in the order of the table. */
function members({ v4, v6 }: SetContents): string[] {
  const four = Array.from(v4.lengths, (length, index) => `${formatIpv4(v4.words[index]!)}/${length}`)
  const wordsOf = (index: number) => [...v6.words.subarray(4 * index, 4 * index + 4)]
  return [...four, ...Array.from(v6.lengths, (length, index) => `${formatIpv6(wordsOf(index))}/${length}`)]
}

function refusal(text: string): string {
  try {
    read(text)
  } catch (error) {
    if (error instanceof SetError) return error.message
    throw error
  }
  throw new assert.AssertionError({ message: `accepted: ${text}` })
}

describe('a list of addresses', () => {
  it('has one a line, with comments, both families and the line ends of every system', () => {
    const text =
      '\ufeff# ours\r\n192.0.2.7\r\n\r\n  10.0.0.0/8\t# all of it\r\n2001:db8::/32 ; and this\n::ffff:192.0.2.1\n;\n255.255.255.255'
    assert.deepEqual(members(read(text)), [
      '10.0.0.0/8',
      '192.0.2.7/32',
      '255.255.255.255/32',
      '::ffff:c000:201/128',
      '2001:db8::/32',
    ])
    assert.deepEqual(members(read('')), [])
  })

  it('is sorted, without repetitions and without what lies inside of something else', () => {
    const text =
      '10.1.0.0/16\n10.0.0.0/8\n10.0.0.0/8\n9.255.255.255\n10.255.255.255\n11.0.0.0\n::2\n::/127\n::1\n::/126\n'
    assert.deepEqual(members(read(text)), ['9.255.255.255/32', '10.0.0.0/8', '11.0.0.0/32', '::/126'])
    assert.deepEqual(members(read('0.0.0.0/0\n1.2.3.4\n::/0\nffff::1')), ['0.0.0.0/0', '::/0'])
  })

  it('is refused at its first broken line, whatever follows', () => {
    assert.equal(
      refusal('192.0.2.7\n# fine\n192.0.2.300\n192.0.2.400\n'),
      'list.txt:3: "192.0.2.300" is no address or prefix; write one such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32',
    )
    assert.equal(
      refusal('\r\n192.0.2.1/24'),
      'list.txt:2: "192.0.2.1/24" has bits set behind its prefix; write 192.0.2.0/24',
    )
    assert.match(refusal('2001:db8::1/32'), /write 2001:db8::\/32$/)
    for (const line of [
      ...[
        '1.2.3',
        '1.2.3.4.5',
        '1.2.3.',
        '.1.2.3',
        '1..2.3',
        '01.2.3.4',
        '1.2.3.4/33',
        '1.2.3.4/',
        '1.2.3.4/01',
        '1.2.3.-4',
      ],
      ...[
        '1.2.3.4 5.6.7.8',
        '1.2.3.4-1.2.3.9',
        '1.2.3.4/24/8',
        'example.com',
        '1.2.3.4,',
        '１.2.3.4',
        '1.2.3.256',
        '\u00001.2.3.4x',
      ],
      ...[
        ':',
        ':::',
        '1::2::3',
        '1:2:3:4:5:6:7',
        '1:2:3:4:5:6:7:8:9',
        '12345::',
        'g::',
        '::1/129',
        '1:2:3:4:5:6:7:8::',
      ],
      ...[':1::', '1:', '::1:', '::1.2.3', '::1.2.3.4.5', 'fe80::1%eth0', '[::1]', '::/-1', '1::2:3:4:5:6:7:8'],
    ])
      assert.match(refusal(`${line}\n`), /^list\.txt:1: .* is no address or prefix/, line)
  })

  it('reads every address that it writes, as the filter language does', (context) => {
    const random = seededRandom(context, 'policy/read-set')
    for (let round = 0; round < 3000; round++) {
      const words = [0, 0, 0, 0].map(() => random.pick([0, 0, 1, 0xffff, 0x10000, random.word()]))
      const text =
        random.below(2) === 0
          ? formatIpv6(words)
          : words
              .map((word) => `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16).padStart(4, '0')}`)
              .join(':')
      assert.deepEqual([...read(text).v6.words], parseIpv6(text), text)
      const four = formatIpv4(words[3]!)
      assert.deepEqual([...read(four).v4.words], [parseIpv4(four)!.word], four)
    }
  })

  it('holds what its lines hold, of random lists', (context) => {
    const random = seededRandom(context, 'policy/read-set')
    let found = 0
    for (let round = 0; round < 60; round++) {
      const lines = Array.from({ length: random.below(200) }, () => randomPrefix(random))
      const contents = read(lines.map(({ text }) => text).join('\n'))
      for (let probe = 0; probe < 200; probe++) {
        const family = random.pick([4, 6] as const)
        const words = randomWords(random, family)
        const expected = lines.some((line) => line.family === family && startsWith(words, line.words, line.length))
        assert.equal(isInSet(contents, family, words), expected, words.map((word) => word.toString(16)).join(':'))
        if (expected) found++
      }
    }
    assert.ok(found > 500, `only ${found} were found`)
  })

  it('may have a million lines; the millionth broken one is named', () => {
    const line = (index: number) => `${11 + (index >>> 16)}.${(index >>> 8) & 255}.${index & 255}.7\n`
    const text = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => line(index ^ 0x5555)).join(''))
    const { v4, v6 } = readSet(text, 'million')
    assert.equal(v4.lengths.length, 1_000_000)
    assert.equal(v6.lengths.length, 0)
    assert.ok(v4.words.every((word, index) => index === 0 || word > v4.words[index - 1]!))
    text.write('x', text.length - 3)
    assert.throws(() => readSet(text, 'million'), /^SetError: million:1000000: /)
  })
})

describe('the sets of a policy', () => {
  it('come from the policy and from files beside it; a file that is not there is named', (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-sets-'))
    context.after(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'list.txt'), '192.0.2.0/25\n')
    const sets = loadSets(
      policy({ sets: { inline: ['::1', '10.0.0.1'], file: { file: 'list.txt' }, none: [] } }),
      folder,
    )
    assert.deepEqual(
      [...sets].map(([name, contents]) => [name, members(contents)]),
      [
        ['inline', ['10.0.0.1/32', '::1/128']],
        ['file', ['192.0.2.0/25']],
        ['none', []],
      ],
    )
    writeFileSync(join(folder, 'list.txt'), '192.0.2.0/25\nbroken\n')
    const broken = policy({ sets: { file: { file: 'list.txt' } } })
    assert.throws(() => loadSets(broken, folder), /^SetError: list\.txt:2: "broken" is no address/)
    const missing = policy({ sets: { file: { file: 'no.txt' } } })
    assert.throws(
      () => loadSets(missing, folder),
      /^SetError: no\.txt: .* "file" cannot be read \(ENOENT\); check the path/,
    )
  })
})

/** Few different words, so that prefixes meet and nest. */
function randomWords(random: Random, family: 4 | 6): number[] {
  return Array.from(
    { length: family === 4 ? 1 : 4 },
    () => (random.pick([0x0a000000, 0xc0000200, 0]) | (random.word() & random.pick([0, 3, 0xff, 0xffff]))) >>> 0,
  )
}

function randomPrefix(random: Random) {
  const family = random.pick([4, 6] as const)
  const length = random.below((family === 4 ? 32 : 128) + 1)
  const words = randomWords(random, family).map((word, index) => masked(word, length - 32 * index))
  const text = `${family === 4 ? formatIpv4(words[0]!) : formatIpv6(words)}/${length}`
  return { family, length, words, text }
}

function masked(word: number, length: number): number {
  return length <= 0 ? 0 : length >= 32 ? word : (word & (0xffffffff << (32 - length))) >>> 0
}

function startsWith(words: readonly number[], prefix: readonly number[], length: number): boolean {
  return words.every((word, index) => masked(word, length - 32 * index) === prefix[index])
}
