import { isDeepStrictEqual } from 'node:util'
import { compilePolicy, type PolicyWarning } from '../compile-policy.js'
import {
  type ActionKind,
  type PlaceOf,
  type Policy,
  PolicyError,
  type PolicyFault,
  type Rule,
  type SetContents,
} from '../policy/index.js'
import { applyChanges, type ChangedPolicy, type PolicyChanges } from './changes.js'
import { DeviceError, findDevice } from './device.js'
import type { PolicyFile } from './policy-file.js'
import { type PreparedPolicy, policySource } from './policy-source.js'

/** What a device is to be protected by: a file, what commands have changed of it, and all of it made ready for the loader. */
export interface PolicyVersion extends ChangedPolicy {
  readonly file: PolicyFile
  readonly warnings: readonly PolicyWarning[]
  readonly source: PreparedPolicy
}

/** Where a policy stands, and so what its rules can do. */
export interface PolicyPlace {
  /** Warns of rules that do less here than they say, and throws PolicyError for those that cannot be. */
  judge(policy: Policy, placeOf: PlaceOf): readonly PolicyWarning[]
  /** As of PolicySurroundings. */
  readonly behind?: readonly number[]
}

/** Throws PolicyError, and what `policySource` throws. */
export function prepareVersion(
  file: PolicyFile,
  changes: PolicyChanges,
  inFront: readonly Rule[],
  { judge, behind }: PolicyPlace,
): PolicyVersion {
  const changed = applyChanges(file, changes)
  const { policy, sets, placeOf } = changed
  const compiled = compilePolicy(policy, { placeOf })
  const warnings = [...compiled.warnings, ...judge(policy, placeOf)]
  const devices = devicesOf(policy, placeOf)
  const interfaceIndex = (device: string) => devices.get(device)!
  return {
    ...changed,
    file,
    warnings,
    source: policySource(policy, {
      ...{ sets, inFront, interfaceIndex, conditions: compiled.conditions, placeOf },
      ...(behind && { behind }),
    }),
  }
}

/** The interface indices of the devices that rules forward to. Throws PolicyError for those that there are not. */
function devicesOf({ rules }: Policy, placeOf: PlaceOf): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  const faults = rules.flatMap(({ name, action }, rule): PolicyFault[] => {
    if (action.kind !== 'forward') return []
    try {
      found.set(action.device, findDevice(action.device).index)
      return []
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error
      return [{ path: ['rules', rule, 'device'], message: `rule ${rule + 1} "${name}": ${error.message}` }]
    }
  })
  if (faults.length > 0) throw new PolicyError(faults, placeOf)
  return found
}

/** Rules whose packets somebody would have to take, and nobody does. */
export function withoutReader({ rules }: Policy): PolicyWarning[] {
  return warningsOf(rules, {
    divert: 'diverts to an AF_XDP socket, and this command has none: its packets pass',
    sample: NO_SAMPLES,
  })
}

export const NO_SAMPLES = 'takes samples, and this command shows none: it only counts'

/** A sentence about each rule in force whose action has one. */
export function warningsOf(
  rules: readonly Rule[],
  missing: Readonly<Partial<Record<ActionKind, string>>>,
): PolicyWarning[] {
  return rules.flatMap(({ name, action, mode }, rule) => {
    const what = mode === 'enforce' ? missing[action.kind] : undefined
    return what === undefined ? [] : [{ rule, message: `rule ${rule + 1} "${name}" ${what}` }]
  })
}

/** The sets that hold something else, where nothing but what they hold has changed; otherwise null. */
export function changedSets(before: PolicyFile, after: PolicyFile): string[] | null {
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
