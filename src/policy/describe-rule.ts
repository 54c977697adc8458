import type { Action, LimitScope, Policy, Rate, Rule } from './policy.js'
import { formatMoment, formatSeconds } from './units.js'

/** What a rule does with the packets that it matches, in words: action, limits, mode and lifetime. */
export function describeRule({ action, mode, lifetime }: Rule, tables: Policy['tables']): string {
  const does = describeAction(action, tables)
  const parts = [mode === 'shadow' ? `only counts (shadow) what it would do: ${does}` : does]
  if (lifetime?.kind === 'for') parts.push(`for ${formatSeconds(lifetime.seconds)} from when it is loaded`)
  if (lifetime?.kind === 'until') parts.push(`until ${formatMoment(lifetime.unixSeconds)}`)
  return parts.join('; ')
}

const SCOPES: Readonly<Record<Exclude<LimitScope, 'source-prefix'>, string>> = {
  rule: 'for the rule as a whole',
  source: 'for each source address',
  destination: 'for each destination address',
  flow: 'for each flow',
}

const WHEN_FULL: Readonly<Record<Policy['tables']['limits']['whenFull'], string>> = {
  share: 'newcomers share one bucket',
  drop: 'newcomers are dropped',
  replace: "newcomers take another one's bucket",
}

function describeAction(action: Action, { limits }: Policy['tables']): string {
  switch (action.kind) {
    case 'pass':
      return 'passes to the kernel'
    case 'drop':
      return 'drops'
    case 'count':
      return 'counts, and the next rule sees the packet too'
    case 'divert':
      return 'hands the packet to an AF_XDP socket'
    case 'steer':
      return `has CPU ${action.cpu} handle the packet`
    case 'forward':
      return `sends the packet out of ${action.device}`
    case 'mark':
      return `marks the packet with ${action.value}, and the next rule sees it too`
    case 'sample':
      return `samples the first ${action.bytes} bytes of one packet in ${action.oneIn}, and the next rule sees all of them`
    case 'limit': {
      const { rate, burst } = action
      const scope =
        action.per === 'source-prefix'
          ? `for each source prefix (/${action.prefix.v4}, IPv6 /${action.prefix.v6})`
          : SCOPES[action.per]
      const full =
        action.per === 'rule' ? '' : `; where all ${limits.entries} buckets are taken, ${WHEN_FULL[limits.whenFull]}`
      return `passes ${formatAmount(rate.perSecond, rate.unit)} a second ${scope}, ${formatAmount(burst, rate.unit)} at once, and drops what is beyond${full}`
    }
  }
}

function formatAmount(amount: number, unit: Rate['unit']): string {
  return `${amount} ${amount === 1 ? unit.slice(0, -1) : unit}`
}
