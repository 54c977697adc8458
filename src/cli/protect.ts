import { Command } from 'commander'
// All of it before the policy is in force: a package that is replaced meanwhile has other files, and nothing of it
// that is missing may end this process, with which the policy goes.
import { droppedPackets, type ProtectedRule } from '../control/opened-policy.js'
import { type RunningPolicy, startProtect } from '../control/protect.js'
import { policyService } from '../control/service/policy-service.js'
import { formatDuration, parseDuration } from './duration.js'
import { announce, type End, keepOption, listenForEnd, NO_KEEP_SSH, openDisplay, TICK_MS } from './foreground.js'
import { openControl } from './open-control.js'
import { FAILED, note, noteWarnings, print, printJson } from './output.js'
import { drawPolicyRules, listenForReload, policyTotals, type Reloads, readAgain } from './policy-at-work.js'
import { formatQuantity } from './quantity.js'

interface ProtectOptions {
  readonly policy: string
  readonly for?: number
  readonly generic?: boolean
  readonly keep: readonly string[]
  readonly keepSsh: boolean
  readonly json?: boolean
}

/** Rules that the live lines name, the busiest first. */
const MOST_SHOWN = 8

/** `sluice protect DEVICE --policy FILE`: a policy at a device, as long as this command runs. */
export function protectCommand(): Command {
  return new Command('protect')
    .description('put a policy at a device, until Ctrl-C or --for; SIGHUP reads it again')
    .argument('<device>', 'network device whose received packets are judged')
    .requiredOption('--policy <file>', 'policy as YAML or JSON')
    .option('--for <duration>', 'how long: 30s, 10m, 1h', parseDuration)
    .option('--generic', 'run the policy after the driver, where that has no native XDP')
    .addOption(keepOption())
    .option(...NO_KEEP_SSH)
    .option('--json', 'one JSON document with the totals on standard output, at the end')
    .addHelpText(
      'after',
      `
Example:
  $ sudo sluice protect eth0 --policy policy.yaml --keep 198.51.100.7

After a change of the policy or of a list in it, send SIGHUP: it is put in
force in one step, or, where it is faulty, the old one stays. The policy ends
with this command, also when it is killed.`,
    )
    .action(protect)
}

async function protect(device: string, options: ProtectOptions): Promise<void> {
  // Listening comes first: a signal between attaching and listening would end without the totals.
  const end = listenForEnd(['SIGINT', 'SIGTERM'])
  const reloads = listenForReload(end)
  try {
    const running = startProtect({
      device,
      policyFile: options.policy,
      mode: options.generic === true ? 'generic' : null,
      keep: options.keep,
      keepSsh: options.keepSsh,
    })
    try {
      if (options.for !== undefined) end.after(options.for)
      await watch(device, running, options, { end, reloads })
    } finally {
      running.close()
    }
  } finally {
    end.cancel()
    reloads.cancel()
  }
}

async function watch(
  device: string,
  running: RunningPolicy,
  options: ProtectOptions,
  { end, reloads }: { readonly end: End; readonly reloads: Reloads },
): Promise<void> {
  const startedAt = performance.now()
  const { mode, kept, notices } = running
  announce(`protecting by ${options.policy}`, { mode, kept, warnings: notices }, { ...options, on: device })
  noteWarnings(running.warnings())
  const show = await openDisplay()
  reloads.begin(() => readAgain(running, show))
  const control = await openControl(policyService(running, device))
  const lines = liveLines(running, startedAt)
  const timer = setInterval(() => (running.isAttached() ? show.update(lines()) : end.now('detached')), TICK_MS)
  const endedBy = await end.promise
  clearInterval(timer)
  control?.close()
  show.close()
  summarize(device, running, options, { endedBy, elapsedMs: performance.now() - startedAt, reloads })
  if (endedBy !== 'detached') return
  note(
    `sluice: the policy is not at ${device} any more: the device has gone, or somebody detached the policy; start it again where it is needed`,
  )
  process.exitCode = FAILED
}

/** Totals, and the rules that have met most packets since they were last asked for. */
function liveLines(running: RunningPolicy, startedAt: number): () => string {
  let before = { packets: new Map<string, number>(), at: startedAt }
  return () => {
    const { rules } = running.read()
    const at = performance.now()
    const seconds = (at - before.at) / 1000
    const met = rules.map((rule) => ({ ...rule, met: rule.packets - (before.packets.get(rule.name) ?? 0) }))
    before = { packets: new Map(rules.map(({ name, packets }) => [name, packets])), at }
    const busiest = met
      .filter(({ packets }) => packets > 0)
      .sort((one, other) => other.met - one.met || other.packets - one.packets)
      .slice(0, MOST_SHOWN)
      .map(({ met: since, ...rule }) => `  ${drawCount(rule)} (${formatQuantity(since / seconds)}/s)`)
    return [`${formatDuration(at - startedAt)}: ${droppedPackets(rules)} packets dropped`, ...busiest].join('\n')
  }
}

function drawCount({ name, action, mode, packets, overPackets }: ProtectedRule): string {
  const over = action === 'limit' ? `, ${overPackets} of them over the limit` : ''
  return `${name}: ${packets} packets${mode === 'shadow' ? ' (shadow)' : ''}${over}`
}

function summarize(
  device: string,
  running: RunningPolicy,
  { policy, json }: ProtectOptions,
  { endedBy, elapsedMs, reloads }: { readonly endedBy: string; readonly elapsedMs: number; readonly reloads: Reloads },
): void {
  if (json) {
    const seconds = Math.round(elapsedMs / 10) / 100
    printJson({ policy, device, mode: running.mode, seconds, endedBy, ...policyTotals(running, reloads) })
    return
  }
  const { rules } = running.read()
  print(drawPolicyRules(rules))
  print(`${droppedPackets(rules)} packets dropped at ${device} in ${formatDuration(elapsedMs)}`)
}
