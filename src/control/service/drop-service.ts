import type { RunningDrop } from '../drop.js'
import type { Service } from './service.js'

/** What of `sluice drop` is not in the running rule. */
export interface ServedDrop {
  readonly expression: string
  readonly device: string
  /** How long it runs from now on; without it until somebody ends it. */
  readonly forMs?: number | undefined
}

/** `sluice drop` as commands see it: one rule, which nobody changes. */
export function dropService(running: RunningDrop, { expression, device, forMs }: ServedDrop): Service {
  const since = Date.now()
  const secondsLeft = () => (forMs === undefined ? null : Math.max(0, Math.ceil((since + forMs - Date.now()) / 1000)))
  return {
    status: () => ({
      name: 'drop',
      kind: 'rule',
      devices: [device],
      mode: running.mode,
      programId: running.programId,
      since: new Date(since).toISOString(),
      dropped: running.read().dropped.packets,
      losses: {},
      policy: null,
    }),
    rules: {
      list() {
        const { dropped, kept } = running.read()
        const counted = { ...dropped, overPackets: 0, overBytes: 0 }
        const rule = { name: `drop ${expression}`.trim(), match: expression, action: 'drop', mode: 'enforce' } as const
        return {
          rules: [{ ...rule, ...counted, secondsLeft: secondsLeft(), isAdded: false }],
          sets: [],
          kept,
          keptPrefixes: running.kept,
        }
      },
    },
  }
}
