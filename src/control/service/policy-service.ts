import { droppedPackets, type PolicyInForce } from '../opened-policy.js'
import type { RunningPolicy } from '../protect.js'
import { sizeOf } from '../protect-changes.js'
import type { PolicyStatus, RuleList } from './protocol.js'
import type { Service, ServiceRules } from './service.js'

/** `sluice protect` as commands see it. */
export function policyService(running: RunningPolicy, device: string): Service {
  const since = new Date().toISOString()
  return {
    status: () => ({
      name: 'protect',
      kind: 'policy',
      devices: [device],
      mode: running.mode,
      programId: running.programId(),
      since,
      dropped: droppedPackets(running.read().rules),
      losses: { ...running.losses() },
      policy: policyStatus(running),
    }),
    rules: serviceRules(running),
  }
}

/** What `sluice status` says of a policy. */
export function policyStatus({ file, version }: PolicyInForce): PolicyStatus {
  const { policy, changes } = version()
  const { added, removed, sets } = changes
  return {
    file,
    rules: policy.rules.length,
    sets: Object.keys(policy.sets).length,
    changes: { added: added.length, removed: removed.size, sets: sets.size },
  }
}

/** What `sluice list`, `add` and `remove` work on. */
export function serviceRules(running: PolicyInForce): ServiceRules {
  return { list: () => listRules(running), change: running.change }
}

function listRules(running: PolicyInForce): RuleList {
  const { policy, sets, changes } = running.version()
  const { rules, kept } = running.read()
  const left = running.lifetimesLeft()
  const added = new Set(changes.added.map(({ rule }) => rule.name))
  return {
    rules: rules.map((rule, index) => ({
      ...rule,
      match: policy.rules[index]!.match,
      secondsLeft: inSeconds(left[index]!),
      isAdded: added.has(rule.name),
    })),
    sets: [...sets].map(([name, contents]) => ({ name, ...sizeOf(contents) })),
    kept,
    keptPrefixes: running.kept,
  }
}

/** A rule that has a moment left has not ended. */
function inSeconds(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.ceil(milliseconds / 1000)
}
