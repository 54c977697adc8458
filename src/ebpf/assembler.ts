import { AssemblerError } from './assembler-error.js'
import { loadPseudo, narrow, plain, withOperand } from './construct.js'
import type { Instruction } from './instruction.js'
import { ALU, CALL, CALL_OPCODE, CLASS, GOTO, GOTO_LONG, JMP, LDDW, MAY_GOTO, SOURCE_REGISTER } from './opcodes.js'
import type { Relocation } from './program.js'
import type { Operand, Register } from './register.js'

/** When a conditional jump is taken; `s…` compares signed, `&` asks for a common bit. */
export type Condition = keyof typeof CONDITIONS

/** The place that a name stands for: the next instruction. */
interface Label {
  readonly kind: 'label'
  readonly name: string
}

/** An instruction whose offset or immediate is the way to a label. */
interface Reference {
  readonly kind: 'goto' | 'branch' | 'immediate'
  readonly target: string
  readonly instruction: Instruction
}

/** A wide immediate that the loader fills in with the map's descriptor. */
interface MapReference {
  readonly kind: 'map'
  readonly map: string
  readonly instruction: Instruction
}

/** What a program is written in: instructions, labels, and what refers to labels and maps. */
export type Item = Instruction | Label | Reference | MapReference

/** What `assemble` gives, to be spread into a Program. */
export interface Assembled {
  readonly instructions: readonly Instruction[]
  readonly relocations: readonly Relocation[]
}

const CONDITIONS = {
  '==': JMP.eq,
  '!=': JMP.ne,
  '>': JMP.gt,
  '>=': JMP.ge,
  '<': JMP.lt,
  '<=': JMP.le,
  's>': JMP.sgt,
  's>=': JMP.sge,
  's<': JMP.slt,
  's<=': JMP.sle,
  '&': JMP.set,
} as const

/** Each condition with the one that holds exactly when it does not; `&` has none. */
const INVERSE: ReadonlyMap<number, number> = new Map(
  (
    [
      [JMP.eq, JMP.ne],
      [JMP.gt, JMP.le],
      [JMP.ge, JMP.lt],
      [JMP.sgt, JMP.sle],
      [JMP.sge, JMP.slt],
    ] as const
  ).flatMap(([one, other]) => [
    [one, other],
    [other, one],
  ]),
)

/** Names the place of the next instruction. */
export function label(name: string): Item {
  return { kind: 'label', name }
}

/** Go to the label. */
export function jump(target: string): Item {
  return { kind: 'goto', target, instruction: plain(GOTO) }
}

/** Go to the label if the condition holds between 64-bit values; an immediate is sign-extended. */
export function jumpIf(left: Register, condition: Condition, right: Operand, target: string): Item {
  return { kind: 'branch', target, instruction: withOperand(CLASS.jmp | CONDITIONS[condition], left, 0, right) }
}

/** The same between the low 32 bits. */
export function jumpIf32(left: Register, condition: Condition, right: Operand, target: string): Item {
  const opcode = CLASS.jmp32 | CONDITIONS[condition]
  return { kind: 'branch', target, instruction: withOperand(opcode, left, 0, narrow(right)) }
}

/** Go to the label unless the kernel's iteration budget still allows to fall through (Linux 6.9): bounds a loop. */
export function mayGoto(target: string): Item {
  return { kind: 'branch', target, instruction: plain(MAY_GOTO) }
}

/** Call the function at the label: arguments in R1 to R5, a stack frame of its own, R6 to R9 kept. */
export function callLocal(target: string): Item {
  return { kind: 'immediate', target, instruction: plain(CALL_OPCODE, 0, CALL.local) }
}

/** `dst` = the function at the label, for helpers that take a callback. */
export function loadFunction(dst: Register, target: string): Item {
  return { kind: 'immediate', target, instruction: loadPseudo(dst, 'function', 0) }
}

/** `dst` = the map of this name, for helpers that take a map. */
export function loadMap(dst: Register, map: string): Item {
  return { kind: 'map', map, instruction: loadPseudo(dst, 'mapFd', 0) }
}

/** `dst` = address of byte `offset` of the first value of an array map: an access without a helper call. */
export function loadMapValue(dst: Register, map: string, offset = 0): Item {
  return { kind: 'map', map, instruction: loadPseudo(dst, 'mapValue', 0, offset) }
}

/**
 * What the verifier puts in place of a helper's call or of `may_goto` at most (INSN_BUF_SIZE of
 * include/linux/bpf_verifier.h), and of a division by a register, which it guards against 0.
 */
const MOST_OF_CALL = 32
const MOST_OF_DIVISION = 12
/** A short jump's 32,767, but for what accesses to the context become: they look like other loads here, and are few. */
const LONGEST_SHORT = 0x7fff - 512

/**
 * Items to instructions. Jumps that do not reach with 16 bits, also once the
 * verifier has patched what lies between (it refuses the program else), are
 * rewritten with `gotol`: `if a == b goto far` becomes `if a != b goto +1; gotol far`.
 * Throws an AssemblerError for an empty program and for labels that are
 * missing, twice there, or behind the last instruction.
 */
export function assemble(items: readonly Item[]): Assembled {
  const wide = new Set<Item>()
  let layout = place(items, wide)
  while (widen(items, layout, wide)) layout = place(items, wide)
  const instructions: Instruction[] = []
  const relocations: Relocation[] = []
  items.forEach((item, index) => {
    if (!('kind' in item)) instructions.push(item)
    else if (item.kind === 'map') {
      relocations.push({ slot: layout.slots[index], map: item.map })
      instructions.push(item.instruction)
    } else if (item.kind !== 'label') instructions.push(...resolve(item, distance(item, index, layout), wide.has(item)))
  })
  if (instructions.length === 0) throw new AssemblerError('the program is empty; it needs at least `exit`')
  return { instructions, relocations }
}

/** Slots that an instruction takes when encoded. */
export function slotsOf(instruction: Instruction): number {
  return instruction.opcode === LDDW ? 2 : 1
}

interface Layout {
  /** First slot of each item. */
  readonly slots: readonly number[]
  /** Of each item and of each label, the first slot where it lies at most once the verifier has patched the program. */
  readonly patched: readonly number[]
  readonly patchedLabels: ReadonlyMap<string, number>
  readonly labels: ReadonlyMap<string, number>
  readonly end: number
}

function place(items: readonly Item[], wide: ReadonlySet<Item>): Layout {
  const [slots, patched]: [number[], number[]] = [[], []]
  const [labels, patchedLabels] = [new Map<string, number>(), new Map<string, number>()]
  let [slot, patchedSlot] = [0, 0]
  for (const item of items) {
    slots.push(slot)
    patched.push(patchedSlot)
    if ('kind' in item && item.kind === 'label') {
      if (labels.has(item.name)) throw new AssemblerError(`label '${item.name}' is there twice; rename one`)
      labels.set(item.name, slot)
      patchedLabels.set(item.name, patchedSlot)
      continue
    }
    const instruction = 'kind' in item ? item.instruction : item
    const own = wide.has(item) ? wideSlots(instruction) : slotsOf(instruction)
    slot += own
    patchedSlot += Math.max(own, patchedSlots(instruction))
  }
  return { slots, patched, labels, patchedLabels, end: slot }
}

/** Instructions that the verifier makes of one at most (do_misc_fixups of kernel/bpf/verifier.c). */
function patchedSlots({ opcode }: Instruction): number {
  if (opcode === CALL_OPCODE || opcode === MAY_GOTO) return MOST_OF_CALL
  const isArithmetic = (opcode & 7) === CLASS.alu || (opcode & 7) === CLASS.alu64
  const isDivision = (opcode & 0xf0) === ALU.div || (opcode & 0xf0) === ALU.mod
  return isArithmetic && isDivision && (opcode & SOURCE_REGISTER) !== 0 ? MOST_OF_DIVISION : 1
}

/** Marks what does not reach; true when there was something. Marks are never taken back, so this ends. */
function widen(items: readonly Item[], layout: Layout, wide: Set<Item>): boolean {
  const before = wide.size
  items.forEach((item, index) => {
    if (!('kind' in item) || (item.kind !== 'goto' && item.kind !== 'branch') || wide.has(item)) return
    const target = layout.patchedLabels.get(item.target)
    if (target !== undefined && Math.abs(target - layout.patched[index]! - 1) > LONGEST_SHORT) wide.add(item)
  })
  return wide.size > before
}

/** From the slot after a one-slot instruction at the item's place to the label. */
function distance(item: Reference, index: number, layout: Layout): number {
  const target = layout.labels.get(item.target)
  if (target === undefined)
    throw new AssemblerError(`label '${item.target}' is used but not defined; put label('${item.target}') somewhere`)
  if (target === layout.end)
    throw new AssemblerError(`label '${item.target}' is behind the last instruction; put an exit after it`)
  return target - layout.slots[index] - 1
}

function resolve(item: Reference, far: number, isWide: boolean): Instruction[] {
  const { instruction } = item
  if (item.kind === 'immediate') return [{ ...instruction, imm: far }]
  if (!isWide) return [{ ...instruction, offset: far }]
  if (item.kind === 'goto') return [gotoLong(far)]
  const inverse = inverted(instruction)
  if (inverse) return [{ ...inverse, offset: 1 }, gotoLong(far - 1)]
  return [{ ...instruction, offset: 1 }, plain(GOTO, 0, 0, 1), gotoLong(far - 2)]
}

function wideSlots(instruction: Instruction): number {
  if (instruction.opcode === GOTO) return 1
  return inverted(instruction) ? 2 : 3
}

function inverted(instruction: Instruction): Instruction | undefined {
  const inverse = INVERSE.get(instruction.opcode & 0xf0)
  return inverse === undefined ? undefined : { ...instruction, opcode: (instruction.opcode & 0x0f) | inverse }
}

function gotoLong(distance: number): Instruction {
  return plain(GOTO_LONG, 0, 0, 0, distance)
}
