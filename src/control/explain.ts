import { compileRule } from '../compile.js'
import { slotsOf, XDP } from '../ebpf/index.js'
import { describeExpression } from '../filter/index.js'
import { type Graph, loadsOf, printValue, type Value, valuesOf } from '../ir/index.js'
import { testRun } from '../kernel/index.js'
import {
  LoadError,
  type LoadedProgram,
  loadProgram,
  type VerifierStatistics,
  verifierStatistics,
} from '../loader/index.js'
import { asFilterError } from './filter-error.js'
import { checkLinkType } from './link-type.js'
import { SAMPLE_FRAMES } from './sample-frames.js'

/** What a rule is, what it looks at and what it costs. */
export interface Explanation {
  /** In words, a line for each thing it asks. */
  readonly meaning: readonly string[]
  readonly reads: readonly PacketRead[]
  readonly decisions: number
  /** Bounds checks: one covers a run of reads. */
  readonly checks: number
  /** 8-byte slots of the program that drops what matches, its counters included. */
  readonly instructions: number
  /** What only the kernel can tell; or why it was not asked. */
  readonly kernel: KernelAnswer
}

export type KernelAnswer = KernelFigures | { readonly refusal: string }

/** Bytes that deciding may read: from 0 at the packet's start, or behind a computed place. */
export interface PacketRead {
  /** The computed place, as the IR prints it; null is the packet's start. */
  readonly behind: string | null
  readonly from: number
  readonly to: number
}

/** Figures of this kernel on this machine. */
export interface KernelFigures {
  readonly verifier: VerifierStatistics | null
  readonly machineCodeBytes: number
  /** By BPF_PROG_TEST_RUN, the kernel's loop of about 5 ns included. */
  readonly nanoseconds: readonly { readonly packet: string; readonly verdict: Verdict; readonly ns: number }[]
}

/** What a program says of a packet; its last word where that changes, as behind a limit. */
type Verdict = 'drop' | 'pass' | 'redirect'

const REPEAT = 1_000_000

/** Explains `drop EXPRESSION`. Throws FilterError or LinkTypeError; without rights the kernel's part says so. */
export function explainRule(expression: string, linkType: string): Explanation {
  checkLinkType(linkType, '--link-type')
  try {
    const { filters, optimized, program } = compileRule({ match: expression, action: 'drop' }, { linkType })
    return {
      meaning: describeExpression(filters[0]!.expression),
      reads: readsIn(optimized),
      ...figuresOf(optimized),
      instructions: program.instructions.reduce((slots, instruction) => slots + slotsOf(instruction), 0),
      kernel: askKernel(() => loadProgram(program), REPEAT),
    }
  } catch (error) {
    throw asFilterError(error, expression) ?? error
  }
}

/** How often a graph decides, by a test or a table, and how often it checks bounds. */
export function figuresOf({ nodes }: Graph): { readonly decisions: number; readonly checks: number } {
  return {
    decisions: nodes.filter(({ kind }) => kind === 'decision' || kind === 'lookup').length,
    checks: nodes.filter(({ kind }) => kind === 'check').length,
  }
}

/** The bytes that a graph may read, in runs. */
export function readsIn({ nodes }: Graph): PacketRead[] {
  const bytes = new Map<string | null, Set<number>>()
  for (const node of nodes) {
    const values: readonly Value[] =
      node.kind === 'decision' ? valuesOf(node.test) : node.kind === 'lookup' ? node.values : []
    for (const { base, offset, size } of values.flatMap((value) => loadsOf(value))) {
      const behind = base === null ? null : printValue(base)
      const read = bytes.get(behind) ?? new Set()
      for (let at = offset; at < offset + size; at++) read.add(at)
      bytes.set(behind, read)
    }
  }
  return [...bytes].flatMap(([behind, read]) => runsOf(read).map(([from, to]) => ({ behind, from, to })))
}

/** First and last of each run of consecutive numbers. */
function runsOf(numbers: ReadonlySet<number>): [number, number][] {
  const runs: [number, number][] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last !== undefined && last[1] === number - 1) last[1] = number
    else runs.push([number, number])
  }
  return runs
}

/** Loads a program, asks the kernel for its figures with `repeat` runs on each sample frame, and closes it again. */
export function askKernel(load: () => LoadedProgram, repeat: number): KernelAnswer {
  let loaded: LoadedProgram
  try {
    loaded = load()
  } catch (error) {
    if (error instanceof LoadError) return { refusal: error.message }
    throw error
  }
  try {
    return {
      verifier: verifierStatistics(loaded),
      machineCodeBytes: loaded.info.jitedBytes,
      nanoseconds: Object.entries(SAMPLE_FRAMES).map(([packet, data]) => {
        const { retval, durationNs } = testRun({ fd: loaded.fd, data, repeat })
        return { packet, verdict: verdictOf(retval), ns: durationNs }
      }),
    }
  } finally {
    loaded.close()
  }
}

function verdictOf(answer: number): Verdict {
  return answer === XDP.drop ? 'drop' : answer === XDP.redirect ? 'redirect' : 'pass'
}
