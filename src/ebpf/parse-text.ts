import { assemble, type Item, slotsOf } from './assembler.js'
import { AssemblerError } from './assembler-error.js'
import { plain } from './construct.js'
import type { Instruction } from './instruction.js'
import { FORMS_BY_MNEMONIC, type Form, type OperandSyntax } from './instruction-set.js'
import { LDDW } from './opcodes.js'

/** A line that is an instruction, still without the way to its target. */
interface Statement {
  readonly line: number
  readonly form: Form
  readonly instruction: Instruction
  /** A label, or slots to skip as `+1` and `-2` say it. */
  readonly target?: string | number
}

const TARGET = /^[A-Za-z_][\w.]*$/
const NUMBER = /^[+-]?(0[xX][0-9a-fA-F]+|\d+)$/
const REGISTER = /^%r(\d|10)$/
const MEMORY = /^\[(%r\d+)\s*([+-]\s*(?:0[xX][0-9a-fA-F]+|\d+))?\]$/

/**
 * Assembles text in the syntax of the public conformance vectors.
 *
 *     line        = [ label ":" | instruction ] [ "#" comment ]
 *     instruction = mnemonic { word } [ operand { "," operand } ]
 *     operand     = "%r" 0..10 | number | "[" register [ sign number ] "]" | target
 *     target      = label | sign number        slots to skip
 *
 * Decimal immediates are signed 32 bits, hexadecimal ones are 32 bits as they
 * stand. `exit`, when no label has the name, is the first `exit` instruction.
 * Throws an AssemblerError that names the line.
 */
export function parseText(text: string): readonly Instruction[] {
  const statements: Statement[] = []
  const labels = new Map<string, number>()
  text.split('\n').forEach((source, index) => {
    const line = source.replace(/#.*/, '').trim()
    if (line === '') return
    if (!line.endsWith(':')) statements.push(parseStatement(line, index + 1))
    else if (labels.has(line.slice(0, -1)))
      throw new AssemblerError(`line ${index + 1}: label '${line}' is there twice`)
    else labels.set(line.slice(0, -1), statements.length)
  })
  const exit = statements.findIndex((statement) => statement.form.mnemonic === 'exit')
  if (exit >= 0 && !labels.has('exit')) labels.set('exit', exit)
  return assemble(link(statements, labels)).instructions
}

function parseStatement(line: string, number: number): Statement {
  try {
    const { forms, operands } = splitMnemonic(line)
    const form = forms.find((one) => fits(one.operands, operands))
    if (form) return { line: number, form, ...fill(form, operands) }
    const wanted = forms.map((one) => `${one.mnemonic} ${one.operands.join(', ')}`).join(' or ')
    throw new AssemblerError(`'${line}' has the wrong operands; write ${wanted}`)
  } catch (error) {
    if (error instanceof AssemblerError) throw new AssemblerError(`line ${number}: ${error.message}`)
    throw error
  }
}

/** The mnemonic is the longest run of first words that is one: `lock fetch add`, `call local`. */
function splitMnemonic(line: string): { forms: readonly Form[]; operands: string[] } {
  const words = line.split(/\s+/)
  for (let count = Math.min(3, words.length); count > 0; count--) {
    const forms = FORMS_BY_MNEMONIC.get(words.slice(0, count).join(' '))
    if (!forms) continue
    const rest = words.slice(count).join(' ')
    return { forms, operands: rest === '' ? [] : rest.split(',').map((operand) => operand.trim()) }
  }
  throw new AssemblerError(`there is no instruction '${line}'; mnemonics are those of the conformance vectors`)
}

function fits(syntax: readonly OperandSyntax[], operands: readonly string[]): boolean {
  return syntax.length === operands.length && syntax.every((one, index) => accepts(one, operands[index]))
}

function accepts(syntax: OperandSyntax, operand: string): boolean {
  switch (syntax) {
    case 'dst':
    case 'src':
      return REGISTER.test(operand)
    case '[dst+offset]':
    case '[src+offset]':
      return MEMORY.test(operand)
    case 'target':
    case 'far target':
      return TARGET.test(operand) || NUMBER.test(operand)
    default:
      return NUMBER.test(operand)
  }
}

function fill(form: Form, operands: readonly string[]): Pick<Statement, 'instruction' | 'target'> {
  const fields: Record<string, number> = { src: form.src, offset: form.offset, imm: form.imm }
  if (form.opcode === LDDW) fields['immHigh'] = 0
  let target: string | number | undefined
  form.operands.forEach((syntax, index) => {
    const operand = operands[index]
    if (syntax === 'dst' || syntax === 'src') fields[syntax] = registerOf(operand)
    else if (syntax === 'imm') fields['imm'] = bits32(operand)
    else if (syntax === 'offset') fields['offset'] = inRange(operand, -0x8000, 0x7fff)
    else if (syntax === 'imm64') Object.assign(fields, bits64(operand))
    else if (syntax === 'target' || syntax === 'far target') target = TARGET.test(operand) ? operand : numberOf(operand)
    else {
      const [, base, offset = '0'] = MEMORY.exec(operand)!
      fields[syntax.slice(1, 4)] = registerOf(base!)
      fields['offset'] = inRange(offset.replace(/\s/g, ''), -0x8000, 0x7fff)
    }
  })
  const instruction = { ...plain(form.opcode), ...fields }
  return target === undefined ? { instruction } : { instruction, target }
}

/** Statements and labels to items; `+1` becomes a label that no text can write. */
function link(statements: readonly Statement[], labels: ReadonlyMap<string, number>): Item[] {
  const slots = new Map<number, number>()
  let slot = 0
  const positions = statements.map((statement, index) => {
    slots.set(slot, index)
    const position = slot
    slot += slotsOf(statement.instruction)
    return position
  })
  const targets = statements.map(({ target, line }, index) => {
    if (target === undefined) return undefined
    const found = typeof target === 'string' ? labels.get(target) : slots.get(positions[index] + 1 + target)
    if (found === undefined || found === statements.length)
      throw new AssemblerError(
        `line ${line}: no instruction starts at '${target}'; name a label or count whole instructions`,
      )
    return found
  })
  const used = new Set(targets)
  return statements.flatMap(({ instruction, form }, index): Item[] => {
    const place: Item[] = used.has(index) ? [{ kind: 'label', name: `statement ${index}` }] : []
    const target = targets[index]
    if (target === undefined) return [...place, instruction]
    return [...place, { kind: kindOf(form), target: `statement ${target}`, instruction }]
  })
}

function kindOf(form: Form): 'goto' | 'branch' | 'immediate' {
  if (form.operands.includes('far target')) return 'immediate'
  return form.mnemonic === 'ja' ? 'goto' : 'branch'
}

function registerOf(text: string): number {
  const match = REGISTER.exec(text)
  if (!match) throw new AssemblerError(`there is no register ${text}; use %r0 to %r10`)
  return Number(match[1])
}

function bits32(text: string): number {
  return inRange(text, -0x80000000, /x/i.test(text) ? 0xffffffff : 0x7fffffff) | 0
}

function bits64(text: string): { imm: number; immHigh: number } {
  const negative = text.startsWith('-')
  const magnitude = BigInt(text.replace(/^[+-]/, ''))
  if (magnitude > (negative ? 1n << 63n : (1n << 64n) - 1n))
    throw new AssemblerError(`${text} does not fit into 64 bits`)
  const value = negative ? -magnitude : magnitude
  return { imm: Number(BigInt.asIntN(32, value)), immHigh: Number(BigInt.asIntN(32, value >> 32n)) }
}

function inRange(text: string, low: number, high: number): number {
  const value = numberOf(text)
  if (value < low || value > high) throw new AssemblerError(`${text} is out of range; it must be ${low} to ${high}`)
  return value
}

/** `Number` takes no sign before `0x`. */
function numberOf(text: string): number {
  const magnitude = Number(text.replace(/^[+-]/, ''))
  return text.startsWith('-') ? -magnitude : magnitude
}
