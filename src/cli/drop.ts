import { Command } from 'commander'
// Not through the room's index: what stands behind it for other commands takes 10 ms to load.
import { type RunningDrop, startDrop } from '../control/drop.js'
import type { ServedDrop } from '../control/service/drop-service.js'
import type { ControlSocket } from '../control/service/listen.js'
import { formatDuration, parseDuration } from './duration.js'
import { announce, type End, keepOption, listenForEnd, NO_KEEP_SSH, openDisplay, TICK_MS } from './foreground.js'
import { EXPRESSION_HELP, FAILED, note, print, printJson, RESOLVE_HELP, UNRESOLVED } from './output.js'
import { formatQuantity } from './quantity.js'

interface DropOptions {
  readonly on: string
  readonly for?: number
  readonly generic?: boolean
  readonly keep: readonly string[]
  readonly keepSsh: boolean
  readonly resolve?: boolean
  readonly json?: boolean
}

/** `sluice drop EXPR --on DEVICE`: one rule, now, as long as this command runs. */
export function dropCommand(): Command {
  return new Command('drop')
    .description('drop matching packets at a device, now, until Ctrl-C or --for')
    .argument('<expression...>', EXPRESSION_HELP)
    .requiredOption('--on <device>', 'network device whose received packets are judged')
    .option('--for <duration>', 'how long: 30s, 10m, 1h', parseDuration)
    .option('--generic', 'run the rule after the driver, where that has no native XDP; costs about four times as much')
    .addOption(keepOption())
    .option(...NO_KEEP_SSH)
    .option('--resolve', RESOLVE_HELP)
    .option('--json', 'one JSON document with the totals on standard output, at the end')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice drop 'udp and src port 53 and greater 512' --on eth0 --for 10m
  $ sudo sluice drop 'tcp dst port 443 and net 198.51.100.0/24' --on eth0 --keep 198.51.100.7

The rule ends with this command, also when it is killed.`,
    )
    .action(async (words: string[], options: DropOptions) => {
      await drop(words.join(' '), options)
    })
}

async function drop(expression: string, options: DropOptions): Promise<void> {
  const resolver = options.resolve
    ? await (await import('../control/resolve.js')).resolveNames([expression])
    : UNRESOLVED
  // Listening comes first: a signal between attaching and listening would end without the totals.
  const end = listenForEnd()
  try {
    const running = startDrop({
      expression,
      device: options.on,
      mode: options.generic === true ? 'generic' : null,
      keep: options.keep,
      keepSsh: options.keepSsh,
      resolver,
    })
    try {
      if (options.for !== undefined) end.after(options.for)
      await watch(expression, running, options, end)
    } finally {
      running.close()
    }
  } finally {
    end.cancel()
  }
}

async function watch(expression: string, running: RunningDrop, options: DropOptions, end: End): Promise<void> {
  const startedAt = performance.now()
  announce('dropping', running, options)
  const show = await openDisplay()
  const control = await serve(running, { expression, device: options.on, forMs: options.for })
  const line = liveLine(running, startedAt)
  const timer = setInterval(() => (running.isAttached() ? show.update(line()) : end.now('detached')), TICK_MS)
  const endedBy = await end.promise
  clearInterval(timer)
  control?.close()
  show.close()
  summarize(expression, running, options, endedBy, performance.now() - startedAt)
  if (endedBy !== 'detached') return
  note(
    `sluice: the rule is not at ${options.on} any more: the device has gone, or somebody detached the rule; start it again where it is needed`,
  )
  process.exitCode = FAILED
}

/** Loaded when the rule is in force already, for which nobody is to wait; it stays where the package has gone since. */
async function serve(running: RunningDrop, drop: ServedDrop): Promise<ControlSocket | null> {
  try {
    const { openControl } = await import('./open-control.js')
    const { dropService } = await import('../control/service/drop-service.js')
    return await openControl(dropService(running, drop))
  } catch (error) {
    note(`warning: sluice status, list and top will not see this: ${(error as Error).message}`)
    return null
  }
}

/** What the live line says: totals, and the rate since it was last asked for. */
function liveLine(running: RunningDrop, startedAt: number): () => string {
  let before = { packets: 0, at: startedAt }
  return () => {
    const { dropped } = running.read()
    const at = performance.now()
    const rate = ((dropped.packets - before.packets) * 1000) / (at - before.at)
    before = { packets: dropped.packets, at }
    const bytes = `${formatQuantity(dropped.bytes)}B`
    return `${formatDuration(at - startedAt)}: ${dropped.packets} packets dropped (${formatQuantity(rate)}/s), ${bytes}`
  }
}

function summarize(
  expression: string,
  running: RunningDrop,
  { on, json }: DropOptions,
  endedBy: string,
  elapsedMs: number,
): void {
  const { dropped, kept } = running.read()
  const seconds = Math.round(elapsedMs / 10) / 100
  const summary = { expression, device: on, mode: running.mode, seconds, endedBy, dropped, kept }
  if (json) printJson({ ...summary, keptPrefixes: running.kept })
  else print(`${dropped.packets} packets (${dropped.bytes} bytes) dropped at ${on} in ${formatDuration(elapsedMs)}`)
}
