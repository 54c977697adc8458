import { type Graph, type LookupTable, placeBoundsChecks } from '../../ir/index.js'
import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, DESCRIPTOR_CAPTURED } from '../../memory/index.js'
import {
  access,
  block,
  brIf,
  end,
  type FunctionImport,
  get,
  type Instruction,
  i32,
  type Local,
  loop,
  type MemoryImport,
  op,
  set,
  tee,
  type WasmFunction,
  type WasmModule,
} from '../../wasm/index.js'
import { NO_RULE, VERDICT_BYTES } from './bundle.js'
import { CAPTURED, emitSteps, JUDGED, RULE, tableName } from './emit-steps.js'
import { FRAME, NEXT_DESCRIPTOR } from './emit-values.js'

/** The memory that a matcher imports; shared memory needs its maximum, in pages of 64 KiB. */
export interface MatcherOptions {
  readonly memory?: { readonly shared: boolean; readonly maximumPages: number }
}

/** Names by which a matcher and its host find each other. */
export const MATCHER = { host: 'sluice', memory: 'memory', sets: 'sets', tables: 'tables', judge: 'judge' } as const

const COUNT = 'count'
const NEXT_VERDICT = 'verdict'
const DESCRIPTORS_END = 'end'
const NEXT_FRAME = 'next'
const NO_FRAMES = 'done'

/** Compiled rules as a plain value. */
export interface Matcher {
  readonly module: WasmModule
  /** What rules of one shape became; table `i` is asked by the imported function `tables.i`. */
  readonly tables: readonly LookupTable[]
}

/**
 * The module that judges frames in linear memory by the rules of `graph`, a
 * bundle a call: `judge(descriptors, count, verdicts)`, two addresses and how
 * many frames there are, in the layout of `memory/formats.ts`. It allocates nothing
 * and reads no byte of a frame beyond those captured. The memory is imported
 * as `sluice.memory`; for each set asked for, `sets.NAME/FAMILY` is a function
 * from the address, one word or four, to 1 or 0.
 */
export function emitMatcher(graph: Graph, { memory }: MatcherOptions = {}): Matcher {
  const { code, locals, sets, tables } = emitSteps(placeBoundsChecks(graph))
  const word = (name: string): Local => ({ name, type: 'i32' })
  const judge: WasmFunction = {
    name: MATCHER.judge,
    exported: true,
    parameters: [NEXT_DESCRIPTOR, COUNT, NEXT_VERDICT].map(word),
    results: [],
    locals: [DESCRIPTORS_END, FRAME, CAPTURED, RULE, ...locals].map(word),
    body: overBundle(code),
  }
  const imports = [
    ...[...sets].map(([name, { words }]) => lookup(MATCHER.sets, name, name, words.length)),
    ...tables.map(({ width }, index) => lookup(MATCHER.tables, String(index), tableName(index), width)),
  ]
  return { module: { memory: memoryImport(memory), imports, functions: [judge] }, tables }
}

/** A function of the host from so many words to one. */
function lookup(module: string, field: string, name: string, words: number): FunctionImport {
  return { module, field, name, parameters: new Array(words).fill('i32'), results: ['i32'] }
}

function memoryImport(memory: MatcherOptions['memory']): MemoryImport {
  return {
    module: MATCHER.host,
    field: MATCHER.memory,
    minimumPages: 1,
    maximumPages: memory?.maximumPages ?? null,
    shared: memory?.shared ?? false,
  }
}

/** `code` once for each frame. */
function overBundle(code: readonly Instruction[]): Instruction[] {
  const advance = (name: string, bytes: number) => [get(name), i32(bytes), op('i32.add')]
  return [
    block(NO_FRAMES),
    ...[get(COUNT), op('i32.eqz'), brIf(NO_FRAMES)],
    ...[get(NEXT_DESCRIPTOR), get(COUNT), i32(DESCRIPTOR_BYTES), op('i32.mul'), op('i32.add'), set(DESCRIPTORS_END)],
    loop(NEXT_FRAME),
    ...[get(NEXT_DESCRIPTOR), access('i32.load', DESCRIPTOR_ADDRESS), set(FRAME)],
    ...[get(NEXT_DESCRIPTOR), access('i32.load', DESCRIPTOR_CAPTURED), set(CAPTURED)],
    ...[i32(NO_RULE), set(RULE)],
    block(JUDGED),
    ...code,
    end,
    ...[get(NEXT_VERDICT), get(RULE), access('i32.store', 0)],
    ...[...advance(NEXT_VERDICT, VERDICT_BYTES), set(NEXT_VERDICT)],
    ...[...advance(NEXT_DESCRIPTOR, DESCRIPTOR_BYTES), tee(NEXT_DESCRIPTOR)],
    ...[get(DESCRIPTORS_END), op('i32.lt_u'), brIf(NEXT_FRAME)],
    end,
    end,
  ]
}
