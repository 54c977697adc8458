import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  alu32,
  alu64,
  assemble,
  type Condition,
  callLocal,
  disassemble,
  exit,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMap,
  loadMapValue,
  loadWide,
  mayGoto,
  mov32,
  mov64,
  prepare,
  R0,
  R1,
  R2,
  runCode,
  store,
  validate,
} from './index.js'

const CONDITIONS: readonly Condition[] = ['==', '!=', '>', '>=', '<', '<=', 's>', 's>=', 's<', 's<=', '&']
const FAR = 40_000

test('jumps go forward and backward over wide immediates', () => {
  const program = assemble([
    mov64(R0, 3),
    label('again'),
    loadWide(R1, 1n << 40n),
    alu64('sub', R0, 1),
    jumpIf(R0, '==', 0, 'end'),
    jump('again'),
    label('end'),
    exit(),
  ])
  assert.equal(
    disassemble(program),
    [
      '   0: (b7) r0 = 3',
      '   1: (18) r1 = 0x10000000000',
      '   3: (17) r0 -= 1',
      '   4: (15) if r0 == 0x0 goto pc+1',
      '   5: (05) goto pc-5',
      '   6: (95) exit',
    ].join('\n'),
  )
})

test('a map reference gives a relocation at its slot', () => {
  const { relocations } = assemble([loadWide(R0, 0), loadMap(R1, 'a'), loadMapValue(R2, 'b', 8), exit()])
  assert.deepEqual(relocations, [
    { slot: 2, map: 'a' },
    { slot: 4, map: 'b' },
  ])
})

test('a jump that does not reach becomes a long one and means the same', () => {
  const filler = Array.from({ length: FAR }, () => mov64(R2, 0))
  for (const condition of CONDITIONS) {
    for (const branch of [jumpIf, jumpIf32]) {
      const near = assemble(choice(branch, condition, []))
      const far = assemble(choice(branch, condition, filler))
      assert.equal(far.instructions.length - near.instructions.length, FAR + (condition === '&' ? 2 : 1), condition)
      const machines = [near, far].map((program) => prepare({ ...program, maps: [] }))
      for (const value of [0n, 4n, 5n, 6n, -5n, 1n << 32n, (1n << 32n) + 5n]) {
        const frame = new Uint8Array(BigInt64Array.of(value).buffer)
        const [short, long] = machines.map((machine) => machine.run(frame))
        assert.equal(
          short.kind === 'return' && short.value,
          long.kind === 'return' && long.value,
          `${value} ${condition} 5`,
        )
        assert.equal(short.kind, 'return')
      }
    }
  }
})

test('the last distance of a short jump leaves room for what the verifier adds', () => {
  const distance = (count: number) =>
    assemble([jumpIf(R1, '==', 0, 'far'), ...Array.from({ length: count }, () => mov64(R0, 0)), label('far'), exit()])
      .instructions[0]
  assert.deepEqual(distance(32_255), { opcode: 0x15, dst: 1, src: 0, offset: 32_255, imm: 0 })
  assert.deepEqual(distance(32_256), { opcode: 0x55, dst: 1, src: 0, offset: 1, imm: 0 })
})

test('widening one jump can push another out of reach', () => {
  const items: Item[] = [jumpIf(R1, '==', 0, 'a'), jumpIf(R1, '==', 1, 'b')]
  items.push(...Array.from({ length: 32_254 }, () => mov64(R0, 0)))
  items.push(label('a'), mov64(R0, 0), mov64(R0, 0), label('b'), exit())
  const { instructions } = assemble(items)
  assert.equal(instructions.length, items.length - 2 + 2)
  validate(instructions)
})

test('goto, may_goto and local calls go far and backward', () => {
  const filler = Array.from({ length: FAR }, () => mov64(R2, 0))
  const { instructions } = assemble([
    jump('start'),
    label('back'),
    alu64('add', R0, 1),
    exit(),
    ...filler,
    label('start'),
    mayGoto('back'), // its budget is not used up, so it falls through
    callLocal('function'),
    jump('back'),
    label('function'),
    ...filler,
    mov64(R0, 41),
    exit(),
  ])
  const outcome = runCode(instructions)
  assert.equal(outcome.kind === 'return' && outcome.value, 42)
})

test('what is wrong with labels is said', () => {
  const refused = (items: Item[]) => {
    try {
      assemble(items)
    } catch (error) {
      return String(error)
    }
    return 'accepted'
  }
  assert.equal(refused([]), 'AssemblerError: the program is empty; it needs at least `exit`')
  assert.match(refused([jump('nowhere'), exit()]), /label 'nowhere' is used but not defined/)
  assert.match(refused([label('a'), label('a'), exit()]), /label 'a' is there twice/)
  assert.match(refused([jump('end'), exit(), label('end')]), /label 'end' is behind the last instruction/)
})

test('immediates that would change their meaning are refused, the same bits are not', () => {
  assert.equal(mov32(R0, 0xffffffff).imm, -1)
  assert.equal(alu32('and', R0, 0xffffff00).imm, -256)
  assert.equal(store('u32', R1, 0, 0x80000000).imm, -0x80000000)
  assert.equal(assemble([jumpIf32(R0, '==', 0xc6336400, 'a'), label('a'), exit()]).instructions[0].imm, 0xc6336400 | 0)
  for (const build of [
    () => mov64(R0, 0xffffffff),
    () => alu64('and', R0, 0xffffff00),
    () => store('u64', R1, 0, 0x80000000),
    () => jumpIf(R0, '==', 0x80000000, 'a'),
    () => mov32(R0, 0x100000000),
    () => mov64(R0, 1.5),
    () => load('u8', R0, R1, 40_000),
    () => loadWide(R0, 1n << 64n),
  ]) {
    assert.throws(build, { name: 'AssemblerError' }, String(build))
  }
})

/** Verdict 1 where the condition holds between the first 64 bits of the frame and 5, else 2. */
function choice(branch: typeof jumpIf, condition: Condition, between: readonly Item[]): Item[] {
  return [
    load('u32', R2, R1, 0),
    load('u64', R1, R2, 0),
    branch(R1, condition, 5, 'taken'),
    mov64(R0, 2),
    exit(),
    ...between,
    label('taken'),
    mov64(R0, 1),
    exit(),
  ]
}
