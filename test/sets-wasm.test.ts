import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { emitMatcher, loadMatcher, placeMatcher, setImage } from '../src/codegen/index.js'
import { compileFilter } from '../src/compile.js'
import type { Graph } from '../src/ir/index.js'
import { BUNDLE_DESCRIPTORS, createSpace } from '../src/memory/index.js'
import type { SetContents } from '../src/policy/index.js'
import { layBundle } from './support/bundle.js'
import { openBench } from './support/engine.js'
import { seededRandom } from './support/random.js'
import {
  addressNear,
  contentsOf,
  describeList,
  type Family,
  isCovered,
  listOf,
  randomPrefixes,
  scattered,
} from './support/random-prefixes.js'

const ROUNDS = 60
const PROBES = 400
const SOURCE = { 4: 26, 6: 22 } as const
const SET = 'some'

describe('look-ups of sets in WebAssembly', () => {
  for (const family of [4, 6] as const) {
    it(`find what a search through all IPv${family} prefixes finds`, (context) => {
      const random = seededRandom(context, 'sets-wasm')
      const graph = graphOf(family)
      let found = 0
      for (let round = 0; round < ROUNDS; round++) {
        const list = round === 0 ? scattered(random, family, 5000) : randomPrefixes(random, family)
        const probes = Array.from({ length: PROBES }, () => addressNear(random, list, family))
        const answers = judge(graph, family, probes, contentsOf(family, list))
        probes.forEach((address, index) => {
          const expected = isCovered(list, address)
          const pair = `${address.map((word) => word.toString(16))} in ${describeList(list)}`
          assert.equal(answers[index], expected, pair)
          if (expected) found++
        })
      }
      assert.ok(found > (ROUNDS * PROBES) / 20, `only ${found} addresses were in their set`)
    })
  }

  it('find single addresses among hundreds of thousands, and nothing beside them', (context) => {
    const random = seededRandom(context, 'sets-wasm')
    const words = Uint32Array.from({ length: 400_000 }, (_, index) => {
      return index % 4 > 0 ? random.word() : (0x0a000000 + random.below(1 << 20)) >>> 0
    })
    const members = new Set(words)
    const list = { words, lengths: new Uint8Array(words.length).fill(32) }
    const probes = Array.from({ length: 50_000 }, (_, probe) => [
      probe % 8 === 0 ? random.word() : (words[random.below(words.length)]! + random.below(3) - 1) >>> 0,
    ])
    const answers = judge(graphOf(4), 4, probes, contentsOf(4, list))
    assert.deepEqual(
      answers,
      probes.map(([address]) => members.has(address!)),
    )
  })
})

describe('a placed matcher', () => {
  it('looks into what a set holds now, and frees what it held', (context) => {
    const random = seededRandom(context, 'sets-wasm')
    const bench = openBench({ 2048: 64 })
    const { space } = bench
    const before = space.layout()
    const initial = contentsOf(4, randomPrefixes(random, 4))
    const matcher = placeMatcher(space, 'blocked', graphOf(4), new Map([[SET, initial]]))
    const [bundle, verdicts] = [bench.bundle('probes'), bench.bundle('verdicts')]
    for (let round = 0, contents = initial; round < 30; round++) {
      const list = listOf(contents, 4)
      const probes = Array.from({ length: 64 }, () => addressNear(random, list, 4))
      assert.equal(
        bench.fill(
          bundle,
          probes.map((address) => frameOf(4, address)),
        ),
        64,
      )
      matcher.judge(bundle + BUNDLE_DESCRIPTORS, 64, verdicts)
      probes.forEach((address, index) => {
        assert.equal(space.words[verdicts / 4 + index] === 0, isCovered(list, address), describeList(list))
      })
      bench.empty(bundle)
      contents = contentsOf(4, randomPrefixes(random, 4))
      matcher.replaceSet(SET, contents)
    }
    matcher.close()
    space.free('test probes')
    space.free('test verdicts')
    assert.deepEqual(space.layout(), before)
  })

  it('asks for the contents of its sets, and leaves nothing behind where there is no room for them', (context) => {
    const random = seededRandom(context, 'sets-wasm')
    const space = createSpace(1 << 17)
    assert.throws(() => placeMatcher(space, 'blocked', graphOf(4)), /@some: nothing says what this set holds/)
    const sets = new Map([[SET, contentsOf(4, scattered(random, 4, 100))]])
    assert.throws(
      () => placeMatcher(space, 'blocked', graphOf(4), sets),
      /the memory has no room for blocked set some\/4/,
    )
    assert.deepEqual(space.layout().regions, [])
  })
})

function graphOf(family: Family): Graph {
  const match = family === 4 ? `ip src net @${SET}` : `ip6 src net @${SET}`
  return compileFilter(match, { sets: new Set([SET]) }).optimized
}

function judge(graph: Graph, family: Family, addresses: readonly number[][], set: SetContents): boolean[] {
  const packets = addresses.map((address) => {
    const bytes = frameOf(family, address)
    return { bytes, wireLength: bytes.length }
  })
  const matcher = emitMatcher(graph)
  const images = matcher.images.map((image) => (image.kind === 'table' ? image.image : setImage(set, image.family)))
  const bundle = layBundle(packets, images)
  const judge = loadMatcher(matcher, bundle.memory, bundle.images)
  judge(bundle.descriptorAt(0), bundle.count, bundle.verdictAt(0))
  return Array.from(bundle.verdicts, (verdict) => verdict === 0)
}

function frameOf(family: Family, address: readonly number[]): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(60)
  const view = new DataView(frame.buffer)
  view.setUint16(12, family === 4 ? 0x0800 : 0x86dd)
  frame[14] = family === 4 ? 0x45 : 0x60
  address.forEach((word, index) => {
    view.setUint32(SOURCE[family] + 4 * index, word)
  })
  return frame
}
