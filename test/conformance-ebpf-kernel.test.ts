import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type AluOperation,
  type AtomicOperation,
  alu32,
  alu64,
  assemble,
  atomic,
  byteSwap,
  type Condition,
  call,
  callLocal,
  encode,
  exit,
  formatInstruction,
  helperId,
  type Instruction,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  type LoadSize,
  label,
  load,
  loadWide,
  mayGoto,
  mov32,
  mov64,
  movSigned32,
  movSigned64,
  neg32,
  neg64,
  parseText,
  prepare,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R9,
  R10,
  REGISTERS,
  type Register,
  type Size,
  store,
  toBigEndian,
  toLittleEndian,
} from '../src/ebpf/index.js'
import { closeBpf, loadProgramCode, testRun } from '../src/kernel/index.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'

/**
 * The kernel as oracle of the interpreter and of the disassembler: random
 * programs over random frames give the same verdict and the same frame, and
 * the verifier's log writes every instruction as the disassembler does.
 */
const skip = skipUnless('root')
const PROGRAMS = 300
const FRAMES = 4
const FRAME_BYTES = 192
const STACK_WORDS = 8

/** All but R6, which holds the frame, and R10. */
const SCALARS = [R0, R1, R2, R3, R4, R5, R7, R8, R9]

const ALU_OPERATIONS: readonly AluOperation[] = [
  'add',
  'sub',
  'mul',
  'div',
  'sdiv',
  'or',
  'and',
  'lsh',
  'rsh',
  'mod',
  'smod',
  'xor',
  'arsh',
]
const CONDITIONS: readonly Condition[] = ['==', '!=', '>', '>=', '<', '<=', 's>', 's>=', 's<', 's<=', '&']
const ATOMICS: readonly AtomicOperation[] = [
  'add',
  'or',
  'and',
  'xor',
  'fetch add',
  'fetch or',
  'fetch and',
  'fetch xor',
  'xchg',
  'cmpxchg',
]
const WIDTHS = { u8: 1, u16: 2, u32: 4, u64: 8, s8: 1, s16: 2, s32: 4 } as const
/** Where arithmetic goes wrong, if it does. */
const EDGES = [0, 1, -1, 2, -2, 31, 32, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fffffff, -0x80000000]

test('random programs do in the interpreter what they do in the kernel', { skip }, (context) => {
  const random = seededRandom(context, 'conformance-ebpf-kernel')
  for (let count = 0; count < PROGRAMS; count++) {
    const { instructions } = assemble(randomProgram(random))
    const machine = prepare({ instructions, relocations: [], maps: [] })
    const fd = loaded(instructions)
    try {
      for (let frame = 0; frame < FRAMES; frame++) compare(machine, fd, randomFrame(random), instructions)
    } finally {
      closeBpf(fd)
    }
  }
  context.diagnostic(`${PROGRAMS} programs, ${FRAMES} frames each`)
})

test("the disassembler writes what the verifier's log writes", { skip }, (context) => {
  const random = seededRandom(context, 'conformance-ebpf-kernel')
  const programs = [everyForm(), ...Array.from({ length: 40 }, () => assemble(randomProgram(random)).instructions)]
  const written = new Set<string>()
  for (const instructions of programs) {
    const bySlot = new Map<string, string>()
    let slot = 0
    for (const instruction of instructions) {
      bySlot.set(`${slot}`, formatInstruction(instruction))
      slot += instruction.opcode === 0x18 ? 2 : 1
    }
    const { log } = loadLogged(instructions)
    for (const [, at, text] of log.matchAll(/^(\d+): \([0-9a-f]{2}\) (.*?)(?: +;.*)?$/gm)) {
      assert.equal(bySlot.get(at!), text)
      written.add(text!.replace(/-?(0x)?\d[0-9a-f]*/g, 'N'))
    }
  }
  assert.ok(written.size > 100, `only ${written.size} kinds of instruction were compared`)
  context.diagnostic(`${written.size} kinds of instruction compared`)
})

function compare(
  machine: ReturnType<typeof prepare>,
  fd: number,
  frame: Uint8Array,
  code: readonly Instruction[],
): void {
  const output = new Uint8Array(FRAME_BYTES)
  const { retval } = testRun({ fd, data: frame, output })
  const outcome = machine.run(frame)
  const program = () => code.map((instruction) => formatInstruction(instruction)).join('\n')
  assert.equal(outcome.kind, 'return', `${JSON.stringify(outcome)}\n${program()}`)
  assert.equal(outcome.value, retval, program())
  assert.deepEqual(machine.frame(), output, program())
}

function loaded(instructions: readonly Instruction[]): number {
  const result = loadProgramCode({ name: 'random', code: encode(instructions), license: 'GPL', flags: 0, logLevel: 0 })
  if (result.fd === null) assert.fail(`errno ${result.errno}\n${loadLogged(instructions).log.slice(-2000)}`)
  return result.fd
}

function loadLogged(instructions: readonly Instruction[]): { log: string } {
  const result = loadProgramCode({ name: 'logged', code: encode(instructions), license: 'GPL', flags: 0, logLevel: 2 })
  if (result.fd === null) assert.fail(`errno ${result.errno}\n${result.log.slice(-2000)}`)
  closeBpf(result.fd)
  return result
}

function randomFrame(random: Random): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES)
  const view = new DataView(frame.buffer)
  for (let at = 0; at < FRAME_BYTES; at += 4) {
    view.setUint32(at, random.below(3) ? random.word() : random.pick(EDGES), true)
  }
  return frame
}

/** Registers and stack from the frame, random work on them, registers and stack into the frame. */
function randomProgram(random: Random): Item[] {
  const items: Item[] = [
    load('u32', R6, R1, 0),
    load('u32', R2, R1, 4),
    mov64(R3, R6),
    alu64('add', R3, FRAME_BYTES),
    jumpIf(R3, '<=', R2, 'long enough'),
    mov64(R0, 0),
    exit(),
    label('long enough'),
  ]
  for (let word = 0; word < STACK_WORDS; word++) {
    items.push(load('u64', R0, R6, 72 + word * 8), store('u64', R10, -8 - word * 8, R0))
  }
  SCALARS.forEach((register, index) => {
    items.push(load('u64', register, R6, index * 8))
  })
  for (let count = 0; count < 40; count++) items.push(...randomItems(random, `skip ${count}`))
  items.push(...localCall(random))
  SCALARS.forEach((register, index) => {
    items.push(store('u64', R6, index * 8, register))
  })
  for (let word = 0; word < STACK_WORDS; word++) {
    items.push(load('u64', R1, R10, -8 - word * 8), store('u64', R6, 72 + word * 8, R1))
  }
  items.push(exit(), label('function'), ...functionBody(random), exit())
  return items
}

function randomItems(random: Random, skipLabel: string): Item[] {
  const dst = random.pick(SCALARS)
  const src = random.pick(SCALARS)
  switch (random.below(12)) {
    case 0:
    case 1:
      return [randomAlu64(random, dst, src)]
    case 2:
    case 3:
      return [randomAlu32(random, dst, src)]
    case 4:
      return [randomMove(random, dst, src)]
    case 5:
      return [randomByteOrder(random, dst)]
    case 6:
      return [loadWide(dst, (BigInt(random.word()) << 32n) | BigInt(random.pick([random.word(), 0, 0xffffffff])))]
    case 7:
      return [randomAtomic(random, src)]
    case 8:
      return [randomLoad(random, dst)]
    case 9:
      return [randomStore(random, src)]
    case 10: {
      const right = random.below(2) ? src : random.pick(EDGES)
      const branch = random.below(2) ? jumpIf : jumpIf32
      return [branch(dst, random.pick(CONDITIONS), right, skipLabel), randomAlu64(random, src, dst), label(skipLabel)]
    }
    default:
      return random.below(4) ? [random.pick([neg32, neg64])(dst)] : localCall(random)
  }
}

/** A call leaves nothing in R1 to R5 that the verifier lets one read. */
function localCall(random: Random): Item[] {
  return [callLocal('function'), ...[R1, R2, R3, R4, R5].map((register) => mov64(register, random.pick(EDGES)))]
}

function functionBody(random: Random): Item[] {
  return [
    store('u64', R10, -8, R2),
    mov64(R6, R1),
    mov64(R9, R3),
    randomAlu64(random, R9, R4),
    load('s32', R0, R10, -8),
    alu64('xor', R0, R9),
    alu64('add', R0, R6),
  ]
}

function randomAlu64(random: Random, dst: Register, src: Register): Instruction {
  const operation = random.pick(ALU_OPERATIONS)
  return alu64(operation, dst, random.below(2) ? src : randomImmediate(random, operation, 63))
}

function randomAlu32(random: Random, dst: Register, src: Register): Instruction {
  const operation = random.pick(ALU_OPERATIONS)
  return alu32(operation, dst, random.below(2) ? src : randomImmediate(random, operation, 31))
}

/** The verifier refuses to divide by a constant zero and to shift by more than there is. */
function randomImmediate(random: Random, operation: AluOperation, widest: number): number {
  if (operation.endsWith('sh')) return random.below(widest + 1)
  const value = random.below(2) ? random.word() | 0 : random.pick(EDGES)
  return value === 0 && /div|mod/.test(operation) ? 1 : value
}

function randomMove(random: Random, dst: Register, src: Register): Instruction {
  switch (random.below(5)) {
    case 0:
      return mov64(dst, random.below(2) ? src : random.pick(EDGES))
    case 1:
      return mov32(dst, random.below(2) ? src : random.pick(EDGES))
    case 2:
      return movSigned32(random.pick([8, 16] as const), dst, src)
    default:
      return movSigned64(random.pick([8, 16, 32] as const), dst, src)
  }
}

function randomByteOrder(random: Random, dst: Register): Instruction {
  return random.pick([toBigEndian, toLittleEndian, byteSwap])(random.pick([16, 32, 64] as const), dst)
}

function randomAtomic(random: Random, src: Register): Instruction {
  const size = random.pick(['u32', 'u64'] as const)
  return atomic(random.pick(ATOMICS), size, R10, stackOffset(random, size), src)
}

function randomLoad(random: Random, dst: Register): Instruction {
  const size = random.pick(['u8', 'u16', 'u32', 'u64', 's8', 's16', 's32'] as const)
  if (random.below(2)) return load(size, dst, R6, random.below(FRAME_BYTES - WIDTHS[size] + 1))
  return load(size, dst, R10, stackOffset(random, size))
}

function randomStore(random: Random, src: Register): Instruction {
  const size = random.pick(['u8', 'u16', 'u32', 'u64'] as const)
  const value = random.below(2) ? src : random.pick(EDGES)
  if (random.below(2)) return store(size, R6, random.below(FRAME_BYTES - WIDTHS[size] + 1), value)
  return store(size, R10, stackOffset(random, size), value)
}

function stackOffset(random: Random, size: LoadSize): number {
  const width = WIDTHS[size]
  return -width * (1 + random.below((STACK_WORDS * 8) / width))
}

/** One of each form that an XDP program may have and that the random ones have not. */
function everyForm(): readonly Instruction[] {
  const sizes: readonly Size[] = ['u8', 'u16', 'u32', 'u64']
  const far = [parseText('ja32 +0\nexit')[0]]
  return assemble([
    ...REGISTERS.slice(0, 10).map((register) => mov64(register, -7)),
    ...sizes.map((size) => store(size, R10, -8, -1)),
    store('u64', R10, -8, R1),
    ...ALU_OPERATIONS.flatMap((operation) => [alu64(operation, R2, 3), alu32(operation, R2, R3)]),
    ...ATOMICS.flatMap((operation) => [atomic(operation, 'u32', R10, -8, R1), atomic(operation, 'u64', R10, -8, R1)]),
    mayGoto('next'),
    label('next'),
    ...far,
    jump('on'),
    label('on'),
    call(helperId('bpf_ktime_get_ns')),
    callLocal('function'),
    ...CONDITIONS.flatMap((condition, index) => [
      jumpIf(R0, condition, -1, `c${index}`),
      jumpIf32(R0, condition, R0, `c${index}`),
      label(`c${index}`),
    ]),
    exit(),
    label('function'),
    store('u32', R10, -4, 1),
    load('u32', R0, R10, -4),
    exit(),
  ]).instructions
}
