import { type Graph, placeBoundsChecks } from '../../ir/index.js'
import { DESCRIPTOR_ADDRESS, DESCRIPTOR_BYTES, DESCRIPTOR_CAPTURED, MATCHER } from '../../memory/index.js'
import {
  access,
  block,
  brIf,
  end,
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
import { CAPTURED, emitSteps, JUDGED, RULE } from './emit-steps.js'
import { FRAME, NEXT_DESCRIPTOR } from './emit-values.js'
import { IMAGES, type MatcherImage } from './lookups.js'

/** The memory that a matcher imports; shared memory needs its maximum, in pages of 64 KiB. */
export interface MatcherOptions {
  readonly memory?: { readonly shared: boolean; readonly maximumPages: number }
}

const COUNT = 'count'
const NEXT_VERDICT = 'verdict'
const DESCRIPTORS_END = 'end'
const NEXT_FRAME = 'next'
const NO_FRAMES = 'done'

/** Compiled rules as a plain value. */
export interface Matcher {
  readonly module: WasmModule
  /** What it looks into, in the order of the list of addresses that it is handed. */
  readonly images: readonly MatcherImage[]
}

/**
 * The module that judges frames in linear memory by the rules of `graph`, a
 * bundle a call: `judge(descriptors, count, verdicts, images)`, where `count`
 * is how many there are, and `images` the address of a list of addresses, one
 * for each image that look-ups read. It allocates nothing and reads no byte of
 * a frame beyond those captured. The memory is imported as `sluice.memory`.
 */
export function emitMatcher(graph: Graph, { memory }: MatcherOptions = {}): Matcher {
  const { code, locals, images, functions } = emitSteps(placeBoundsChecks(graph))
  const word = (name: string): Local => ({ name, type: 'i32' })
  const judge: WasmFunction = {
    name: MATCHER.judge,
    exported: true,
    parameters: [NEXT_DESCRIPTOR, COUNT, NEXT_VERDICT, IMAGES].map(word),
    results: [],
    locals: [DESCRIPTORS_END, FRAME, CAPTURED, RULE, ...locals].map(word),
    body: overBundle(code),
  }
  return { module: { memory: memoryImport(memory), imports: [], functions: [judge, ...functions] }, images }
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
