import {
  cutIntoSegments,
  emitPolicy,
  type LimitKey,
  type PolicyLayout,
  type PolicyOptions,
  type RuleAction,
  type RuleCode,
  type SetsByName,
  setImage,
  setMapName,
} from '../codegen/index.js'
import { parseFilter } from '../filter/index.js'
import { type Condition, type Graph, lower, optimizeRules } from '../ir/index.js'
import { possibleCpus } from '../kernel/index.js'
import type { PolicySource } from '../loader/index.js'
import {
  type Action,
  type Lifetime,
  type LimitAction,
  type PlaceOf,
  type Policy,
  PolicyError,
  type PolicyFault,
  type Rule,
  type SetContents,
} from '../policy/index.js'

/** What the names of a policy stand for on this machine. */
export interface PolicySurroundings {
  /** What each set of the policy holds. */
  readonly sets: ReadonlyMap<string, SetContents>
  /** Rules of Sluice's own, which are asked first. */
  readonly inFront?: readonly Rule[]
  /** What the policy's rules ask, where `compilePolicy` has found it out already for Ethernet. */
  readonly conditions?: readonly Condition[]
  /** The interface index of a device. Throws where there is none. */
  interfaceIndex(device: string): number
  /**
   * Whether diverted packets carry their type, flow hash and rule before the
   * packet (METADATA_… of `sluice/memory`), for the stage `classify`. By default not.
   */
  readonly metadata?: boolean
  /** Whether packets that are diverted from a queue without a socket are dropped, which is counted, and do not pass. By default they pass. */
  readonly dropWithoutSocket?: boolean
  /** Interface indices of devices at which what passes goes on to a program of their own (`LoadedPolicy.putBehind`). */
  readonly behind?: readonly number[]
  /** Where a part of the policy stands, for its faults; without it that is its path, `rules[2].cpu`. */
  readonly placeOf?: PlaceOf
}

/** Receive queues that packets can be diverted from; more than any device has today. */
const QUEUES = 256

/** A run of rules with its graph, in which leaf `i` is rule `rules[i]` of the policy; packets may go on behind its last. */
export interface PreparedSegment {
  readonly graph: Graph
  readonly rules: readonly number[]
}

/** A policy made ready for the loader, with what its program is made of. */
export interface PreparedPolicy extends PolicySource {
  /** What each rule asks, in the order of the rules. */
  readonly conditions: readonly Condition[]
  /** After all rewrites. */
  segments(): readonly PreparedSegment[]
}

/**
 * A policy made ready for `loadPolicy`: each match is compiled once, here.
 * Throws FilterError and UnsupportedError for a match, and whatever
 * `interfaceIndex` throws. Its program is for this machine: `compile` throws
 * PolicyError for rules that steer to a CPU that there is not.
 */
export function policySource(policy: Policy, surroundings: PolicySurroundings): PreparedPolicy {
  const { inFront = [], sets, metadata = false, dropWithoutSocket = false, behind, placeOf } = surroundings
  const names = new Set(Object.keys(policy.sets))
  const conditionsOf = (rules: readonly Rule[]) => rules.map(({ match }) => conditionOf(match, names))
  const conditions = [...conditionsOf(inFront), ...(surroundings.conditions ?? conditionsOf(policy.rules))]
  const whole = { ...policy, rules: [...inFront, ...policy.rules] }
  const prepared = prepareRules(whole.rules, conditions, surroundings)
  const requireCpus = () => refuseMissingCpus(policy, placeOf)
  const options = { metadata, dropWithoutSocket, ...(behind && { behind }) }
  return sourceOf({ policy: whole, inFront: inFront.length, prepared, options, requireCpus }, sets)
}

/** What of a policy does not depend on its slots and on what its sets hold. */
interface PreparedRules {
  readonly conditions: readonly Condition[]
  codeOf(rule: number, slot: number): RuleCode
  /** Of the first `count` rules. */
  segments(count: number): readonly PreparedSegment[]
}

function prepareRules(
  rules: readonly Rule[],
  conditions: readonly Condition[],
  surroundings: PolicySurroundings,
): PreparedRules {
  const actions = rules.map(({ action }) => actionOf(action, surroundings))
  const codeOf = (rule: number, slot: number): RuleCode => {
    const { mode, lifetime } = rules[rule]!
    return { slot, action: actions[rule]!, isShadow: mode === 'shadow', hasEnd: lifetime !== null }
  }
  const segmentsOf = (count: number): PreparedSegment[] =>
    cutIntoSegments(
      rules.slice(0, count).map((_, rule) => rule),
      (rule) => codeOf(rule, 0),
    ).map((part) => ({ graph: optimizeRules(part.map((rule) => conditions[rule]!)), rules: part }))
  let whole: readonly PreparedSegment[] | null = null
  return {
    conditions,
    codeOf,
    segments(count) {
      if (count < rules.length) return segmentsOf(count)
      whole ??= segmentsOf(count)
      return whole
    },
  }
}

/** A policy without what its sets hold. */
interface Parts {
  readonly policy: Policy
  readonly inFront: number
  readonly prepared: PreparedRules
  readonly options: Pick<PolicyOptions, 'metadata' | 'dropWithoutSocket' | 'behind'>
  /** Throws PolicyError. */
  requireCpus(): void
}

function sourceOf(parts: Parts, setContents: SetsByName): PreparedPolicy {
  const { policy, inFront, prepared, options, requireCpus } = parts
  return {
    inFront,
    sets: setContents,
    rules: policy.rules.map((rule) => ({
      name: rule.name,
      identity: identityOf(rule),
      endsInMs: rule.lifetime === null ? null : endsInMs(rule.lifetime),
    })),
    conditions: prepared.conditions,
    segments: () => prepared.segments(policy.rules.length),
    compile(slots, capacity) {
      requireCpus()
      const segments = prepared.segments(slots.length).map(({ graph, rules }) => ({
        graph,
        rules: rules.map((rule) => prepared.codeOf(rule, slots[rule]!)),
      }))
      return emitPolicy(segments, { layout: layoutOf(policy, capacity), multiBuffer: true, ...options, setContents })
    },
    withSet(name, contents) {
      if (!Object.hasOwn(policy.sets, name))
        throw new RangeError(`the policy has no set "${name}": declare it, or replace the policy as a whole`)
      return sourceOf(parts, new Map(setContents).set(name, contents))
    },
    setImages: (name) =>
      FAMILIES.map((family) => ({
        map: setMapName(name, family),
        image: () => setImage(setContents.get(name)!, family),
      })),
  }
}

const FAMILIES = [4, 6] as const

function conditionOf(match: string, sets: ReadonlySet<string>): Condition {
  const { expression, linkType } = parseFilter(match, { sets })
  return lower(expression, { linkType, netmask: 0 })
}

/** Counters go on where this stays: the same name for the same thing. */
function identityOf({ name, match, action, mode, lifetime }: Rule): string {
  return JSON.stringify([name, match, action, mode, lifetime])
}

function endsInMs(lifetime: Lifetime): number {
  return lifetime.kind === 'for' ? lifetime.seconds * 1000 : lifetime.unixSeconds * 1000 - Date.now()
}

function actionOf(action: Action, { interfaceIndex }: PolicySurroundings): RuleAction {
  switch (action.kind) {
    case 'limit':
      return {
        kind: 'limit',
        key: keyOf(action),
        unit: action.rate.unit,
        perSecond: action.rate.perSecond,
        burst: action.burst,
      }
    case 'forward':
      return { kind: 'forward', interfaceIndex: interfaceIndex(action.device) }
    default:
      return action
  }
}

function refuseMissingCpus({ rules }: Policy, placeOf: PlaceOf | undefined): void {
  const faults = rules.flatMap(({ name, action }, rule): PolicyFault[] => {
    if (action.kind !== 'steer' || action.cpu < possibleCpus()) return []
    const message = `rule ${rule + 1} "${name}" steers to CPU ${action.cpu}, and this machine has 0 to ${possibleCpus() - 1}; write one of them`
    return [{ path: ['rules', rule, 'cpu'], message }]
  })
  if (faults.length > 0) throw new PolicyError(faults, placeOf)
}

function keyOf(limit: LimitAction): LimitKey {
  switch (limit.per) {
    case 'source-prefix':
      return { kind: 'source', ipv4Bits: limit.prefix.v4, ipv6Bits: limit.prefix.v6 }
    case 'source':
    case 'destination':
      return { kind: limit.per, ipv4Bits: 32, ipv6Bits: 128 }
    default:
      return { kind: limit.per }
  }
}

function layoutOf({ tables: { limits, samples } }: Policy, slots: number): PolicyLayout {
  return {
    slots,
    limitTable: limits,
    sampleBytes: samples.bytes,
    cpus: possibleCpus(),
    queues: QUEUES,
  }
}
