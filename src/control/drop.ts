import { RULE_COUNTERS } from '../codegen/index.js'
import { type CompiledRules, compileRules, type Rule } from '../compile.js'
import type { Program } from '../ebpf/index.js'
import type { NameResolver } from '../filter/index.js'
// Not through the room's index: policies, with their readers of YAML, take longer to load than all else of a rule.
import { attachXdp, GENERIC_WARNING, type XdpMode } from '../loader/attach.js'
import { type RuleCount, ruleCountReader } from '../loader/counters.js'
import { loadProgram } from '../loader/load.js'
import { downNotes, findDevice } from './device.js'
import { asFilterError } from './filter-error.js'
import { findKept, type KeepRequest, type KeepRule } from './keep.js'

/** One rule at one device. */
export interface DropRequest extends KeepRequest {
  readonly expression: string
  readonly device: string
  /** Null: native where the driver can, otherwise generic. */
  readonly mode: XdpMode | null
  /** What host names in the expression mean; without it they are refused. */
  readonly resolver?: NameResolver | undefined
}

/** A rule at work; it ends with `close` or with this process. */
export interface RunningDrop {
  readonly mode: XdpMode
  /** As the kernel numbers its program. */
  readonly programId: number
  /** What the operator should know: what generic mode costs, a session that has ended. */
  readonly warnings: readonly string[]
  /** What is never dropped, for the operator to read. */
  readonly kept: readonly string[]
  /** What was dropped, and what was kept that came from `kept`, since the start. */
  read(): { readonly dropped: RuleCount; readonly kept: RuleCount }
  /** False once the device has gone, or somebody else has detached the rule. */
  isAttached(): boolean
  close(): void
}

/**
 * Compiles, loads and attaches. Throws FilterError, KeepError, DeviceError or
 * LoadError, and leaves nothing behind then.
 */
export function startDrop(request: DropRequest): RunningDrop {
  const { rules: kept, warnings } = findKept(request)
  const { program } = compileDrop(request, kept)
  const device = findDevice(request.device)
  const loaded = loadProgram(program)
  try {
    // Before the link, so that nothing is attached when reading is impossible.
    const readCounts = ruleCountReader(loaded.maps.get(RULE_COUNTERS)!)
    const link = attachXdp(loaded, device, request.mode ?? undefined)
    return {
      mode: link.mode,
      programId: loaded.info.id,
      warnings: [
        ...downNotes(device),
        ...(link.mode === 'generic' ? [`${device.name} ${GENERIC_WARNING}`] : []),
        ...warnings,
      ],
      kept: kept.map(({ what }) => what),
      read() {
        const counts = readCounts()
        return { dropped: counts.at(-1)!, kept: sum(counts.slice(0, -1)) }
      },
      isAttached: link.isAttached,
      close() {
        link.close()
        loaded.close()
      },
    }
  } catch (error) {
    loaded.close()
    throw error
  }
}

/**
 * What is kept stands before the rule and passes: as rules of their own, so
 * that no `vlan` in the expression moves the headers they look at.
 */
function compileDrop(
  { expression, resolver }: DropRequest,
  kept: readonly KeepRule[],
): CompiledRules & { readonly program: Program } {
  const rules: Rule[] = kept.map(({ expression: match }) => ({ match, action: 'pass' }))
  try {
    return compileRules([...rules, { match: expression, action: 'drop' }], {
      multiBuffer: true,
      name: 'sluice_drop',
      ...(resolver && { resolver }),
    })
  } catch (error) {
    throw asFilterError(error, expression) ?? error
  }
}

/** All of them as one. */
export function sum(counts: readonly RuleCount[]): RuleCount {
  return counts.reduce(
    (total, { packets, bytes }) => ({ packets: total.packets + packets, bytes: total.bytes + bytes }),
    {
      packets: 0,
      bytes: 0,
    },
  )
}
