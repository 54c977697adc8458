import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImage, setMapName } from '../src/codegen/index.js'
import { compileRule } from '../src/compile.js'
import { prepare } from '../src/ebpf/index.js'
import { prepareTestRun } from '../src/kernel/index.js'
import { loadProgram, replaceContents } from '../src/loader/index.js'
import type { SetContents } from '../src/policy/index.js'
import { seededRandom } from './support/random.js'
import {
  addressNear,
  contentsOf,
  describeList,
  type Family,
  isCovered,
  listOf,
  MOST_PREFIXES,
  randomPrefixes,
  scattered,
} from './support/random-prefixes.js'
import { skipUnless } from './support/require.js'

const ROUNDS = 60
const PROBES = 400
const DROP = 1
const SOURCE = { 4: 26, 6: 22 } as const
const SET = 'some'

describe('look-ups of sets', () => {
  for (const family of [4, 6] as const) {
    it(`find what a search through all IPv${family} prefixes finds`, { skip: skipUnless('root') }, (context) => {
      const random = seededRandom(context, 'sets-kernel')
      let found = 0
      const first = contentsOf(family, scattered(random, family, MOST_PREFIXES))
      const { loaded, run, frame } = loadedSet(family, first)
      for (let round = 0, contents = first; round < ROUNDS; round++) {
        const prefixes = listOf(contents, family)
        for (let probe = 0; probe < PROBES; probe++) {
          const words = addressNear(random, prefixes, family)
          writeAddress(frame, family, words)
          const expected = isCovered(prefixes, words)
          assert.equal(
            run() === DROP,
            expected,
            `${words.map((word) => word.toString(16))} in ${describeList(prefixes)}`,
          )
          if (expected) found++
        }
        contents = contentsOf(family, randomPrefixes(random, family))
        replaceContents(loaded.maps.get(setMapName(SET, family))!, setImage(contents, family))
      }
      loaded.close()
      assert.ok(found > (ROUNDS * PROBES) / 20, `only ${found} addresses were in their set`)
    })
  }

  it('find single addresses among hundreds of thousands, and nothing beside them', {
    skip: skipUnless('root'),
  }, (context) => {
    const random = seededRandom(context, 'sets-kernel')
    // Some scattered over all, some dense; a stride that favours one bucket would leave most of them to the ranges.
    const words = Uint32Array.from({ length: MANY }, (_, index) => {
      return index % 4 > 0 ? random.word() : (0x0a000000 + random.below(1 << 20)) >>> 0
    })
    const members = new Set(words)
    const list = { words, lengths: new Uint8Array(MANY).fill(32) }
    const { loaded, run, frame } = loadedSet(4, contentsOf(4, list))
    const view = new DataView(frame.buffer)
    let absent = 0
    for (let probe = 0; probe < MANY_PROBES; probe++) {
      const address = probe % 8 === 0 ? random.word() : (words[random.below(MANY)]! + random.below(3) - 1) >>> 0
      view.setUint32(SOURCE[4], address)
      assert.equal(run() === DROP, members.has(address), address.toString(16))
      if (!members.has(address)) absent++
    }
    loaded.close()
    assert.ok(absent > MANY_PROBES / 10 && absent < MANY_PROBES * 0.9, `${absent} addresses were in no set`)
  })

  it('are asked in the interpreter as in the kernel', { skip: skipUnless('root') }, (context) => {
    const random = seededRandom(context, 'sets-kernel')
    for (const family of [4, 6] as const) {
      const list = randomPrefixes(random, family)
      const { loaded, run, frame } = loadedSet(family, contentsOf(family, list))
      const machine = prepare(loaded.program, { maxFrameBytes: frame.length })
      for (let probe = 0; probe < PROBES; probe++) {
        writeAddress(frame, family, addressNear(random, list, family))
        const outcome = machine.run(frame)
        assert.equal(outcome.kind === 'return' ? outcome.value : outcome.reason, run())
      }
      loaded.close()
    }
  })

  it('refuse contents that are larger than the room the set was given', { skip: skipUnless('root') }, () => {
    const few = contentsOf(4, { words: Uint32Array.of(1), lengths: Uint8Array.of(32) })
    const words = Uint32Array.from({ length: 20_000 }, (_, index) => index * 70_001)
    const many = contentsOf(4, { words, lengths: new Uint8Array(words.length).fill(32) })
    const { loaded, run, frame } = loadedSet(4, few)
    const map = loaded.maps.get(setMapName(SET, 4))!
    assert.throws(() => replaceContents(map, setImage(many, 4)), /RangeError: set4_some has room for \d+ bytes.*load/)
    writeAddress(frame, 4, [1])
    assert.equal(run(), DROP, 'the set is what it was')
    loaded.close()
  })
})

/** Enough for a hash table before the ranges. */
const MANY = 400_000
const MANY_PROBES = 100_000

function frameOf(family: Family): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(60)
  new DataView(frame.buffer).setUint16(12, family === 4 ? 0x0800 : 0x86dd)
  frame[14] = family === 4 ? 0x45 : 0x60
  return frame
}

function writeAddress(frame: Uint8Array, family: Family, words: readonly number[]): void {
  const view = new DataView(frame.buffer)
  words.forEach((word, index) => {
    view.setUint32(SOURCE[family] + 4 * index, word)
  })
}

/** A program that drops what comes from the set, the frame that it judges, and one judgement. */
function loadedSet(family: Family, contents: SetContents) {
  const { program } = compileRule(
    { match: `${family === 4 ? 'ip' : 'ip6'} src net @${SET}`, action: 'drop' },
    { sets: new Set([SET]), setContents: new Map([[SET, contents]]), counters: false },
  )
  const loaded = loadProgram(program)
  const frame = frameOf(family)
  return { loaded, frame, run: prepareTestRun({ fd: loaded.fd, data: frame }) }
}
