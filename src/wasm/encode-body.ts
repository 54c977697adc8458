import { signed, sized, unsigned, vector } from './binary.js'
import type { Instruction, ValueType } from './instruction.js'
import type { Local, WasmFunction } from './module.js'
import { ModuleError } from './module-error.js'
import { ACCESSES, OPERATIONS } from './operations.js'

/** Value types in the binary format (section 5.3.1). */
export const TYPE_CODES: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e }

const OPEN_CODES = { block: 0x02, loop: 0x03, if: 0x04 } as const
const ELSE = 0x05
const END = 0x0b
const BRANCH_CODES = { br: 0x0c, br_if: 0x0d } as const
const BR_TABLE = 0x0e
const CALL = 0x10
const LOCAL_CODES = { get: 0x20, set: 0x21, tee: 0x22 } as const
const CONSTANT_CODES = { i32: 0x41, i64: 0x42 } as const
/** A block that takes and leaves nothing. */
const NO_RESULT = 0x40
/** log2 of the alignment that an access promises: none. */
const ANY_ALIGNMENT = 0

/**
 * The code of one function (section 5.5.13). Throws ModuleError for a local,
 * label or function that is not there, and for blocks that do not close.
 */
export function encodeBody(definition: WasmFunction, functionIndices: ReadonlyMap<string, number>): number[] {
  const { name, parameters, locals, body } = definition
  const fault = (what: string) => new ModuleError(`the function ${name} ${what}`)
  const localIndices = new Map([...parameters, ...locals].map((local, index) => [local.name, index]))
  const labels: string[] = []

  const indexOf = (indices: ReadonlyMap<string, number>, what: string, wanted: string) => {
    const index = indices.get(wanted)
    if (index === undefined) throw fault(`uses the ${what} ${wanted}, which nothing declares; declare it`)
    return unsigned(index)
  }
  const depthOf = (label: string) => {
    const index = labels.lastIndexOf(label)
    if (index < 0) throw fault(`branches to ${label} outside that block; put the branch into it`)
    return unsigned(labels.length - 1 - index)
  }
  const encode = (instruction: Instruction): number[] => {
    switch (instruction.kind) {
      case 'operation':
        return [OPERATIONS[instruction.operation].opcode]
      case 'constant':
        return [CONSTANT_CODES[instruction.type], ...signed(instruction.value)]
      case 'local':
        return [LOCAL_CODES[instruction.verb], ...indexOf(localIndices, 'local', instruction.name)]
      case 'access':
        return [ACCESSES[instruction.access].opcode, ANY_ALIGNMENT, ...unsigned(instruction.offset)]
      case 'open':
        labels.push(instruction.label)
        return [OPEN_CODES[instruction.verb], NO_RESULT]
      case 'else':
        return [ELSE]
      case 'end':
        if (labels.pop() === undefined) throw fault('has an end too many; leave it out')
        return [END]
      case 'branch':
        return [BRANCH_CODES[instruction.verb], ...depthOf(instruction.label)]
      case 'table':
        return [BR_TABLE, ...vector(instruction.labels.map(depthOf)), ...depthOf(instruction.otherwise)]
      case 'call':
        return [CALL, ...indexOf(functionIndices, 'function', instruction.name)]
    }
  }
  const code = body.flatMap(encode)
  if (labels.length > 0) throw fault(`leaves ${labels.at(-1)} open; add its end`)
  return sized([...encodeLocals(locals), ...code, END])
}

/** Runs of locals of one type are written as one entry. */
function encodeLocals(locals: readonly Local[]): number[] {
  const runs: { type: ValueType; count: number }[] = []
  for (const { type } of locals) {
    const last = runs.at(-1)
    if (last?.type === type) last.count++
    else runs.push({ type, count: 1 })
  }
  return vector(runs.map(({ type, count }) => [...unsigned(count), TYPE_CODES[type]]))
}
