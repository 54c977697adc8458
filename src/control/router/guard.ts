import type { PolicyWarning } from '../../compile-policy.js'
import { type NetworkNamespace, withNamespace } from '../../kernel/index.js'
import type { Attach } from '../../loader/index.js'
import { type ActionKind, type PlaceOf, type Policy, PolicyError, type PolicyFault } from '../../policy/index.js'
import { dropsByRule, openPolicy, type PolicyInForce, type PolicyRequest } from '../opened-policy.js'
import { NO_SAMPLES, warningsOf } from '../policy-version.js'

/** A policy in front of the devices of a router: what it passes goes on to the router's own program of the device. */
export interface Guard extends PolicyInForce {
  /** Puts a program of the router behind the policy, and the policy at the device. Throws LoadError. */
  readonly attach: Attach
  close(): void
}

/** Where a router's policy is. */
export interface GuardPlace {
  readonly devices: readonly { readonly index: number }[]
  readonly namespace?: NetworkNamespace
  /** Whether all packets stay in the drivers, so that nobody reads a mark. */
  readonly isInDriver: boolean
}

/**
 * Loads the policy, one for all devices: a limit counts the packets of all of
 * them together. Nothing is attached yet. Throws what `openPolicy` throws, and
 * PolicyError for rules that would take packets past the router.
 */
export function openGuard(request: PolicyRequest, { devices, namespace, isInDriver }: GuardPlace): Guard {
  const indices = devices.map(({ index }) => index)
  const judge = (policy: Policy, placeOf: PlaceOf) => judgeRules(policy, placeOf, isInDriver)
  const open = () => openPolicy(request, { judge, behind: indices })
  const { attach, putBehind, ...policy } = namespace ? withNamespace(namespace, open) : open()
  return {
    ...policy,
    attach(program, device, mode) {
      const place = indices.indexOf(device.index)
      // First what is behind it: no packet is to find nothing there.
      putBehind(place, program)
      return { ...attach(device, mode), replace: (next) => putBehind(place, next) }
    },
  }
}

/** What a policy has dropped, among the drops of a router. */
export function policyDrops(policy: PolicyInForce): Record<string, number> {
  return Object.fromEntries([...dropsByRule(policy.read().rules)].map(([name, count]) => [`policy: ${name}`, count]))
}

/** What rules do that take packets away from the router, and what to do instead. */
const PAST_THE_ROUTER: Readonly<Partial<Record<ActionKind, string>>> = {
  divert: 'diverts packets to AF_XDP sockets, which the router itself does with what passes; write pass',
  steer:
    'steers packets to the network stack of another CPU, past the router; leave it out, and share the work with --workers',
  forward: 'forwards packets past the router; leave it out, and add a route for them (ip route)',
}

function judgeRules({ rules }: Policy, placeOf: PlaceOf, isInDriver: boolean): readonly PolicyWarning[] {
  const faults = rules.flatMap(({ name, action }, rule): PolicyFault[] => {
    const what = PAST_THE_ROUTER[action.kind]
    return what === undefined
      ? []
      : [{ path: ['rules', rule, 'action'], message: `rule ${rule + 1} "${name}" ${what}` }]
  })
  if (faults.length > 0) throw new PolicyError(faults, placeOf)
  const mark = 'marks packets, and in the drivers nobody reads that: it only counts'
  return warningsOf(rules, { sample: NO_SAMPLES, ...(isInDriver && { mark }) })
}
