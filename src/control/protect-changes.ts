import { changeContents, faultOfPrefix, readRule, readSet, type SetContents, SetError } from '../policy/index.js'
import { type PolicyChanges, withoutAdded, withoutRule, withRule, withSetChange } from './changes.js'
import type { PolicyVersion } from './policy-version.js'
import type { ListedSet } from './service/protocol.js'
import type { RuleChanges } from './service/service.js'

/** What of a running policy its changes need. What throws has changed nothing. */
interface Changeable {
  version(): PolicyVersion
  /** Puts the file with other changes in force. */
  use(changes: PolicyChanges): void
  /** Has a set hold something else, by the changes. */
  useSet(name: string, contents: SetContents, changes: PolicyChanges): void
  /** The version without added rules that have ended, for the next one to begin with. */
  withoutEnded(): PolicyVersion
  setEnd(name: string, endsInMs: number): void
}

/** What commands can change of a policy at work. */
export function changesOf({ version, use, useSet, withoutEnded: stillInForce, setEnd }: Changeable): RuleChanges {
  return {
    add(written, place) {
      const rule = readRule(written)
      const { policy, changes } = stillInForce()
      use(withRule(changes, policy, rule, place))
      // One of this name and text that has ended still has its end in the map.
      if (rule.lifetime?.kind === 'for') setEnd(rule.name, rule.lifetime.seconds * 1000)
      const { policy: now, warnings } = version()
      const index = now.rules.findIndex(({ name }) => name === rule.name)
      const own = warnings.filter((warning) => warning.rule === index)
      return { name: rule.name, rules: now.rules.length, warnings: own.map(({ message }) => message) }
    },
    remove(name) {
      const { policy, changes } = version()
      use(withoutRule(changes, policy, name))
      return { name, rules: version().policy.rules.length, warnings: [] }
    },
    changeSet(name, texts) {
      const change = { add: addresses(texts.add), remove: addresses(texts.remove) }
      const { policy, changes, sets } = version()
      const next = withSetChange(changes, policy, name, change)
      const before = sets.get(name)!
      const contents = changeContents(before, change)
      useSet(name, contents, next)
      return { name, ...sizeOf(contents), before: sizeOf(before) }
    },
  }
}

/** A version in which added rules that have ended are no rules any more. */
export function withoutEnded(version: PolicyVersion, lifetimesLeft: readonly (number | null)[]): PolicyVersion {
  const { policy, changes } = version
  const ended = new Set(policy.rules.filter((_, rule) => lifetimesLeft[rule] === 0).map(({ name }) => name))
  const still = withoutAdded(changes, ended)
  if (still.added.length === changes.added.length) return version
  const added = new Set(changes.added.map(({ rule }) => rule.name))
  const rules = policy.rules.filter(({ name }) => !(ended.has(name) && added.has(name)))
  return { ...version, policy: { ...policy, rules }, changes: still }
}

/** Throws SetError with the first that is none. */
function addresses(texts: readonly string[]): SetContents {
  for (const text of texts) {
    const fault = faultOfPrefix(text)
    if (fault !== null) throw new SetError(fault)
  }
  return readSet(Buffer.from(texts.join('\n')), 'addresses')
}

/** How many prefixes a set has of each family. */
export function sizeOf({ v4, v6 }: SetContents): Omit<ListedSet, 'name'> {
  return { ipv4: v4.lengths.length, ipv6: v6.lengths.length }
}
