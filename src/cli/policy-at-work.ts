import { droppedPackets, type PolicyInForce, type PolicyRequest, type ProtectedRule } from '../control/opened-policy.js'
import { sentenceOf } from '../control/sentence.js'
import { type Display, type End, listenForEnd, noteKept } from './foreground.js'
import { InputError, note, noteWarnings, print } from './output.js'
import { drawTable } from './table.js'
import { controllingTerminal, isHangupIgnored } from './terminal.js'

/** SIGHUP, which reads a policy again. */
export interface Reloads {
  /** How many have succeeded, and how many have not. */
  readonly done: number
  readonly refused: number
  begin(reload: () => Promise<boolean>): void
  cancel(): void
}

/** SIGHUP asks for a reload; but where the terminal of this command has gone, it is told to end by the same signal. */
export function listenForReload(end: End): Reloads {
  const counts = { done: 0, refused: 0 }
  const hadTerminal = controllingTerminal() !== 0
  let reload: (() => Promise<boolean>) | null = null
  let isAsked = false
  const run = async () => {
    if (hadTerminal && controllingTerminal() === 0) {
      if (!isHangupIgnored()) end.now('SIGHUP')
      return
    }
    isAsked = reload === null
    if (reload !== null) counts[(await reload()) ? 'done' : 'refused']++
  }
  process.on('SIGHUP', run)
  return {
    get done() {
      return counts.done
    },
    get refused() {
      return counts.refused
    },
    begin(how) {
      reload = how
      // What came while the policy was being loaded.
      if (isAsked) void run()
    },
    cancel: () => process.off('SIGHUP', run),
  }
}

/** One message either way; false where the old policy stays. */
export async function readAgain(running: PolicyInForce, show: Display): Promise<boolean> {
  const { file } = running
  show.close()
  try {
    const reload = running.reload()
    for (const what of reload.lapsed) note(`warning: ${what}`)
    if (reload.changed === 'nothing') note(`${file} was read again; nothing has changed`)
    else if (reload.changed === 'sets')
      note(`${file} was read again; new contents: ${reload.sets.map((name) => `@${name}`).join(', ')}`)
    else {
      note(`${file} was read again; ${reload.rules} rules are in force`)
      noteWarnings(running.warnings())
    }
    return true
  } catch (error) {
    note(
      `sluice: ${sentenceOf(error)}\nsluice: the policy of before stays in force; correct this and send SIGHUP again`,
    )
    return false
  }
}

/** Each rule with what it has counted, as a table. */
export function drawPolicyRules(rules: readonly ProtectedRule[]): string {
  return drawTable(
    ['rule', 'action', 'packets', 'bytes', 'over the limit'],
    rules.map(({ name, action, mode, packets, bytes, overPackets }) => [
      name,
      mode === 'shadow' ? `${action} (shadow)` : action,
      packets,
      bytes,
      action === 'limit' ? overPackets : '',
    ]),
  )
}

/** Options of a command that may have a policy in front of its devices. */
export interface GuardOptions {
  readonly policy?: string
  readonly keep: readonly string[]
  readonly keepSsh: boolean
}

/** Throws InputError where somebody is spared from a policy that there is not. */
function guardRequest({ policy, keep, keepSsh }: GuardOptions): PolicyRequest | null {
  if (policy !== undefined) return { policyFile: policy, keep, keepSsh }
  if (keep.length > 0 || !keepSsh)
    throw new InputError('--keep and --no-keep-ssh are about what a policy spares; give --policy FILE as well')
  return null
}

/** What ends a command, and what has it read the policy in front of its devices again, where there is one. */
export interface RouteGuard {
  readonly end: End
  readonly request: PolicyRequest | null
  readonly reloads: Reloads | null
}

/** With a policy SIGHUP reads that again. Throws InputError. */
export function listenWithGuard(options: GuardOptions): RouteGuard {
  const request = guardRequest(options)
  if (request === null) return { end: listenForEnd(), request, reloads: null }
  const end = listenForEnd(['SIGINT', 'SIGTERM'])
  return { end, request, reloads: listenForReload(end) }
}

/** Says which policy is in force, and who is spared. */
export function noteGuard(policy: PolicyInForce, keepSsh: boolean): void {
  note(`each packet meets ${policy.file} first; SIGHUP reads it again`)
  noteKept(policy.kept, keepSsh)
  noteWarnings(policy.warnings())
}

/** The rules of a policy in front of these devices, and what they have dropped, on standard output. */
export function printGuard(policy: PolicyInForce, devices: readonly string[]): void {
  const { rules } = policy.read()
  print(drawPolicyRules(rules))
  print(`${droppedPackets(rules)} packets dropped by ${policy.file} in front of ${devices.join(' and ')}`)
}

/** What a policy has done, for JSON; with how often it was read again. */
export function policyTotals(running: PolicyInForce, { done, refused }: Pick<Reloads, 'done' | 'refused'>) {
  const { rules, kept } = running.read()
  return {
    reloads: { done, refused },
    dropped: droppedPackets(rules),
    rules,
    kept,
    keptPrefixes: running.kept,
    losses: running.losses(),
  }
}
