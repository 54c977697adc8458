import { execFileSync } from 'node:child_process'
import { compileRules } from '../compile.js'
import { withNamespace } from '../kernel/index.js'
import { attachXdp, type LoadedMap, loadProgram, ruleCountReader, type XdpMode } from '../loader/index.js'
import { DEMO_IPTABLES, DEMO_RULE } from './demo-phase.js'
import type { LabHost } from './network.js'

/** A defence that is in force until it is closed. */
export interface Defence {
  /** Packets it has dropped so far. */
  dropped(): number
  /** Whether asking costs so little that it may be asked while a phase is measured. */
  readonly isCheap: boolean
  /** The map in which it counts, where it is one that the generator can read. */
  readonly counter: LoadedMap | null
  /** Packets of the service's client among those dropped, where the defence can tell. */
  serviceDropped?(): number
  close(): void
}

/** The rule, compiled and in the victim's driver. */
export interface RuleDefence extends Defence {
  readonly mode: XdpMode
}

/**
 * Compiles the demonstration's rule and attaches it to the victim's device. It
 * stands there twice, first for everybody but the service's client, so that
 * the two counters tell whose packets were dropped. Throws LoadError.
 */
export function defendByRule({ namespace, device }: LabHost, serviceClient: string): RuleDefence {
  const rules = [
    { match: `(${DEMO_RULE}) and not src host ${serviceClient}`, action: 'drop' },
    { match: DEMO_RULE, action: 'drop' },
  ] as const
  const program = loadProgram(compileRules(rules, { name: 'sluice_demo' }).program)
  try {
    const link = withNamespace(namespace, () => attachXdp(program, device))
    const counter = program.maps.get('rule_counters')!
    const count = ruleCountReader(counter)
    return {
      mode: link.mode,
      isCheap: true,
      counter,
      dropped: () => count().reduce((sum, { packets }) => sum + packets, 0),
      serviceDropped: () => count()[1]!.packets,
      close() {
        link.close()
        program.close()
      },
    }
  } catch (error) {
    program.close()
    throw error
  }
}

/** Whether iptables is there and may be used in the victim's namespace. */
export function hasIptables({ namespace }: LabHost): boolean {
  try {
    iptables(namespace, ['-L', 'PREROUTING'])
    return true
  } catch {
    return false
  }
}

/**
 * The same rule for iptables, in the raw table before routing, which is the
 * first place where iptables can drop: the strongest iptables defence.
 */
export function defendByIptables({ namespace }: LabHost): Defence {
  iptables(namespace, ['-A', 'PREROUTING', ...DEMO_IPTABLES])
  return {
    isCheap: false,
    counter: null,
    dropped() {
      const listing = iptables(namespace, ['-L', 'PREROUTING', '-v', '-x', '-n'])
      return Number(/^\s*(\d+)\s+\d+\s+DROP/m.exec(listing)?.[1] ?? 0)
    },
    close: () => void iptables(namespace, ['-D', 'PREROUTING', ...DEMO_IPTABLES]),
  }
}

function iptables(namespace: LabHost['namespace'], args: readonly string[]): string {
  return withNamespace(namespace, () =>
    execFileSync('iptables', ['-w', '-t', 'raw', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  )
}
