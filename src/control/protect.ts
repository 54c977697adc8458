import { isDeepStrictEqual } from 'node:util'
import { compilePolicy, type PolicyWarning } from '../compile-policy.js'
import {
  GENERIC_WARNING,
  type LoadedPolicy,
  loadPolicy,
  type PolicyCount,
  type RuleCount,
  type XdpMode,
} from '../loader/index.js'
import type { ActionKind, Mode, Policy, Rule, SetContents } from '../policy/index.js'
import { findDevice } from './device.js'
import { sum } from './drop.js'
import { findKept, type KeepRequest, type KeepRule } from './keep.js'
import { type PolicyFile, readPolicyFile } from './policy-file.js'
import { policySource } from './policy-source.js'

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
export type Reload =
  | { readonly changed: 'nothing' }
  | { readonly changed: 'sets'; readonly sets: readonly string[] }
  | { readonly changed: 'policy'; readonly rules: number }

/** A policy at work; it ends with `close` or with this process. */
export interface RunningPolicy {
  readonly mode: XdpMode
  /** What the operator should know about the device and about what is spared. */
  readonly notices: readonly string[]
  /** About the policy that is in force. */
  readonly warnings: readonly PolicyWarning[]
  /** What is never dropped, for the operator to read. */
  readonly kept: readonly string[]
  read(): { readonly rules: readonly ProtectedRule[]; readonly kept: RuleCount }
  /** Samples and buckets for which there was no room. */
  losses(): { readonly samples: number; readonly tableFull: number }
  /** Reads the policy and its lists again and puts them in force in one step; whatever it throws, the old policy stays. */
  reload(): Reload
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
  let version = prepare(request.policyFile, inFront)
  const loaded = loadPolicy(version.source)
  try {
    const link = loaded.attach(device, request.mode ?? undefined)
    return {
      mode: link.mode,
      notices: [...(link.mode === 'generic' ? [`${device.name} ${GENERIC_WARNING}`] : []), ...notices],
      get warnings() {
        return version.warnings
      },
      kept: kept.map(({ what }) => what),
      read() {
        const counts = loaded.counts()
        const { rules } = version.policy
        return {
          rules: rules.map(({ name, action, mode }, rule) => {
            return { name, action: action.kind, mode, ...counts[inFront.length + rule]! }
          }),
          kept: sum(counts.slice(0, inFront.length)),
        }
      },
      losses: loaded.losses,
      reload() {
        const next = prepare(request.policyFile, inFront)
        const sets = changedSets(version, next)
        if (sets === null) loaded.replace(next.source)
        else replaceSets(loaded, sets, version.sets, next.sets)
        version = next
        if (sets === null) return { changed: 'policy', rules: next.policy.rules.length }
        return sets.length === 0 ? { changed: 'nothing' } : { changed: 'sets', sets }
      },
      isAttached: link.isAttached,
      close: loaded.close,
    }
  } catch (error) {
    loaded.close()
    throw error
  }
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

interface Version extends PolicyFile {
  readonly warnings: readonly PolicyWarning[]
  readonly source: ReturnType<typeof policySource>
}

function prepare(file: string, inFront: readonly Rule[]): Version {
  const { policy, sets } = readPolicyFile(file)
  const warnings = [...compilePolicy(policy).warnings, ...withoutReader(policy)]
  const interfaceIndex = (device: string) => findDevice(device).index
  return { policy, sets, warnings, source: policySource(policy, { sets, inFront, interfaceIndex }) }
}

/** Rules whose packets somebody would have to take, and nobody does. */
function withoutReader({ rules }: Policy): PolicyWarning[] {
  const missing: Partial<Record<ActionKind, string>> = {
    divert: 'diverts to an AF_XDP socket, and this command has none: its packets pass',
    sample: 'takes samples, and this command shows none: it only counts',
  }
  return rules.flatMap(({ name, action, mode }, rule) => {
    const what = mode === 'enforce' ? missing[action.kind] : undefined
    return what === undefined ? [] : [{ rule, message: `rule ${rule + 1} "${name}" ${what}` }]
  })
}

/** The name is for messages of the kernel's refusals only, in which it never stands first. */
function ruleOf({ expression, what }: KeepRule): Rule {
  return { name: `kept: ${what}`, match: expression, action: { kind: 'pass' }, mode: 'enforce', lifetime: null }
}

/** The sets that hold something else, where nothing but what they hold has changed; otherwise null. */
function changedSets(before: PolicyFile, after: PolicyFile): string[] | null {
  const frame = ({ rules, tables, sets }: Policy) => ({ rules, tables, sets: Object.keys(sets).sort() })
  if (!isDeepStrictEqual(frame(before.policy), frame(after.policy))) return null
  return [...after.sets].flatMap(([name, contents]) => (isSame(before.sets.get(name)!, contents) ? [] : [name]))
}

function isSame(one: SetContents, other: SetContents): boolean {
  return (['v4', 'v6'] as const).every((family) => {
    const [before, after] = [one[family], other[family]]
    return equals(before.words, after.words) && equals(before.lengths, after.lengths)
  })
}

function equals(one: ArrayBufferView, other: ArrayBufferView): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength)
  return bytes(one).equals(bytes(other))
}
