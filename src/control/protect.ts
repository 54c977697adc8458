import type { PolicyWarning } from '../compile-policy.js'
import {
  GENERIC_WARNING,
  type LoadedPolicy,
  loadPolicy,
  type PolicyCount,
  type RuleCount,
  type XdpMode,
} from '../loader/index.js'
import type { ActionKind, Mode, Rule, SetContents } from '../policy/index.js'
import { NO_CHANGES, type PolicyChanges } from './changes.js'
import { downNotes, findDevice } from './device.js'
import { sum } from './drop.js'
import { findKept, type KeepRequest, type KeepRule } from './keep.js'
import { type PolicyFile, readPolicyFile } from './policy-file.js'
import { changedSets, type PolicyVersion, prepareVersion } from './policy-version.js'
import { changesOf, withoutEnded } from './protect-changes.js'
import type { RuleChanges } from './service/service.js'

/** A policy at one device. */
export interface ProtectRequest extends KeepRequest {
  readonly device: string
  readonly policyFile: string
  /** Null: native where the driver can, otherwise generic. */
  readonly mode: XdpMode | null
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

/** A policy at work; it ends with `close` or with this process. */
export interface RunningPolicy {
  readonly mode: XdpMode
  /** What the operator should know about the device and about what is spared. */
  readonly notices: readonly string[]
  /** About the policy that is in force. */
  readonly warnings: readonly PolicyWarning[]
  /** What is never dropped, for the operator to read. */
  readonly kept: readonly string[]
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
  /** False once the device has gone, or somebody else has detached the policy. */
  isAttached(): boolean
  close(): void
}

/**
 * Loads a policy and attaches it; what is kept passes before its first rule.
 * Throws PolicyFileError, PolicyError, SetError, KeepError, DeviceError or
 * LoadError, and leaves nothing behind then.
 */
export function startProtect(request: ProtectRequest): RunningPolicy {
  const { rules: kept, warnings: notices } = findKept(request)
  const inFront = kept.map(ruleOf)
  const device = findDevice(request.device)
  let version = prepareVersion(readPolicyFile(request.policyFile), NO_CHANGES, inFront)
  const loaded = loadPolicy(version.source)
  const lifetimesLeft = () => loaded.lifetimesLeft().slice(inFront.length)
  const use = (file: PolicyFile, changes: PolicyChanges) => {
    const next = prepareVersion(file, changes, inFront)
    const sets = putInForce(loaded, version, next)
    version = next
    return sets
  }
  const useSet = (name: string, contents: SetContents, changes: PolicyChanges) => {
    loaded.replaceSet(name, contents)
    version = { ...version, sets: new Map(version.sets).set(name, contents), changes }
  }
  /** Added rules that have ended do nothing any more, and go with the next change. */
  const withoutEndedRules = () => withoutEnded(version, lifetimesLeft())
  const read = () => {
    const counts = loaded.counts()
    const rules = version.policy.rules.map(({ name, action, mode }, rule) => {
      return { name, action: action.kind, mode, ...counts[inFront.length + rule]! }
    })
    return { rules, kept: sum(counts.slice(0, inFront.length)) }
  }
  try {
    const link = loaded.attach(device, request.mode ?? undefined)
    return {
      mode: link.mode,
      notices: [
        ...downNotes(device),
        ...(link.mode === 'generic' ? [`${device.name} ${GENERIC_WARNING}`] : []),
        ...notices,
      ],
      get warnings() {
        return version.warnings
      },
      kept: kept.map(({ what }) => what),
      programId: () => loaded.program.info.id,
      version: () => version,
      read,
      lifetimesLeft,
      losses() {
        const { samples, tableFull } = loaded.losses()
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
      isAttached: link.isAttached,
      close: loaded.close,
    }
  } catch (error) {
    loaded.close()
    throw error
  }
}

/** Packets that rules in force have dropped. */
export function droppedPackets(rules: readonly ProtectedRule[]): number {
  return rules.reduce((total, { action, mode, packets, overPackets }) => {
    if (mode === 'shadow') return total
    return total + (action === 'drop' ? packets : action === 'limit' ? overPackets : 0)
  }, 0)
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
