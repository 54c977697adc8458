import { slotsOf } from './assembler.js'
import { AssemblerError } from './assembler-error.js'
import type { Instruction } from './instruction.js'
import { FORMS_BY_OPCODE, type Form, type OperandSyntax } from './instruction-set.js'
import { CALL, CALL_OPCODE, CLASS, EXIT_OPCODE, GOTO, GOTO_LONG, LDDW, WIDE } from './opcodes.js'

/** Fields that an instruction's operands fill. */
const FILLED: Readonly<Record<OperandSyntax, readonly (keyof Instruction)[]>> = {
  dst: ['dst'],
  src: ['src'],
  imm: ['imm'],
  imm64: ['imm', 'immHigh'],
  offset: ['offset'],
  '[dst+offset]': ['dst', 'offset'],
  '[src+offset]': ['src', 'offset'],
  target: ['offset'],
  'far target': ['imm'],
}

/** What is wrong with one instruction alone: unknown opcode, register or non-zero reserved field; undefined if nothing is. */
export function faultOf(instruction: Instruction): string | undefined {
  const forms = FORMS_BY_OPCODE.get(instruction.opcode)
  if (!forms) return `unknown opcode 0x${instruction.opcode.toString(16).padStart(2, '0')}`
  let nearest: string[] | undefined
  for (const form of forms) {
    const faults = mismatches(instruction, form)
    if (faults.length === 0) return undefined
    if (!nearest || faults.length < nearest.length) nearest = faults
  }
  return nearest![0]
}

/**
 * Checks a program as a whole, as far as the kernel's verifier does before it
 * follows the paths: every instruction, every jump within its function and to
 * the start of an instruction, no function running off its end, R10 never
 * written. Throws an AssemblerError that names the slot.
 */
export function validate(instructions: readonly Instruction[]): void {
  if (instructions.length === 0) throw new AssemblerError('the program is empty; it needs at least `exit`')
  const starts = new Map<number, Instruction>()
  let end = 0
  for (const instruction of instructions) {
    const fault = faultOf(instruction) ?? (writesFrame(instruction) ? 'R10 is read-only; copy it first' : undefined)
    if (fault) throw new AssemblerError(`slot ${end}: ${fault}`)
    starts.set(end, instruction)
    end += slotsOf(instruction)
  }
  const functions = functionsOf(starts)
  functions.forEach((first, index) => {
    if (!starts.has(first)) throw new AssemblerError(`a call goes to slot ${first}, where no instruction starts`)
    checkFunction(starts, first, functions[index + 1] ?? end)
  })
}

/** Slots from the next one to the jump's target; undefined for what does not jump. */
export function jumpDistance(instruction: Instruction): number | undefined {
  const { opcode } = instruction
  if (opcode === GOTO_LONG) return instruction.imm
  const width = opcode & 7
  if (opcode === CALL_OPCODE || opcode === EXIT_OPCODE || (width !== CLASS.jmp && width !== CLASS.jmp32))
    return undefined
  return instruction.offset
}

/** Slots from the next one to the function that is called or whose address is taken; undefined for everything else. */
export function functionDistance({ opcode, src, imm }: Instruction): number | undefined {
  const isReference = (opcode === CALL_OPCODE && src === CALL.local) || (opcode === LDDW && src === WIDE.function)
  return isReference ? imm : undefined
}

function mismatches(instruction: Instruction, form: Form): string[] {
  const filled = new Set(form.operands.flatMap((operand) => FILLED[operand]))
  const faults: string[] = []
  const fixed = { dst: 0, src: form.src, offset: form.offset, imm: form.imm, immHigh: 0 } as const
  for (const field of ['dst', 'src', 'offset', 'imm', 'immHigh'] as const) {
    const value = instruction[field] ?? 0
    if (!filled.has(field)) {
      if (value !== fixed[field]) faults.push(`${field} of ${form.mnemonic} must be ${fixed[field]}, not ${value}`)
    } else if ((field === 'dst' || field === 'src') && value > 10)
      faults.push(`there is no register ${value}; use 0 to 10`)
  }
  return faults
}

function writesFrame(instruction: Instruction): boolean {
  const width = instruction.opcode & 7
  return (
    instruction.dst === 10 &&
    (width === CLASS.alu || width === CLASS.alu64 || width === CLASS.ldx || width === CLASS.ld)
  )
}

function functionsOf(starts: ReadonlyMap<number, Instruction>): number[] {
  const functions = new Set([0])
  for (const [slot, instruction] of starts) {
    const distance = functionDistance(instruction)
    if (distance !== undefined) functions.add(slot + 1 + distance)
  }
  return [...functions].sort((a, b) => a - b)
}

function checkFunction(starts: ReadonlyMap<number, Instruction>, first: number, end: number): void {
  let last = 0
  for (let slot = first; slot < end; slot++) {
    const instruction = starts.get(slot)
    if (!instruction) continue
    last = instruction.opcode
    const distance = jumpDistance(instruction)
    if (distance === undefined) continue
    const target = slot + 1 + distance
    if (target < first || target >= end)
      throw new AssemblerError(
        `slot ${slot}: the jump to slot ${target} leaves its function, slots ${first} to ${end - 1}`,
      )
    if (!starts.has(target))
      throw new AssemblerError(`slot ${slot}: the jump goes to slot ${target}, the second half of a wide immediate`)
  }
  if (last !== EXIT_OPCODE && last !== GOTO && last !== GOTO_LONG)
    throw new AssemblerError(`slot ${end - 1}: the function runs off its end; finish it with exit`)
}
