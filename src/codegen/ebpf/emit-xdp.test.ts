import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Instruction, prepare } from '../../ebpf/index.js'
import { parseFilter } from '../../filter/index.js'
import {
  binary,
  buildGraph,
  type Condition,
  compare,
  constant,
  evaluate,
  interpret,
  load,
  lower,
  optimize,
  type Value,
  wireLength,
} from '../../ir/index.js'
import { type Action, emitXdp, RULE_COUNTERS, type XdpOptions } from './emit-xdp.js'

const DROP = 1
const PASS = 2
const at = (offset: number, size: 1 | 2 | 4 = 1) => load({ base: null, offset }, 0, size)
const is = (value: Value, number: number) => compare(value, '=', constant(number))
const all = (...operands: readonly Condition[]): Condition => ({ kind: 'all', operands })

function programOf(rules: readonly (readonly [Condition, Action])[], options?: XdpOptions) {
  const graph = optimize(buildGraph(rules.map(([condition]) => condition)))
  const actions = rules.map(([, action]) => action)
  return { graph, program: emitXdp(graph, actions, options) }
}

/** Asserts that the program drops exactly where the one rule's graph matches. */
function assertAgrees(condition: Condition, packets: readonly Uint8Array[]): void {
  const { graph, program } = programOf([[condition, 'drop']])
  const machine = prepare(program)
  for (const bytes of packets) {
    const outcome = machine.run(bytes)
    assert.equal(outcome.kind, 'return', outcome.kind === 'fault' ? outcome.reason : '')
    const matches = interpret(graph, { bytes, wireLength: bytes.length }) === 0
    assert.equal(outcome.kind === 'return' && outcome.value, matches ? DROP : PASS, Buffer.from(bytes).toString('hex'))
  }
}

const ascending = (length: number, from = 0) => Uint8Array.from({ length }, (_, index) => (from + index) & 255)
const LENGTHS = Array.from({ length: 80 }, (_, length) => ascending(length))

describe('the XDP program', () => {
  it('refuses a set of which nothing says what it holds, by its name', () => {
    const isBlocked = lower(parseFilter('ip src net @blocked', { sets: new Set(['blocked']) }).expression)
    assert.throws(
      () => programOf([[isBlocked, 'drop']]),
      /^UnsupportedError: @blocked: nothing says what this set holds/,
    )
  })

  it('takes the first rule that matches, and counts packets and bytes for it alone', () => {
    const { program } = programOf([
      [is(at(0), 1), 'count'],
      [is(at(1), 2), 'drop'],
      [is(at(0), 5), 'pass'],
      [is(at(40), 7), 'drop'],
    ])
    const machine = prepare(program)
    const verdicts = [ascending(20, 1), ascending(30, 1), [9, 2, 0], [5, 9], [9]].map((bytes) => {
      const outcome = machine.run(Uint8Array.from(bytes))
      return outcome.kind === 'return' ? outcome.value : outcome.reason
    })
    assert.deepEqual(verdicts, [PASS, PASS, DROP, PASS, PASS])
    assert.deepEqual(countersOf(machine, 4), [
      [2, 50],
      [1, 3],
      [1, 2],
      [0, 0],
    ])
  })

  it('goes on with the next rule where a packet is too short for one', () => {
    const machine = prepare(
      programOf([
        [is(at(100, 4), 0), 'pass'],
        [is(at(0), 3), 'drop'],
      ]).program,
    )
    const outcome = machine.run(Uint8Array.of(3))
    assert.equal(outcome.kind === 'return' && outcome.value, DROP)
  })

  it('is nothing but a verdict where every packet or none matches', () => {
    const options = { counters: false }
    const always = programOf([[all(), 'drop']], options).program
    const never = programOf([[{ kind: 'any', operands: [] }, 'drop']], options).program
    assert.deepEqual([always.instructions.length, never.instructions.length], [5, 4])
    assert.deepEqual([verdictOf(always), verdictOf(never)], [DROP, PASS])
    assert.deepEqual([always.maps, always.relocations], [[], []])
  })

  it('agrees with the interpreter on every length of packet', () => {
    const headerLength = binary('<<', binary('&', at(3), constant(15)), constant(2))
    const behind = (offset: number, size: 1 | 2 | 4) => load({ base: headerLength, offset }, 0, size)
    assertAgrees(all(is(at(3), 3), is(behind(14, 2), 0x1a1b)), LENGTHS)
    assertAgrees(compare(behind(20, 4), '>', at(4, 4)), LENGTHS)
    assertAgrees(compare(binary('-', behind(2, 2), at(10, 2)), '>=', wireLength()), LENGTHS)
  })

  it('shifts by more than 31 to 0 and ends the rule at a division by zero', () => {
    const packets = [0, 1, 31, 32, 63, 64, 200].map((by) => Uint8Array.of(by, 0xff, 0xee, 0xdd, 0xcc))
    assertAgrees(is(binary('<<', at(1, 4), at(0)), 0), packets)
    assertAgrees(is(binary('>>', at(1, 4), at(0)), 0xffeeddcc), packets)
    const quotient = binary('/', at(1, 4), at(0))
    assertAgrees({ kind: 'not', operand: is(quotient, 5) }, packets)
    assertAgrees(is(binary('%', at(1, 4), at(0)), 0), packets)
  })

  it('computes expressions that need more registers than there are', () => {
    const tree = (depth: number, offset: number): Value => {
      if (depth === 0) return at(offset % 60, offset % 2 === 0 ? 2 : 4)
      const operator = (['+', '^', '-', '*'] as const)[depth % 4]!
      return binary(operator, tree(depth - 1, offset), tree(depth - 1, offset + 2 ** (depth - 1)))
    }
    const value = tree(9, 0)
    const { graph } = programOf([[is(value, 0), 'drop']])
    assert.ok(graph.nodes.length > 2)
    for (const bytes of [ascending(64), ascending(64, 77)]) {
      const wanted = evaluate(value, { bytes, wireLength: bytes.length })!
      assertAgrees(is(value, wanted), [bytes, ascending(64, 3)])
    }
  })

  it('never reads behind 32 KiB, where no frame has its first buffer', () => {
    const { program } = programOf([
      [is(at(40_000), 1), 'drop'],
      [is(at(0), 7), 'drop'],
    ])
    assert.equal(verdictOf(program, Uint8Array.of(7)), DROP)
    assert.equal(verdictOf(program, new Uint8Array(50_000).fill(1)), PASS)
  })
})

describe('the length on the wire', () => {
  const long: Condition = compare(wireLength(), '>', constant(100))

  it('is that of the frame', () => {
    const { program } = programOf([[long, 'drop']])
    assert.deepEqual([verdictOf(program, ascending(100)), verdictOf(program, ascending(101))], [PASS, DROP])
  })

  it('is in the metadata where the caller says so, and counted by rules', () => {
    const machine = prepare(programOf([[long, 'drop']], { wireLength: 'metadata' }).program)
    const run = (length: number | null) => {
      const metadata = length === null ? undefined : new Uint8Array(Uint32Array.of(length).buffer)
      const outcome = machine.run(ascending(60), metadata === undefined ? {} : { metadata })
      return outcome.kind === 'return' ? outcome.value : outcome.reason
    }
    assert.deepEqual([run(100), run(1500), run(null)], [PASS, DROP, PASS])
    assert.deepEqual(countersOf(machine, 1), [[1, 1500]])
  })

  it('is asked of the kernel for frames of several buffers, also by the counters alone', () => {
    const input = { wireLengthBytes: 9000 }
    for (const condition of [long, is(at(0), 0)]) {
      const machine = prepare(programOf([[condition, 'drop']], { multiBuffer: true }).program)
      const outcome = machine.run(ascending(60), input)
      assert.equal(outcome.kind === 'return' && outcome.value, DROP)
      assert.deepEqual(countersOf(machine, 1), [[1, 9000]])
    }
  })
})

describe('the code of a rule', () => {
  it('compares without swapping, checks twice, and copies no register', () => {
    const headerLength = binary('<<', binary('&', at(14), constant(15)), constant(2))
    const rule = all(
      is(at(12, 2), 0x800),
      is(at(23), 17),
      is(binary('&', at(20, 2), constant(0x1fff)), 0),
      is(load({ base: headerLength, offset: 16 }, 0, 2), 53),
      is(binary('&', at(26, 4), constant(0xffffff00)), 0xc6336400),
    )
    const { instructions } = programOf([[rule, 'drop']], { counters: false }).program
    // 2 to load the packet's ends, 3 + 3 checks, 3 + 1 for the pointer, 5 loads, 5 jumps, 1 mask, 2 verdicts, 1 exit.
    assert.equal(instructions.length, 26)
    const registerMoves = instructions.filter(({ opcode }: Instruction) => opcode === 0xbf || opcode === 0xbc)
    assert.equal(registerMoves.length, 2, 'one for each bounds check')
  })
})

function verdictOf(program: ReturnType<typeof emitXdp>, frame = new Uint8Array(60)): number | string {
  const outcome = prepare(program).run(frame)
  return outcome.kind === 'return' ? outcome.value : outcome.reason
}

/** Packets and bytes of each rule, summed over the CPUs that the machine has. */
function countersOf(machine: ReturnType<typeof prepare>, rules: number): number[][] {
  const map = machine.maps.get(RULE_COUNTERS)!
  return Array.from({ length: rules }, (_, rule) => {
    const value = map.lookup(new Uint8Array(Uint32Array.of(rule).buffer))!
    const view = new DataView(value.buffer, value.byteOffset, 16)
    return [Number(view.getBigUint64(0, true)), Number(view.getBigUint64(8, true))]
  })
}
