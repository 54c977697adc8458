import { setMapName } from '../codegen/index.js'
import { compilePolicy, type PolicyWarning } from '../compile-policy.js'
import { type PolicyProgram, slotsOf } from '../ebpf/index.js'
import { describeExpression, parseFilter } from '../filter/index.js'
import { buildGraph, type Graph, threadJumps } from '../ir/index.js'
import { loadPolicy } from '../loader/index.js'
import { describeRule, type Policy, type SetContents } from '../policy/index.js'
import { DeviceError, findDevice } from './device.js'
import { askKernel, figuresOf, type KernelAnswer, type PacketRead, readsIn } from './explain.js'
import { readPolicyFile } from './policy-file.js'
import { numberedDevices } from './policy-forms.js'
import { policySource } from './policy-source.js'

/** What a policy is, what it looks at and what it costs. */
export interface PolicyExplanation {
  readonly rules: readonly ExplainedRule[]
  /** A packet meets them in turn. */
  readonly segments: readonly ExplainedSegment[]
  readonly sets: readonly ExplainedSet[]
  /** 8-byte slots of the program. */
  readonly instructions: number
  /** What only the kernel can tell; or why it was not asked. */
  readonly kernel: KernelAnswer
  readonly warnings: readonly PolicyWarning[]
}

export interface ExplainedRule {
  readonly name: string
  readonly match: string
  /** In words: action, limits, mode, lifetime. */
  readonly does: string
  /** What it matches, a line for each thing it asks. */
  readonly meaning: readonly string[]
  /** By itself; in the program, other rules may have read it before. */
  readonly reads: readonly PacketRead[]
}

/** Rules whose first match decides, as one graph. */
export interface ExplainedSegment {
  /** How many. */
  readonly rules: number
  readonly decisions: number
  readonly checks: number
  /** Look-up tables: how many rules are in each, and how many numbers it is asked for. A rule may be in several. */
  readonly tables: readonly { readonly rules: number; readonly width: number }[]
}

export interface ExplainedSet {
  readonly name: string
  /** Prefixes, without those that lie inside others. */
  readonly v4: number
  readonly v6: number
  /** Of kernel memory, both halves of each map; 0 where no rule asks for the set. */
  readonly bytes: number
}

/**
 * Fewer runs a sample than for one rule: a policy may take a hundred times as
 * long, and the kernel's clock is as good for a hundred thousand.
 */
const REPEAT = 100_000

/**
 * Explains the policy in `file`. The program is loaded to be measured, and
 * attached nowhere. Throws PolicyFileError, PolicyError, SetError, and
 * LoadError where the verifier refuses it.
 */
export function explainPolicy(file: string): PolicyExplanation {
  const { policy, sets, placeOf } = readPolicyFile(file)
  const { warnings, conditions } = compilePolicy(policy, { placeOf })
  const source = policySource(policy, { sets, conditions, interfaceIndex: numberedDevices(), placeOf })
  const slots = policy.rules.map((_, rule) => rule)
  const program = source.compile(slots, Math.max(slots.length, 1))
  const names = new Set(sets.keys())
  return {
    rules: policy.rules.map((rule, index) => ({
      name: rule.name,
      match: rule.match,
      does: describeRule(rule, policy.tables),
      meaning: describeExpression(parseFilter(rule.match, { sets: names }).expression),
      reads: readsIn(threadJumps(buildGraph([source.conditions[index]!]))),
    })),
    segments: source.segments().map(({ graph, rules }) => ({
      rules: rules.length,
      ...figuresOf(graph),
      tables: tablesIn(graph),
    })),
    sets: [...sets].map(([name, contents]) => explainSet(name, contents, program)),
    instructions: program.instructions.reduce((sum, instruction) => sum + slotsOf(instruction), 0),
    kernel: askAboutPolicy(policy, sets),
    warnings,
  }
}

/** Several ways through a graph may ask one table. */
function tablesIn({ nodes }: Graph): ExplainedSegment['tables'] {
  const tables = new Map(nodes.flatMap((node) => (node.kind === 'lookup' ? [[node.table.key, node.table]] : [])))
  return [...tables.values()].map(({ rules, width }) => ({ rules: new Set(rules).size, width }))
}

function explainSet(name: string, { v4, v6 }: SetContents, { maps }: PolicyProgram): ExplainedSet {
  const own = new Set([setMapName(name, 4), setMapName(name, 6)])
  const bytes = maps.reduce((sum, map) => sum + (own.has(map.name) ? map.valueBytes * map.maxEntries : 0), 0)
  return { name, v4: v4.lengths.length, v6: v6.lengths.length, bytes }
}

function askAboutPolicy(policy: Policy, sets: ReadonlyMap<string, SetContents>): KernelAnswer {
  try {
    // With this machine's devices, which the kernel checks.
    const source = policySource(policy, { sets, interfaceIndex: (device) => findDevice(device).index })
    return askKernel(() => {
      const loaded = loadPolicy(source)
      return { ...loaded.program, close: loaded.close }
    }, REPEAT)
  } catch (error) {
    if (error instanceof DeviceError) return { refusal: error.message }
    throw error
  }
}
