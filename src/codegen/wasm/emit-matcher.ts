import { type Graph, placeBoundsChecks } from '../../ir/index.js'
import {
  access,
  block,
  brIf,
  end,
  type FunctionImport,
  get,
  type Instruction,
  i32,
  loop,
  op,
  set,
  tee,
  type WasmModule,
} from '../../wasm/index.js'
import { DESCRIPTOR, NO_RULE, VERDICT_BYTES } from './bundle.js'
import { CAPTURED, emitSteps, JUDGED, RULE } from './emit-steps.js'
import { FRAME, NEXT_DESCRIPTOR } from './emit-values.js'

/** The memory that a matcher imports; shared memory needs its maximum, in pages of 64 KiB. */
export interface MatcherOptions {
  readonly memory?: { readonly shared: boolean; readonly maximumPages: number }
}

/** Names by which a matcher and its host find each other. */
export const MATCHER = { host: 'sluice', memory: 'memory', sets: 'sets', judge: 'judge' } as const

const COUNT = 'count'
const NEXT_VERDICT = 'verdict'
const DESCRIPTORS_END = 'end'
const NEXT_FRAME = 'next'
const NO_FRAMES = 'done'

/**
 * The module that judges frames in linear memory by the rules of `graph`, a
 * bundle a call: `judge(descriptors, count, verdicts)`, two addresses and how
 * many frames there are, in the layout of `DESCRIPTOR`. It allocates nothing
 * and reads no byte of a frame beyond those captured. The memory is imported
 * as `sluice.memory`; for each set asked for, `sets.NAME/FAMILY` is a function
 * from the address, one word or four, to 1 or 0.
 */
export function emitMatcher(graph: Graph, { memory }: MatcherOptions = {}): WasmModule {
  const { code, locals, lookups } = emitSteps(placeBoundsChecks(graph))
  const parameters = [NEXT_DESCRIPTOR, COUNT, NEXT_VERDICT]
  const declared = [DESCRIPTORS_END, FRAME, CAPTURED, RULE, ...locals]
  return {
    memory: {
      module: MATCHER.host,
      field: MATCHER.memory,
      minimumPages: 1,
      maximumPages: memory?.maximumPages ?? null,
      shared: memory?.shared ?? false,
    },
    imports: [...lookups].map(
      ([name, { words }]): FunctionImport => ({
        module: MATCHER.sets,
        field: name,
        name,
        parameters: words.map(() => 'i32'),
        results: ['i32'],
      }),
    ),
    functions: [
      {
        name: MATCHER.judge,
        exported: true,
        parameters: parameters.map((name) => ({ name, type: 'i32' })),
        results: [],
        locals: declared.map((name) => ({ name, type: 'i32' })),
        body: overBundle(code),
      },
    ],
  }
}

/** `code` once for each frame. */
function overBundle(code: readonly Instruction[]): Instruction[] {
  const advance = (name: string, bytes: number) => [get(name), i32(bytes), op('i32.add')]
  return [
    block(NO_FRAMES),
    ...[get(COUNT), op('i32.eqz'), brIf(NO_FRAMES)],
    ...[get(NEXT_DESCRIPTOR), get(COUNT), i32(DESCRIPTOR.bytes), op('i32.mul'), op('i32.add'), set(DESCRIPTORS_END)],
    loop(NEXT_FRAME),
    ...[get(NEXT_DESCRIPTOR), access('i32.load', DESCRIPTOR.offset), set(FRAME)],
    ...[get(NEXT_DESCRIPTOR), access('i32.load', DESCRIPTOR.captured), set(CAPTURED)],
    ...[i32(NO_RULE), set(RULE)],
    block(JUDGED),
    ...code,
    end,
    ...[get(NEXT_VERDICT), get(RULE), access('i32.store', 0)],
    ...[...advance(NEXT_VERDICT, VERDICT_BYTES), set(NEXT_VERDICT)],
    ...[...advance(NEXT_DESCRIPTOR, DESCRIPTOR.bytes), tee(NEXT_DESCRIPTOR)],
    ...[get(DESCRIPTORS_END), op('i32.lt_u'), brIf(NEXT_FRAME)],
    end,
    end,
  ]
}
