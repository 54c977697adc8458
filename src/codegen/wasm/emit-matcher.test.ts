import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { layBundle } from '../../../test/support/bundle.js'
import {
  binary,
  buildGraph,
  type Condition,
  compare,
  constant,
  type Graph,
  interpret,
  load,
  type Membership,
  optimize,
  optimizeRules,
  type Packet,
  type Value,
  wireLength,
} from '../../ir/index.js'
import { DESCRIPTOR_BYTES } from '../../memory/index.js'
import { isInSet, type SetContents } from '../../policy/index.js'
import { createMemory, encodeModule, isValidModule, printModule } from '../../wasm/index.js'
import { setImage } from '../ebpf/set-maps.js'
import { NO_RULE } from './bundle.js'
import { emitMatcher } from './emit-matcher.js'
import { loadMatcher } from './load-matcher.js'

const at = (offset: number, size: 1 | 2 | 4 = 1) => load({ base: null, offset }, 0, size)
const is = (value: Value, number: number) => compare(value, '=', constant(number))
const all = (...operands: readonly Condition[]): Condition => ({ kind: 'all', operands })
const any = (...operands: readonly Condition[]): Condition => ({ kind: 'any', operands })
const not = (operand: Condition): Condition => ({ kind: 'not', operand })

const ascending = (length: number, from = 0) => Uint8Array.from({ length }, (_, index) => (from + index) & 255)
const packet = (bytes: Uint8Array, wireLength = bytes.length): Packet => ({ bytes, wireLength })
const LENGTHS = Array.from({ length: 80 }, (_, length) => packet(ascending(length), length + 7))

function verdictsOf(graph: Graph, packets: readonly Packet[], set: SetContents = NOTHING): number[] {
  const matcher = emitMatcher(graph)
  const images = matcher.images.map((image) => (image.kind === 'table' ? image.image : setImage(set, image.family)))
  const bundle = layBundle(packets, images)
  bundle.verdicts.fill(-9)
  loadMatcher(matcher, bundle.memory, bundle.images)(bundle.descriptorAt(0), bundle.count, bundle.verdictAt(0))
  return [...bundle.verdicts]
}

const NONE = { words: new Uint32Array(0), lengths: new Uint8Array(0) }
const NOTHING: SetContents = { v4: NONE, v6: NONE }

/** Asserts that verdicts are the interpreter's, with and without the passes before. */
function assertAgrees(rules: readonly Condition[], packets: readonly Packet[]): void {
  const graph = buildGraph(rules)
  const wanted = packets.map((each) => interpret(graph, each) ?? NO_RULE)
  assert.deepEqual(verdictsOf(graph, packets), wanted)
  assert.deepEqual(verdictsOf(optimize(graph), packets), wanted)
  assert.deepEqual(verdictsOf(optimizeRules(rules), packets), wanted)
}

const headerLength = binary('<<', binary('&', at(3), constant(15)), constant(2))
const behind = (offset: number, size: 1 | 2 | 4) => load({ base: headerLength, offset }, 0, size)

describe('a verdict', () => {
  it('is the first rule that matches, and a read that fails goes on with the next', () => {
    assertAgrees([is(at(40, 4), 0x28292a2b), is(at(0), 9), is(at(10), 10), is(at(0), 0)], LENGTHS)
  })

  it('is found without a decision where every packet or none matches', () => {
    assertAgrees([all()], LENGTHS)
    assertAgrees([any()], LENGTHS)
    assertAgrees([is(at(200), 1), all(), is(at(0), 0)], LENGTHS)
  })

  it('knows more rules than a byte holds', () => {
    const rules = Array.from({ length: 600 }, (_, index) => is(at(0, 2), index))
    const packets = [0, 1, 255, 256, 511, 599, 600, 65535].map((word) => packet(Uint8Array.of(word >> 8, word & 255)))
    assertAgrees(rules, packets)
  })
})

describe('values', () => {
  it('are what the interpreter computes, on every length of packet', () => {
    assertAgrees([all(is(at(3), 3), is(behind(14, 2), 0x1a1b))], LENGTHS)
    assertAgrees([compare(behind(20, 4), '>', at(4, 4)), compare(behind(2, 2), '<=', wireLength())], LENGTHS)
    assertAgrees([compare(binary('-', behind(2, 2), at(10, 2)), '>=', wireLength())], LENGTHS)
  })

  it('shift by more than 31 to 0, and end the rule where they divide by zero', () => {
    const packets = [0, 1, 31, 32, 33, 64, 200].map((by) => packet(Uint8Array.of(by, 0xff, 0xee, 0xdd, 0xcc)))
    assertAgrees([is(binary('<<', at(1, 4), at(0)), 0), is(binary('>>', at(1, 4), at(0)), 0xffeeddcc)], packets)
    assertAgrees([not(is(binary('/', at(1, 4), at(0)), 5)), is(at(1), 0xff)], packets)
    assertAgrees([is(binary('+', at(1), binary('%', at(1, 4), at(0))), 0xff), is(at(0), 0)], packets)
  })

  it('that lie beyond 4 GiB are not read', () => {
    const far = load({ base: at(0, 4), offset: 0xffff_fff0 }, 0, 4)
    const wide = load({ base: at(0, 4), offset: 8 }, 0, 4)
    const packets = [0, 4, 0xffff_fff4, 0xffff_ffff].map((base) => {
      const bytes = ascending(16)
      new DataView(bytes.buffer).setUint32(0, base)
      return packet(bytes)
    })
    assertAgrees([not(is(far, 1)), is(wide, 0x08090a0b), is(wide, 0x0c0d0e0f), is(at(5), 5)], packets)
  })
})

describe('questions', () => {
  const a = is(at(0), 1)
  const b = is(at(1), 1)
  const c = compare(at(2), '>', constant(0))
  const d = is(binary('&', at(3), constant(1)), 0)
  const BITS = Array.from({ length: 16 }, (_, bits) =>
    packet(Uint8Array.from([0, 1, 2, 3], (bit) => (bits >> bit) & 1)),
  )

  it("joined in any way have the interpreter's answer", () => {
    for (const rule of [
      all(a, b, c, d),
      any(a, b, c, d),
      any(all(a, b), all(c, d)),
      all(any(a, b), any(c, d)),
      all(a, not(b), any(c, not(d))),
      any(all(a, b), all(not(a), c)),
      not(all(any(not(a), b), not(all(c, d)))),
    ]) {
      assertAgrees([rule], BITS)
      assertAgrees([rule, c, not(rule)], BITS)
    }
  })
})

describe('sets', () => {
  const membership = (family: 4 | 6, words: readonly Value[]): Membership => {
    return { operator: 'in', set: 'bad', family, words, key: `${words.map(({ key }) => key).join()} in @bad` }
  }
  const inBad4: Condition = { kind: 'test', test: membership(4, [at(0, 4)]) }
  const inBad6: Condition = { kind: 'test', test: membership(6, [at(0, 4), at(4, 4), at(8, 4), at(12, 4)]) }

  it('are looked up in the images of their tables, as the interpreter is told', () => {
    const contents = {
      v4: { words: Uint32Array.of(0x0a0b0c0d, 0xf0f10000), lengths: Uint8Array.of(32, 16) },
      v6: { words: Uint32Array.of(0x0a0b0c0d, 0x0e0f1011, 0, 0), lengths: Uint8Array.of(64) },
    }
    const rules = [all(inBad4, is(at(4), 14), not(inBad6)), inBad6, all(inBad4, is(at(6), 0xf6))]
    const packets = [ascending(20, 10), ascending(16, 10), ascending(20), ascending(10), ascending(20, 0xf0)]
    const graph = optimizeRules(rules)
    const lookup = (_: string, family: 4 | 6, words: readonly number[]) => isInSet(contents, family, words)
    const wanted = packets.map((bytes) => interpret(graph, packet(bytes), lookup) ?? NO_RULE)
    assert.deepEqual(wanted, [1, 1, -1, -1, 2])
    const laid = packets.map((bytes) => packet(bytes))
    assert.deepEqual(verdictsOf(graph, laid, contents), wanted)
  })
})

describe('tables', () => {
  it('of rules of one shape are asked once, and the first rule of all that match stays', () => {
    const port = (word: number) => is(at(4, 2), word)
    const shapes = Array.from({ length: 40 }, (_, index) => all(is(at(0, 4), 0x0a000000 + index * 7), port(index % 3)))
    const rules = [is(at(6), 9), ...shapes, is(at(6), 8), all(is(at(0, 4), 0xff000000), port(1)), all()]
    const packets = [0x0a000000, 0x0a000007, 0x0a00000e, 0x0a000001, 0xff000000].flatMap((address) =>
      [0, 1, 2].flatMap((word) =>
        [7, 8, 9].map((last) => {
          const bytes = Uint8Array.of(0, 0, 0, 0, 0, word, last)
          new DataView(bytes.buffer).setUint32(0, address)
          return packet(bytes)
        }),
      ),
    )
    assert.ok(emitMatcher(optimizeRules(rules)).images.length > 0, 'the rules became a table')
    assertAgrees(rules, [...packets, packet(new Uint8Array(5))])
  })
})

describe('the module', () => {
  const graph = optimize(buildGraph([is(at(0), 1)]))

  it('judges no frame where there is none, and writes no verdict', () => {
    const bundle = layBundle([packet(ascending(4))])
    bundle.verdicts.fill(-9)
    loadMatcher(emitMatcher(graph), bundle.memory)(0, 0, bundle.verdictAt(0))
    assert.deepEqual([...bundle.verdicts], [-9])
  })

  it('takes shared memory with its maximum', () => {
    const memory = createMemory(1, 2, true)
    const judge = loadMatcher(emitMatcher(graph, { memory: { shared: true, maximumPages: 2 } }), memory)
    const words = new Int32Array(memory.buffer)
    words.set([64, 1, 1, 0, NO_RULE])
    words[16] = 1
    judge(0, 1, DESCRIPTOR_BYTES)
    assert.equal(words[DESCRIPTOR_BYTES / 4], 0)
  })

  it('is right, valid and can be printed for thousands of decisions in a row', () => {
    const rules = Array.from({ length: 3000 }, (_, index) =>
      all(is(at(index % 60, 4), index * 13), is(at(index % 50), 7)),
    )
    const packets = [0, 1, 1500, 2999].map((index) => {
      const bytes = new Uint8Array(64).fill(7)
      new DataView(bytes.buffer).setUint32(index % 60, index * 13)
      return packet(bytes)
    })
    assertAgrees([...rules, is(at(63), 7)], packets)
    const { module } = emitMatcher(optimize(buildGraph(rules)))
    assert.ok(isValidModule(encodeModule(module)))
    assert.ok(printModule(module).split('\n').length > 3000)
  })
})
