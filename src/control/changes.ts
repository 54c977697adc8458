import {
  changeContents,
  nearest,
  type PlaceOf,
  type Policy,
  PolicyError,
  policy,
  type Rule,
  type SetChange,
  type SetContents,
} from '../policy/index.js'
import type { PolicyFile } from './policy-file.js'

/** Where a rule goes among others. */
export type Place = 'first' | 'last' | { readonly before: string } | { readonly after: string }

/**
 * What commands have changed of a policy since its file was first read. It
 * stands beside the file, so that it can be put over another reading of it.
 */
export interface PolicyChanges {
  /** In the order in which they came. */
  readonly added: readonly { readonly rule: Rule; readonly place: Place }[]
  /** Names of rules of the file. */
  readonly removed: ReadonlySet<string>
  /** What is to go from the file's sets, and what is to come then. */
  readonly sets: ReadonlyMap<string, Required<SetChange>>
}

/** What a command asks for cannot be done with the policy that is in force: one sentence with what to do. */
export class ChangeError extends Error {
  override name = 'ChangeError'
}

export const NO_CHANGES: PolicyChanges = { added: [], removed: new Set(), sets: new Map() }

/** One rule more. Throws ChangeError for a name that is taken, and for a place beside a rule that is not there. */
export function withRule(changes: PolicyChanges, inForce: Policy, rule: Rule, place: Place): PolicyChanges {
  if (inForce.rules.some(({ name }) => name === rule.name))
    throw new ChangeError(
      `a rule called "${rule.name}" is in force already; give the new one another --name, or remove that one first`,
    )
  const anchor = anchorOf(place)
  if (anchor !== null) checkRule(inForce, anchor)
  return { ...changes, added: [...changes.added, { rule, place }] }
}

/** Without the rules of these names that were added, whatever the file has. Those that stood beside them stay there. */
export function withoutAdded(changes: PolicyChanges, names: ReadonlySet<string>): PolicyChanges {
  const places = new Map(changes.added.map(({ rule, place }) => [rule.name, place]))
  const settle = (place: Place): Place => {
    const anchor = anchorOf(place)
    return anchor !== null && names.has(anchor) && places.has(anchor) ? settle(places.get(anchor)!) : place
  }
  const added = changes.added.filter(({ rule }) => !names.has(rule.name))
  return { ...changes, added: added.map(({ rule, place }) => ({ rule, place: settle(place) })) }
}

function anchorOf(place: Place): string | null {
  if (typeof place !== 'object') return null
  return 'before' in place ? place.before : place.after
}

/** One rule less. Throws ChangeError where there is none of that name. */
export function withoutRule(changes: PolicyChanges, inForce: Policy, name: string): PolicyChanges {
  checkRule(inForce, name)
  const isAdded = changes.added.some(({ rule }) => rule.name === name)
  if (isAdded) return withoutAdded(changes, new Set([name]))
  return { ...changes, removed: new Set(changes.removed).add(name) }
}

function checkRule({ rules }: Policy, name: string): void {
  const names = rules.map((rule) => rule.name)
  if (names.includes(name)) return
  const near = nearest(name, names)
  const hint = near === null ? 'sluice list shows those that are' : `did you mean "${near}"?`
  throw new ChangeError(`no rule "${name}" is in force; ${hint}`)
}

/** What a set is to lose, and then to gain, on top of what was changed before. Throws ChangeError for a set that the policy has not. */
export function withSetChange(
  changes: PolicyChanges,
  { sets }: Policy,
  name: string,
  { add, remove }: Required<SetChange>,
): PolicyChanges {
  if (!Object.hasOwn(sets, name)) {
    const names = Object.keys(sets)
    const hint = names.length === 0 ? 'it has none' : `its sets are ${names.map((each) => `@${each}`).join(', ')}`
    throw new ChangeError(`the policy has no set @${name}; ${hint}: declare it in the policy`)
  }
  const before = changes.sets.get(name)
  const change = {
    remove: before === undefined ? remove : changeContents(before.remove, { add: remove }),
    add: before === undefined ? add : changeContents(before.add, { remove, add }),
  }
  return { ...changes, sets: new Map(changes.sets).set(name, change) }
}

/** A policy as its file and the changes say it together. */
export interface ChangedPolicy extends PolicyFile {
  /** The changes that the file has not made superfluous. */
  readonly changes: PolicyChanges
  /** What became of the others, a sentence each. */
  readonly lapsed: readonly string[]
}

/** Puts changes over what a file says. Throws PolicyError where an added rule does not fit it. */
export function applyChanges(file: PolicyFile, changes: PolicyChanges): ChangedPolicy {
  const lapsed: string[] = []
  const names = new Set(file.policy.rules.map(({ name }) => name))
  const removed = new Set([...changes.removed].filter((name) => names.has(name)))
  const added = changes.added.filter(({ rule: { name } }) => {
    const isFree = !names.has(name) || removed.has(name)
    if (!isFree) lapsed.push(`the file has a rule "${name}" now, which takes the place of the added one`)
    return isFree
  })
  // What was removed keeps its place for those beside it.
  const listed = file.policy.rules.map((rule) => ({ rule, isGone: removed.has(rule.name) }))
  for (const { rule, place } of added) listed.splice(indexOf(listed, rule, place, lapsed), 0, { rule, isGone: false })
  const rules = listed.filter(({ isGone }) => !isGone).map(({ rule }) => rule)

  const sets = new Map<string, SetContents>(file.sets)
  const setChanges = new Map([...changes.sets].filter(([name]) => sets.has(name)))
  for (const name of changes.sets.keys())
    if (!setChanges.has(name)) lapsed.push(`the file has no set @${name} any more, so what was changed of it is gone`)
  for (const [name, change] of setChanges) sets.set(name, changeContents(sets.get(name)!, change))

  const kept = { added, removed, sets: setChanges }
  const placeOf = placeAmong(rules, file)
  return { policy: checked(file.policy, rules, added.length, placeOf), sets, changes: kept, lapsed, placeOf }
}

interface Listed {
  readonly rule: Rule
  readonly isGone: boolean
}

function indexOf(listed: readonly Listed[], { name }: Rule, place: Place, lapsed: string[]): number {
  const anchor = anchorOf(place)
  if (anchor === null) return place === 'first' ? 0 : listed.length
  const present = listed.findIndex(({ rule, isGone }) => rule.name === anchor && !isGone)
  const index = present >= 0 ? present : listed.findIndex(({ rule }) => rule.name === anchor)
  if (index >= 0) return typeof place === 'object' && 'before' in place ? index : index + 1
  lapsed.push(`the rule "${anchor}" beside which "${name}" stood is gone, so "${name}" is the last one now`)
  return listed.length
}

/** The file's own rules have been judged with it. */
function checked({ sets, tables }: Policy, rules: readonly Rule[], added: number, placeOf: PlaceOf): Policy {
  if (added === 0) return { rules, sets, tables }
  try {
    return policy({ sets, tables }, ...rules)
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    throw new PolicyError(error.faults, placeOf)
  }
}

/** The file's own rules stand there, at another index perhaps; added ones are named. */
function placeAmong(rules: readonly Rule[], file: PolicyFile): PlaceOf {
  return (fault) => {
    const [part, index, ...rest] = fault.path
    const rule = part === 'rules' ? rules[Number(index)] : undefined
    if (rule === undefined) return file.placeOf(fault)
    const own = file.policy.rules.indexOf(rule)
    return own < 0 ? `rule "${rule.name}"` : file.placeOf({ ...fault, path: ['rules', own, ...rest] })
  }
}
