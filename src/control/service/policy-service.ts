import { droppedPackets, type RunningPolicy } from '../protect.js'
import { sizeOf } from '../protect-changes.js'
import type { RuleList } from './protocol.js'
import type { Service } from './service.js'

/** `sluice protect` as commands see it. */
export function policyService(running: RunningPolicy, device: string, file: string): Service {
  const since = new Date().toISOString()
  return {
    status() {
      const { policy, changes } = running.version()
      const { added, removed, sets } = changes
      return {
        name: 'protect',
        kind: 'policy',
        devices: [device],
        mode: running.mode,
        programId: running.programId(),
        since,
        dropped: droppedPackets(running.read().rules),
        losses: { ...running.losses() },
        policy: {
          file,
          rules: policy.rules.length,
          sets: Object.keys(policy.sets).length,
          changes: { added: added.length, removed: removed.size, sets: sets.size },
        },
      }
    },
    rules: { list: () => listRules(running), change: running.change },
  }
}

function listRules(running: RunningPolicy): RuleList {
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
