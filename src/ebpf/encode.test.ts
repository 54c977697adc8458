import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '../../test/support/random.js'
import { decode, encode, type Instruction, parseText } from './index.js'
import { type Form, INSTRUCTION_SET, type OperandSyntax } from './instruction-set.js'

const TARGETS: readonly OperandSyntax[] = ['target', 'far target']

test('every form of the instruction set survives encoding', (context) => {
  const random = seededRandom(context, 'ebpf/encode')
  for (let round = 0; round < 20; round++) {
    const instructions = INSTRUCTION_SET.map((form) => randomInstruction(form, random))
    assert.deepEqual(decode(encode(instructions)), instructions)
  }
})

test('every form can be written as text', (context) => {
  const random = seededRandom(context, 'ebpf/encode')
  for (const form of INSTRUCTION_SET) {
    const instruction = randomInstruction(form, random)
    const operands = form.operands.map((operand) => written(operand, instruction))
    const text = `${form.mnemonic} ${operands.join(', ')}`
    // Two slots to each side, for the jumps.
    const around = ['mov %r0, 0', 'mov %r0, 0', text, 'mov %r0, 0', 'mov %r0, 0', 'exit']
    const expected = form.operands.some((operand) => TARGETS.includes(operand))
      ? nearby(form, instruction)
      : instruction
    assert.deepEqual(parseText(around.join('\n'))[2], expected, text)
  }
})

test('a bit set in a reserved field is refused', (context) => {
  const random = seededRandom(context, 'ebpf/encode')
  let refused = 0
  for (const form of INSTRUCTION_SET) {
    const instruction = randomInstruction(form, random)
    for (const field of ['dst', 'src', 'offset', 'imm'] as const) {
      if (isFilled(form, field)) continue
      // No form of any opcode has these values, so none can take the instruction for its own.
      const broken = { ...instruction, [field]: field === 'dst' || field === 'src' ? 9 : 0x7abc }
      assert.throws(() => decode(encode([broken])), { name: 'AssemblerError' }, `${form.mnemonic}: ${field}`)
      refused++
    }
  }
  assert.ok(refused > 200)
})

test('what is no program is refused', () => {
  const refused = (...bytes: number[]) => {
    try {
      decode(Uint8Array.from(bytes))
    } catch (error) {
      return String(error)
    }
    return 'accepted'
  }
  assert.match(refused(), /a program of 0 bytes/)
  assert.match(refused(0x95, 0, 0), /a program of 3 bytes/)
  assert.match(refused(0xff, 0, 0, 0, 0, 0, 0, 0), /slot 0: unknown opcode 0xff/)
  assert.match(refused(0xb7, 0x0b, 0, 0, 0, 0, 0, 0), /slot 0: there is no register 11/)
  assert.match(refused(0x18, 0, 0, 0, 0, 0, 0, 0), /slot 0: the second half of the wide immediate is missing/)
})

function isFilled(form: Form, field: 'dst' | 'src' | 'offset' | 'imm'): boolean {
  const others: readonly OperandSyntax[] = field === 'offset' ? ['target'] : field === 'imm' ? ['far target'] : []
  return form.operands.some((operand) => operand.includes(field) || others.includes(operand))
}

function randomInstruction(form: Form, random: Random): Instruction {
  const instruction = {
    opcode: form.opcode,
    dst: isFilled(form, 'dst') ? random.below(11) : 0,
    src: isFilled(form, 'src') ? random.below(11) : form.src,
    offset: isFilled(form, 'offset') ? (random.word() << 16) >> 16 : form.offset,
    imm: isFilled(form, 'imm') ? random.word() | 0 : form.imm,
  }
  if (form.opcode !== 0x18) return instruction
  return { ...instruction, immHigh: form.operands.includes('imm64') ? random.word() | 0 : 0 }
}

function written(operand: OperandSyntax, { dst, src, offset, imm, immHigh = 0 }: Instruction): string {
  switch (operand) {
    case 'dst':
      return `%r${dst}`
    case 'src':
      return `%r${src}`
    case 'imm':
      return `${imm}`
    case 'imm64':
      return `0x${((BigInt(immHigh >>> 0) << 32n) | BigInt(imm >>> 0)).toString(16)}`
    case 'offset':
      return `${offset}`
    case '[dst+offset]':
      return `[%r${dst}${offset < 0 ? offset : `+${offset}`}]`
    case '[src+offset]':
      return `[%r${src}${offset < 0 ? offset : `+${offset}`}]`
    default:
      return '-3'
  }
}

/** The instruction with the distance that `written` gives every jump. */
function nearby(form: Form, instruction: Instruction): Instruction {
  return form.operands.includes('target') ? { ...instruction, offset: -3 } : { ...instruction, imm: -3 }
}
