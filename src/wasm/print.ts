import type { Instruction } from './instruction.js'
import type { FunctionImport, MemoryImport, WasmFunction, WasmModule } from './module.js'
import { ACCESSES, OPERATIONS } from './operations.js'

/**
 * The module in the text format (WebAssembly core specification 2.0, chapter
 * 6): one statement a line, with its operands folded into it.
 *
 *     (br_if $n3 (i32.ne (i32.load16_u offset=12 (local.get $frame)) (i32.const 8)))
 */
export function printModule({ memory, imports, functions }: WasmModule): string {
  const takes = new Map(
    [...imports, ...functions].map(({ name, parameters, results }) => [
      name,
      { takes: parameters.length, gives: results.length },
    ]),
  )
  const lines = [
    ...imports.map(printImport),
    ...(memory === null ? [] : [printMemory(memory)]),
    ...functions.flatMap((definition) => printFunction(definition, (name) => takes.get(name)!)),
  ]
  return `(module\n${lines.map((line) => `  ${line}\n`).join('')})\n`
}

function printImport({ module, field, name, parameters, results }: FunctionImport): string {
  const types = [...parameters.map((type) => `(param ${type})`), ...results.map((type) => `(result ${type})`)]
  return `(import "${module}" "${field}" (func ${[identifier(name), ...types].join(' ')}))`
}

function printMemory({ module, field, minimumPages, maximumPages, shared }: MemoryImport): string {
  const limits = [minimumPages, ...(maximumPages === null ? [] : [maximumPages]), ...(shared ? ['shared'] : [])]
  return `(import "${module}" "${field}" (memory ${limits.join(' ')}))`
}

/** What a call takes from the stack and leaves there. */
type CallArity = (name: string) => { readonly takes: number; readonly gives: number }

function printFunction(
  { name, exported, parameters, results, locals, body }: WasmFunction,
  arity: CallArity,
): string[] {
  const head = [
    `(func ${identifier(name)}`,
    ...(exported ? [`(export "${name}")`] : []),
    ...parameters.map((local) => `(param ${identifier(local.name)} ${local.type})`),
    ...results.map((type) => `(result ${type})`),
  ]
  const declared = locals.map((local) => `  (local ${identifier(local.name)} ${local.type})`)
  return [head.join(' '), ...declared, ...printBody(body, arity), ')']
}

function printBody(body: readonly Instruction[], arity: CallArity): string[] {
  const lines: string[] = []
  /** Printed expressions whose value nothing has taken yet. */
  const pending: string[] = []
  let depth = 1
  const line = (text: string) => lines.push(`${'  '.repeat(depth)}${text}`)
  const statement = (text: string) => {
    for (const value of pending.splice(0)) line(value)
    line(text)
  }
  for (const instruction of body) {
    if (isMark(instruction)) {
      depth--
      statement(instruction.kind)
      if (instruction.kind === 'else') depth++
      continue
    }
    const { text, takes, gives } = describe(instruction, arity)
    const operands = pending.splice(Math.max(0, pending.length - takes))
    if (instruction.kind === 'open') {
      for (const operand of operands) statement(operand)
      statement(text)
      depth++
      continue
    }
    const folded = `(${[text, ...operands].join(' ')})`
    if (gives === 1) pending.push(folded)
    else statement(folded)
  }
  for (const value of pending) line(value)
  return lines
}

type Mark = Instruction & { readonly kind: 'else' | 'end' }

function isMark(instruction: Instruction): instruction is Mark {
  return instruction.kind === 'end' || instruction.kind === 'else'
}

function describe(instruction: Exclude<Instruction, Mark>, arity: CallArity) {
  switch (instruction.kind) {
    case 'operation':
      return { text: instruction.operation, ...OPERATIONS[instruction.operation] }
    case 'constant':
      return { text: `${instruction.type}.const ${instruction.value}`, takes: 0, gives: 1 }
    case 'local': {
      const { verb, name } = instruction
      return { text: `local.${verb} ${identifier(name)}`, takes: verb === 'get' ? 0 : 1, gives: verb === 'set' ? 0 : 1 }
    }
    case 'access': {
      const offset = instruction.offset === 0 ? '' : ` offset=${instruction.offset}`
      return { ...ACCESSES[instruction.access], text: `${instruction.access}${offset} align=1` }
    }
    case 'open':
      return {
        text: `${instruction.verb} ${identifier(instruction.label)}`,
        takes: instruction.verb === 'if' ? 1 : 0,
        gives: 0,
      }
    case 'branch':
      return {
        text: `${instruction.verb} ${identifier(instruction.label)}`,
        takes: instruction.verb === 'br' ? 0 : 1,
        gives: 0,
      }
    case 'table': {
      const labels = [...instruction.labels, instruction.otherwise].map(identifier)
      return { text: `br_table ${labels.join(' ')}`, takes: 1, gives: 0 }
    }
    case 'call':
      return { text: `call ${identifier(instruction.name)}`, ...arity(instruction.name) }
  }
}

/** Characters that identifiers may not have become underscores (section 6.3.5). */
function identifier(name: string): string {
  return `$${name.replaceAll(/[^\w!#$%&'*+\-./:<=>?@\\^`|~]/g, '_')}`
}
