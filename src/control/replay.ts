import { type CompiledPolicy, compilePolicy, type PolicyWarning } from '../compile-policy.js'
import { openCapture } from '../device/index.js'
import { interpret, type SetLookup } from '../ir/index.js'
import { type ActionKind, isFinal, isInSet, type Mode, type SetContents } from '../policy/index.js'
import { checkLinkType } from './link-type.js'
import { readPolicyFile } from './policy-file.js'

/** What one rule met in a capture. */
export interface ReplayedRule {
  readonly name: string
  readonly match: string
  readonly action: ActionKind
  readonly mode: Mode
  readonly packets: number
  /** On the wire. */
  readonly bytes: number
}

export interface ReplayReport {
  readonly file: string
  readonly policy: string
  readonly linkType: string
  readonly packets: number
  /** Packets that no final rule took: they pass. */
  readonly undecided: number
  readonly rules: readonly ReplayedRule[]
  readonly warnings: readonly PolicyWarning[]
  /** Where the capture is broken: how, after the packets before the break. */
  readonly error: string | null
}

/**
 * What a policy would have done with the packets of a capture, by the plain
 * interpreter. Every rule counts as in force, whatever its lifetime, and a
 * `limit` counts what it would have judged. Throws CaptureError, LinkTypeError,
 * PolicyFileError, PolicyError and SetError.
 */
export function replayPolicy(file: string, policyFile: string): ReplayReport {
  const capture = openCapture(file)
  try {
    const { linkType } = capture
    checkLinkType(linkType, file)
    const { policy, sets, placeOf } = readPolicyFile(policyFile, { linkType })
    const compiled = compilePolicy(policy, { linkType, placeOf })
    const judge = createJudge(compiled, sets)
    const packetsOf = new Array<number>(policy.rules.length).fill(0)
    const bytesOf = new Array<number>(policy.rules.length).fill(0)
    let [packets, undecided] = [0, 0]
    for (const { data, wireLength } of capture.packets()) {
      packets++
      const isDecided = judge(data, wireLength, (rule) => {
        packetsOf[rule]!++
        bytesOf[rule]! += wireLength
      })
      if (!isDecided) undecided++
    }
    const rules = policy.rules.map(({ name, match, action, mode }, index) => {
      return { name, match, action: action.kind, mode, packets: packetsOf[index]!, bytes: bytesOf[index]! }
    })
    const { warnings } = compiled
    const error = capture.error?.message ?? null
    return { file, policy: policyFile, linkType, packets, undecided, rules, warnings, error }
  } finally {
    capture.close()
  }
}

/** Tells `met` each rule that matches a packet until one is final; true where one was. */
function createJudge({ policy, segments }: CompiledPolicy, sets: ReadonlyMap<string, SetContents>) {
  const lookup: SetLookup = (set, family, words) => isInSet(sets.get(set)!, family, words)
  return (bytes: Uint8Array, wireLength: number, met: (rule: number) => void): boolean => {
    for (const { graph, rules } of segments) {
      const leaf = interpret(graph, { bytes, wireLength }, lookup)
      if (leaf === null) continue
      const rule = rules[leaf]!
      met(rule)
      if (isFinal(policy.rules[rule]!)) return true
    }
    return false
  }
}
