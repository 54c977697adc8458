import { Option } from 'commander'
import { formatDuration } from './duration.js'
import { note, standardError } from './output.js'
import { formatQuantity } from './quantity.js'
import { endSignals } from './terminal.js'

/** How often a command that stays says how it goes. */
export const TICK_MS = 1000

/** `--keep PREFIX`, of every command that drops at a device. */
export function keepOption(): Option {
  return new Option('--keep <prefix>', 'never drop what comes from this address or prefix; can be repeated')
    .argParser((value: string, before: readonly string[]) => [...before, value])
    .default([], 'none')
}

export const NO_KEEP_SSH = ['--no-keep-ssh', 'do not spare the address that your SSH session comes from'] as const

/** Says that the work has begun, for how long, and who is spared. */
export function announce(
  doing: string,
  running: { readonly mode: string; readonly warnings: readonly string[]; readonly kept: readonly string[] },
  { on, for: forMs, keepSsh }: { readonly on: string; readonly for?: number; readonly keepSsh: boolean },
): void {
  note(`${doing} at ${on} (${running.mode}), ${untilWhen(forMs)}`)
  noteKept(running.kept, keepSsh)
  for (const warning of running.warnings) note(`warning: ${warning}`)
}

/** Says who is spared. */
export function noteKept(kept: readonly string[], keepSsh: boolean): void {
  for (const what of kept) note(`never dropped: what comes from ${what}`)
  if (kept.length === 0 && keepSsh) note('no SSH session found, nothing is spared; name your own address with --keep')
}

export function untilWhen(forMs: number | undefined): string {
  return forMs === undefined ? 'until Ctrl-C' : `for ${formatDuration(forMs)}`
}

/** What ends a command that stays: `promise` resolves with `time`, `detached` or the signal's name. */
export interface End {
  readonly promise: Promise<string>
  now(reason: string): void
  after(milliseconds: number): void
  cancel(): void
}

/** Listens for `signals` until `cancel`; one before the command waits for it is not lost. */
export function listenForEnd(signals = endSignals()): End {
  let timer: NodeJS.Timeout | undefined
  let now: (reason: string) => void = () => {}
  const promise = new Promise<string>((resolve) => {
    now = resolve
  })
  for (const signal of signals) process.on(signal, now)
  return {
    promise,
    now,
    after(milliseconds) {
      timer = setTimeout(now, milliseconds, 'time')
    },
    cancel() {
      clearTimeout(timer)
      for (const signal of signals) process.off(signal, now)
    },
  }
}

/** Where live counters are shown. */
export interface Display {
  update(line: string): void
  close(): void
}

/** Lines that are written over on a terminal, and line after line elsewhere. */
export async function openDisplay(stream = standardError()): Promise<Display> {
  // Loaded when rules are in force already, for which nobody is to wait; they stay where the package has gone since.
  const terminal = stream.isTTY ? await import('log-update').catch(() => null) : null
  if (terminal === null) return { update: (text) => void stream.write(`${text}\n`), close() {} }
  const update = terminal.createLogUpdate(stream)
  return { update, close: () => update.done() }
}

interface ShownCounts {
  packets(): number
  line(packets: number, rate: string): string
  /** Is told where the lines are shown, once that is known. */
  shown?(display: Display): void
}

/**
 * Says each second how many packets there were, in a line behind the time, until `end`, or until `done` rejects. Then
 * it has ended by `failure`, and who called it has the error from `done`, once the totals are said.
 */
export async function showUntilEnd(
  { done }: { readonly done: Promise<void> },
  end: End,
  { packets, line, shown }: ShownCounts,
): Promise<{ readonly endedBy: string; readonly elapsedMs: number }> {
  const startedAt = performance.now()
  done.catch(() => end.now('failure'))
  const show = await openDisplay()
  shown?.(show)
  let before = { count: packets(), at: startedAt }
  const timer = setInterval(() => {
    const [count, at] = [packets(), performance.now()]
    const rate = ((count - before.count) * 1000) / (at - before.at)
    before = { count, at }
    show.update(`${formatDuration(at - startedAt)}: ${line(count, `${formatQuantity(rate)}/s`)}`)
  }, TICK_MS)
  const endedBy = await end.promise
  clearInterval(timer)
  show.close()
  return { endedBy, elapsedMs: performance.now() - startedAt }
}
