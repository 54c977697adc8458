import type { PolicyWarning } from '../compile-policy.js'
import { type LoadedPolicy, loadPolicy, type PolicyCount, type RuleCount } from '../loader/index.js'
import type { ActionKind, Mode, Rule, SetContents } from '../policy/index.js'
import { NO_CHANGES, type PolicyChanges } from './changes.js'
import { sum } from './drop.js'
import { findKept, type KeepRequest, type KeepRule } from './keep.js'
import { type PolicyFile, readPolicyFile } from './policy-file.js'
import { changedSets, type PolicyPlace, type PolicyVersion, prepareVersion } from './policy-version.js'
import { changesOf, withoutEnded } from './protect-changes.js'
import type { RuleChanges } from './service/service.js'

/** A policy's file, and who is spared from it. */
export interface PolicyRequest extends KeepRequest {
  readonly policyFile: string
}

/** What a rule has counted since it is part of the policy. */
export interface ProtectedRule extends PolicyCount {
  readonly name: string
  readonly action: ActionKind
  readonly mode: Mode
}

/** What reading the policy again has changed: nothing, sets of these names, or the program. */
export type Reload = { readonly lapsed: readonly string[] } & (
  | { readonly changed: 'nothing' }
  | { readonly changed: 'sets'; readonly sets: readonly string[] }
  | { readonly changed: 'policy'; readonly rules: number }
)

/** A policy of a file in the kernel: what it says, has counted, and how it is changed. Closed, it says what it said last. */
export interface PolicyInForce {
  /** As the operator names it. */
  readonly file: string
  /** What the operator should know about what is spared. */
  readonly notices: readonly string[]
  /** What is never dropped, for the operator to read. */
  readonly kept: readonly string[]
  /** About the policy that is in force. */
  warnings(): readonly PolicyWarning[]
  /** The program that is in force, as the kernel numbers it. */
  programId(): number
  /** The policy that is in force, and what commands have changed of its file. */
  version(): Pick<PolicyVersion, 'policy' | 'sets' | 'changes'>
  read(): { readonly rules: readonly ProtectedRule[]; readonly kept: RuleCount }
  /** Milliseconds until each rule ends, 0 where it has; null: it does not. */
  lifetimesLeft(): readonly (number | null)[]
  /** Samples and buckets for which there was no room. */
  losses(): { readonly samples: number; readonly tableFull: number }
  /**
   * Reads the policy and its lists again and puts them in force in one step,
   * with what commands have changed; whatever it throws, the old policy stays.
   */
  reload(): Reload
  /** Changes what is in force; the file stays. Throws PolicyError, SetError, ChangeError and LoadError. */
  readonly change: RuleChanges
}

/** The same with what puts it in front of devices. */
export interface OpenedPolicy extends PolicyInForce, Pick<LoadedPolicy, 'attach' | 'putBehind' | 'close'> {}

/**
 * Loads a policy; what is kept passes before its first rule. It is attached
 * nowhere yet. Throws PolicyFileError, PolicyError, SetError, KeepError or
 * LoadError, and leaves nothing behind then.
 */
export function openPolicy(request: PolicyRequest, place: PolicyPlace): OpenedPolicy {
  const { rules: kept, warnings: notices } = findKept(request)
  const inFront = kept.map(ruleOf)
  let version = prepareVersion(readPolicyFile(request.policyFile), NO_CHANGES, inFront, place)
  const loaded = loadPolicy(version.source)
  const now = () => ({ counts: loaded.counts(), left: loaded.lifetimesLeft(), losses: loaded.losses() })
  let last: ReturnType<typeof now> | null = null
  const lifetimesLeft = () => (last?.left ?? loaded.lifetimesLeft()).slice(inFront.length)
  const checkOpen = () => {
    if (last !== null) throw new Error('this policy has ended; start it again where it is needed')
  }
  const use = (file: PolicyFile, changes: PolicyChanges) => {
    checkOpen()
    const next = prepareVersion(file, changes, inFront, place)
    const sets = putInForce(loaded, version, next)
    version = next
    return sets
  }
  const useSet = (name: string, contents: SetContents, changes: PolicyChanges) => {
    checkOpen()
    loaded.replaceSet(name, contents)
    version = { ...version, sets: new Map(version.sets).set(name, contents), changes }
  }
  /** Added rules that have ended do nothing any more, and go with the next change. */
  const withoutEndedRules = () => withoutEnded(version, lifetimesLeft())
  return {
    file: request.policyFile,
    notices,
    kept: kept.map(({ what }) => what),
    warnings: () => version.warnings,
    programId: () => loaded.program.info.id,
    version: () => version,
    lifetimesLeft,
    read() {
      const counts = last?.counts ?? loaded.counts()
      const rules = version.policy.rules.map(({ name, action, mode }, rule) => {
        return { name, action: action.kind, mode, ...counts[inFront.length + rule]! }
      })
      return { rules, kept: sum(counts.slice(0, inFront.length)) }
    },
    losses() {
      const { samples, tableFull } = last?.losses ?? loaded.losses()
      return { samples, tableFull }
    },
    reload() {
      const sets = use(readPolicyFile(request.policyFile), withoutEndedRules().changes)
      const { lapsed, policy } = version
      if (sets === null) return { lapsed, changed: 'policy', rules: policy.rules.length }
      return sets.length === 0 ? { lapsed, changed: 'nothing' } : { lapsed, changed: 'sets', sets }
    },
    change: changesOf({
      version: () => version,
      use: (changes) => use(version.file, changes),
      useSet,
      withoutEnded: withoutEndedRules,
      setEnd: loaded.setEnd,
    }),
    attach: loaded.attach,
    putBehind: loaded.putBehind,
    close() {
      last ??= now()
      loaded.close()
    },
  }
}

/** What each enforced rule has dropped, by its name; rules that have dropped nothing are left out. */
export function dropsByRule(rules: readonly ProtectedRule[]): ReadonlyMap<string, number> {
  const drops = new Map<string, number>()
  for (const { name, action, mode, packets, overPackets } of rules) {
    const dropped = mode === 'shadow' ? 0 : action === 'drop' ? packets : action === 'limit' ? overPackets : 0
    if (dropped > 0) drops.set(name, dropped)
  }
  return drops
}

/** Packets that rules in force have dropped. */
export function droppedPackets(rules: readonly ProtectedRule[]): number {
  return [...dropsByRule(rules).values()].reduce((total, dropped) => total + dropped, 0)
}

/** Writes sets where nothing else has changed, and gives their names; otherwise replaces the policy, and gives null. */
function putInForce(loaded: LoadedPolicy, before: PolicyFile, next: PolicyVersion): string[] | null {
  const sets = changedSets(before, next)
  if (sets === null) loaded.replace(next.source)
  else replaceSets(loaded, sets, before.sets, next.sets)
  return sets
}

/** All of them, or none where one throws. */
function replaceSets(
  { replaceSet }: LoadedPolicy,
  names: readonly string[],
  before: PolicyFile['sets'],
  after: PolicyFile['sets'],
): void {
  const replaced: string[] = []
  try {
    for (const name of names) {
      replaceSet(name, after.get(name)!)
      replaced.push(name)
    }
  } catch (error) {
    for (const name of replaced) replaceSet(name, before.get(name)!)
    throw error
  }
}

/** The name is for messages of the kernel's refusals only, in which it never stands first. */
function ruleOf({ expression, what }: KeepRule): Rule {
  return { name: `kept: ${what}`, match: expression, action: { kind: 'pass' }, mode: 'enforce', lifetime: null }
}
