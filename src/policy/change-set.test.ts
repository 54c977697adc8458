import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Random, seededRandom } from '../../test/support/random.js'
import { changeContents, isInSet, readSet, type SetContents } from './index.js'

const CHANGES = 400
const PROBES = 200

const read = (lines: readonly string[]) => readSet(Buffer.from(lines.join('\n')), 'test')

/** Prefixes that often lie in one another, of a small part of both families. */
function randomSet(random: Random): SetContents {
  const lines = Array.from({ length: random.below(12) }, () => {
    const [host, bits] = [random.below(256), random.below(9)]
    const masked = host & (0xff00 >> bits)
    if (random.below(2) === 0) return `10.0.0.${masked}/${24 + bits}`
    const third = `2001:db8::${masked.toString(16)}`
    return bits === 8 ? `${third}:0:${masked.toString(16)}` : `${third}:0:0/${88 + bits}`
  })
  return read(lines)
}

const PLACES = [4, 6] as const

function probe(random: Random, family: 4 | 6): number[] {
  const host = random.below(256)
  return family === 4 ? [0x0a000000 + host] : [0x20010db8, 0, host, random.pick([0, host])]
}

describe('a set that is changed', () => {
  it('has what was not removed, and what was added', (context) => {
    const random = seededRandom(context, 'change-set')
    let contents = randomSet(random)
    for (let change = 0; change < CHANGES; change++) {
      const [before, add, remove] = [contents, randomSet(random), randomSet(random)]
      contents = changeContents(before, { add, remove })
      for (let number = 0; number < PROBES; number++) {
        const family = random.pick(PLACES)
        const address = probe(random, family)
        const has = (set: SetContents) => isInSet(set, family, address)
        assert.equal(has(contents), has(add) || (has(before) && !has(remove)), `${address}`)
      }
    }
  })

  it('has its prefixes as a list of them that is read has', () => {
    const changed = changeContents(read(['10.0.0.0/29', '192.0.2.1', '192.0.2.3', '2001:db8::/32']), {
      remove: read(['10.0.0.1', '10.0.0.6/31', '192.0.2.0/31', '2001:db8:8000::/33']),
      add: read(['192.0.2.0/24', '203.0.113.9']),
    })
    const left = ['10.0.0.0', '10.0.0.2/31', '10.0.0.4/31', '2001:db8::/33']
    assert.deepEqual(changed, read([...left, '192.0.2.0/24', '203.0.113.9']))
  })

  it('is the same list where nothing changes', () => {
    const contents = read(['10.0.0.0/8', '2001:db8::1'])
    assert.deepEqual(changeContents(contents, {}), contents)
    assert.equal(changeContents(contents, { add: read(['2001:db8::2']) }).v4, contents.v4)
    assert.deepEqual(changeContents(contents, { add: read(['10.1.0.0/16']), remove: read(['11.0.0.0/8']) }), contents)
  })
})
