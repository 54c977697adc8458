import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  access,
  block,
  br,
  brIf,
  brTable,
  call,
  createMemory,
  encodeModule,
  end,
  get,
  type Instruction,
  i32,
  i64,
  instantiate,
  isValidModule,
  loop,
  ModuleError,
  type OperationName,
  op,
  otherwise,
  set,
  tee,
  type ValueType,
  type WasmFunction,
  type WasmModule,
  when,
} from './index.js'
import { ACCESSES, OPERATIONS } from './operations.js'

const WORDS = [0, 1, 2, 7, 31, 32, 33, 0x7fff_ffff, -0x8000_0000, -1, -2, 0x1234_5678]
const LONGS = [0n, 1n, 3n, 63n, 64n, 2n ** 63n - 1n, -(2n ** 63n), -1n, 0x0123_4567_89ab_cdefn]

function functionOf(
  parameters: readonly ValueType[],
  result: ValueType | null,
  body: readonly Instruction[],
): WasmFunction {
  return {
    name: 'run',
    exported: true,
    parameters: parameters.map((type, index) => ({ name: `p${index}`, type })),
    results: result === null ? [] : [result],
    locals: [
      { name: 'word', type: 'i32' },
      { name: 'other', type: 'i32' },
      { name: 'long', type: 'i64' },
    ],
    body,
  }
}

const MEMORY = { module: 'host', field: 'memory', minimumPages: 1, maximumPages: null, shared: false }

function moduleOf(definition: WasmFunction, memory: WasmModule['memory'] = null): WasmModule {
  return { memory, imports: [], functions: [definition] }
}

/** The function, after the bytes were found valid. */
function load(definition: WasmFunction) {
  const bytes = encodeModule(moduleOf(definition))
  assert.ok(isValidModule(bytes))
  return instantiate(bytes, {})['run']!
}

const rotl = (value: bigint, by: bigint, bits: number) => {
  const shift = by & BigInt(bits - 1)
  return BigInt.asUintN(bits, (value << shift) | (value >> (BigInt(bits) - shift)))
}

/** What the operations without a type mean on unsigned numbers of `bits` bits; null traps. */
const MEANINGS: Readonly<Record<string, (left: bigint, right: bigint, bits: number) => bigint | boolean | null>> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt_u: (a, b) => a < b,
  gt_u: (a, b) => a > b,
  le_u: (a, b) => a <= b,
  ge_u: (a, b) => a >= b,
  lt_s: (a, b, bits) => BigInt.asIntN(bits, a) < BigInt.asIntN(bits, b),
  gt_s: (a, b, bits) => BigInt.asIntN(bits, a) > BigInt.asIntN(bits, b),
  le_s: (a, b, bits) => BigInt.asIntN(bits, a) <= BigInt.asIntN(bits, b),
  ge_s: (a, b, bits) => BigInt.asIntN(bits, a) >= BigInt.asIntN(bits, b),
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div_u: (a, b) => (b === 0n ? null : a / b),
  rem_u: (a, b) => (b === 0n ? null : a % b),
  div_s: (a, b, bits) => {
    const quotient = b === 0n ? null : BigInt.asIntN(bits, a) / BigInt.asIntN(bits, b)
    return quotient === 2n ** BigInt(bits - 1) ? null : quotient
  },
  rem_s: (a, b, bits) => (b === 0n ? null : BigInt.asIntN(bits, a) % BigInt.asIntN(bits, b)),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b, bits) => a << (b & BigInt(bits - 1)),
  shr_u: (a, b, bits) => a >> (b & BigInt(bits - 1)),
  shr_s: (a, b, bits) => BigInt.asIntN(bits, a) >> (b & BigInt(bits - 1)),
  rotl,
  rotr: (a, b, bits) => rotl(a, BigInt(bits) - (b & BigInt(bits - 1)), bits),
}

describe('operations', () => {
  const binaries = Object.keys(OPERATIONS).filter((name) => MEANINGS[name.slice(4)] !== undefined) as OperationName[]

  it('of two operands compute what their names say', () => {
    assert.equal(binaries.length, 2 * Object.keys(MEANINGS).length)
    for (const name of binaries) {
      const type = name.slice(0, 3) as ValueType
      const bits = type === 'i32' ? 32 : 64
      const isComparison = /\.(eq|ne|[lg][te]_[su])$/.test(name)
      const run = load(functionOf([type, type], isComparison ? 'i32' : type, [get('p0'), get('p1'), op(name)]))
      const operands = type === 'i32' ? WORDS.map(BigInt) : LONGS
      for (const left of operands) {
        for (const right of operands) {
          const wanted = MEANINGS[name.slice(4)]!(BigInt.asUintN(bits, left), BigInt.asUintN(bits, right), bits)
          const [a, b] = type === 'i32' ? [Number(left), Number(right)] : [left, right]
          const what = `${name} of ${left} and ${right}`
          if (wanted === null) assert.throws(() => run(a, b), /divide|remainder/, what)
          else assert.equal(BigInt.asUintN(bits, BigInt(run(a, b))), BigInt.asUintN(bits, BigInt(wanted)), what)
        }
      }
    }
  })

  it('of one operand, and the conversions', () => {
    const run = (name: OperationName, from: ValueType, to: ValueType, operand: number | bigint) =>
      load(functionOf([from], to, [get('p0'), op(name)]))(operand)
    assert.deepEqual(
      [run('i32.eqz', 'i32', 'i32', 0), run('i32.eqz', 'i32', 'i32', 9), run('i64.eqz', 'i64', 'i32', 2n ** 40n)],
      [1, 0, 0],
    )
    assert.deepEqual(
      (['i32.clz', 'i32.ctz', 'i32.popcnt'] as const).map((name) => run(name, 'i32', 'i32', 0x00ff_0100)),
      [8, 8, 9],
    )
    assert.deepEqual(
      (['i64.clz', 'i64.ctz', 'i64.popcnt'] as const).map((name) => run(name, 'i64', 'i64', 0xff00n)),
      [48n, 8n, 8n],
    )
    assert.equal(run('i32.wrap_i64', 'i64', 'i32', 0x1_8000_0000n), -0x8000_0000)
    assert.equal(run('i64.extend_i32_s', 'i32', 'i64', -2), -2n)
    assert.equal(run('i64.extend_i32_u', 'i32', 'i64', -2), 0xffff_fffen)
  })

  it('select, drop, nop, return and unreachable', () => {
    const select = load(functionOf(['i32'], 'i32', [i32(5), i32(6), get('p0'), op('select')]))
    assert.deepEqual([select(1), select(0)], [5, 6])
    assert.equal(load(functionOf([], 'i32', [op('nop'), i32(1), i32(2), op('drop'), op('return')]))(), 1)
    assert.throws(() => load(functionOf([], null, [op('unreachable')]))(), /unreachable/)
  })

  it('constants keep all their bits', () => {
    for (const word of [...WORDS, 0xffff_ffff, 63, 64, -64, -65])
      assert.equal(load(functionOf([], 'i32', [i32(word)]))(), word | 0)
    for (const long of LONGS) assert.equal(load(functionOf([], 'i64', [i64(long)]))(), long)
  })
})

describe('memory', () => {
  it('is read and written at any address, little-endian, with the sign that the name says', () => {
    for (const name of Object.keys(ACCESSES) as (keyof typeof ACCESSES)[]) {
      const [, type, verb, width, sign] = /^(i32|i64)\.(load|store)(\d*)_?([su]?)$/.exec(name)!
      const bits = width === '' ? Number(type!.slice(1)) : Number(width)
      const isLoad = verb === 'load'
      const value = type === 'i32' ? i32(0x8182_8384) : i64(0x8182_8384_8586_8788n)
      const body = isLoad ? [get('p0'), access(name, 300)] : [get('p0'), value, access(name, 300)]
      const memory = createMemory(1)
      const bytes = encodeModule(moduleOf(functionOf(['i32'], isLoad ? (type as ValueType) : null, body), MEMORY))
      const run = instantiate(bytes, { host: { memory } })['run']!
      const view = new DataView(memory.buffer)
      if (isLoad) {
        view.setBigUint64(305, 0x8182_8384_8586_8788n, true)
        const raw = BigInt.asUintN(bits, 0x8182_8384_8586_8788n)
        const wanted = sign === 's' ? BigInt.asIntN(bits, raw) : raw
        assert.equal(
          BigInt.asUintN(64, BigInt(run(5))),
          BigInt.asUintN(64, type === 'i32' ? BigInt.asIntN(32, wanted) : wanted),
          name,
        )
      } else {
        run(5)
        const stored = type === 'i32' ? 0x8182_8384n : 0x8182_8384_8586_8788n
        assert.equal(view.getBigUint64(305, true), BigInt.asUintN(bits, stored), name)
      }
    }
  })

  it('can be shared between threads, and then has a maximum', () => {
    const shared = { ...MEMORY, maximumPages: 3, shared: true }
    const bytes = encodeModule(moduleOf(functionOf([], 'i32', [i32(8), access('i32.load', 0)]), shared))
    const memory = createMemory(1, 3, true)
    assert.ok((memory.buffer as unknown) instanceof SharedArrayBuffer)
    new Uint8Array(memory.buffer)[8] = 77
    assert.equal(instantiate(bytes, { host: { memory } })['run']!(), 77)
    assert.throws(() => instantiate(bytes, { host: { memory: createMemory(1, 3) } }), /shared/)
    assert.throws(
      () => encodeModule(moduleOf(functionOf([], null, []), { ...shared, maximumPages: null })),
      ModuleError,
    )
  })
})

describe('control', () => {
  it('counts in a loop until a branch leaves it', () => {
    const body = [
      block('done'),
      loop('again'),
      ...[get('word'), get('p0'), op('i32.ge_u'), brIf('done')],
      ...[get('other'), get('word'), i32(1), op('i32.add'), tee('word'), op('i32.add'), set('other')],
      br('again'),
      end,
      end,
      get('other'),
    ]
    const run = load(functionOf(['i32'], 'i32', body))
    assert.deepEqual([run(0), run(1), run(100)], [0, 1, 5050])
  })

  it('takes one of two ways', () => {
    const body = [get('p0'), when('chosen'), i32(10), set('word'), otherwise, i32(20), set('word'), end, get('word')]
    const run = load(functionOf(['i32'], 'i32', body))
    assert.deepEqual([run(3), run(0)], [10, 20])
  })

  it('jumps by a table, through many blocks', () => {
    const labels = Array.from({ length: 300 }, (_, index) => `case ${index}`)
    const body = [
      block('other'),
      ...labels.toReversed().map(block),
      ...[get('p0'), brTable(labels, 'other')],
      ...labels.flatMap((_, index) => [end, i32(index * 3), op('return')]),
      ...[end, i32(-1)],
    ]
    const run = load(functionOf(['i32'], 'i32', body))
    assert.deepEqual(
      [0, 1, 127, 128, 299, 300, -1].map((index) => run(index)),
      [0, 3, 381, 384, 897, -1, -1],
    )
  })

  it('calls imported functions and its own, by their names', () => {
    const double: WasmFunction = {
      ...functionOf(['i32'], 'i32', [get('p0'), get('p0'), op('i32.add')]),
      name: 'double',
      exported: false,
    }
    const seven = { module: 'host', field: 'seven', name: 'add seven', parameters: ['i32'], results: ['i32'] } as const
    const run = functionOf(['i32'], 'i32', [get('p0'), call('double'), call('add seven')])
    const bytes = encodeModule({ memory: null, imports: [seven], functions: [run, double] })
    const exported = instantiate(bytes, { host: { seven: (value: number) => value + 7 } })
    assert.deepEqual(Object.keys(exported), ['run'])
    assert.equal(exported['run']!(5), 17)
  })
})

describe('names', () => {
  it('stand in the stack of a trap', () => {
    const trap = load(functionOf([], null, [op('unreachable')]))
    assert.throws(trap, (error: Error) => /at run \(wasm:|wasm.*run/.test(error.stack!))
  })

  it('that nothing declares are refused, and so are blocks that do not close', () => {
    const cases: [Instruction[], RegExp][] = [
      [[get('nowhere')], /^the function run uses the local nowhere, which nothing declares; declare it$/],
      [[call('nobody')], /uses the function nobody/],
      [[block('a'), end, br('a')], /branches to a outside that block/],
      [[block('a')], /leaves a open/],
      [[end], /an end too many/],
    ]
    for (const [body, message] of cases) {
      assert.throws(
        () => encodeModule(moduleOf(functionOf([], null, body))),
        (error) => error instanceof ModuleError && message.test(error.message),
      )
    }
  })

  it('do not make a module valid whose types do not fit', () => {
    assert.equal(isValidModule(encodeModule(moduleOf(functionOf([], 'i32', [i64(1n)])))), false)
  })
})
