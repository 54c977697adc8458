import { Option } from 'commander'
import type { TrafficReport, TrafficRun } from '../control/traffic-run.js'
import { formatDuration } from './duration.js'
import { type End, listenForEnd, openDisplay, TICK_MS } from './foreground.js'
import { note, print, printJson } from './output.js'
import { formatQuantity } from './quantity.js'

/** `--count`, of every command that sends. */
export const COUNT_OPTION = ['--count <packets>', 'how many at most: 1000, 50k, 1.5M'] as const

/** `--confirm ADDRESS`, of every command that sends. */
export function confirmOption(): Option {
  return new Option('--confirm <address>', 'this exact address may be sent to; can be repeated')
    .argParser((value: string, before: readonly string[]) => [...before, value])
    .default([], 'none')
}

/** What a run is, for who watches it. */
interface WatchedTraffic {
  readonly on: string | null
  readonly measureAt: string | null
  readonly forMs: number
  readonly seed: number | null
  readonly isJson: boolean
}

/** Opens a run, shows how it goes until it ends or is ended, and prints the totals. Throws what `open` throws. */
export async function runTraffic(open: () => TrafficRun, watched: WatchedTraffic): Promise<void> {
  const end = listenForEnd()
  try {
    const run = open()
    try {
      announce(run, watched)
      end.after(watched.forMs)
      const endedBy = await show(run, end)
      run.close()
      summarize(run, endedBy, watched)
    } finally {
      run.close()
    }
  } finally {
    end.cancel()
  }
}

function announce({ notes }: TrafficRun, { on, measureAt, forMs }: WatchedTraffic): void {
  const doing = [on === null ? null : `sending at ${on}`, measureAt === null ? null : `measuring at ${measureAt}`]
  note(`${doing.filter((part) => part !== null).join(', ')}, for ${formatDuration(forMs)} at most`)
  for (const text of notes) note(`note: ${text}`)
}

/** Shows how it goes until it ends; gives what ended it: `done`, `time` or a signal. */
async function show(run: TrafficRun, end: End): Promise<string> {
  const display = await openDisplay()
  const line = liveLine(run)
  const timer = setInterval(() => display.update(line()), TICK_MS)
  let endedBy = 'done'
  const stop = end.promise.then((reason) => {
    endedBy = reason
    run.stop()
  })
  try {
    await Promise.race([run.done, stop])
    await run.done
    return endedBy
  } finally {
    clearInterval(timer)
    display.close()
  }
}

function liveLine(run: TrafficRun): () => string {
  let before = run.read()
  return () => {
    const now = run.read()
    const seconds = (now.elapsedMs - before.elapsedMs) / 1000
    const rate = (after: number, earlier: number) => `${formatQuantity((after - earlier) / seconds)}/s`
    const parts = [`${formatDuration(now.elapsedMs)}:`]
    if (now.sent !== null)
      parts.push(`${now.sent.packets} packets sent (${rate(now.sent.packets, before.sent?.packets ?? 0)})`)
    if (now.measured !== null)
      parts.push(`${now.measured.received} received (${rate(now.measured.received, before.measured?.received ?? 0)})`)
    before = now
    return parts.join(' ')
  }
}

function summarize(run: TrafficRun, endedBy: string, { on, measureAt, seed, isJson }: WatchedTraffic): void {
  const report = run.read()
  const { sent, measured, elapsedMs } = report
  const seconds = Math.round(elapsedMs) / 1000
  const lost = lossOf(report)
  if (isJson) {
    const packetsPerSecond = sent === null ? null : Math.round((sent.packets / elapsedMs) * 1000)
    printJson({ on, measuredAt: measureAt, endedBy, seconds, seed, sent, packetsPerSecond, measured, lost })
    return
  }
  if (sent !== null) print(sentText(sent, elapsedMs))
  if (sent !== null && measured !== null && sent.stamped < sent.packets) print(unstampedText(sent))
  if (sent !== null && sent.stamped === 0 && measured !== null)
    print(`${measured.received + measured.others} packets arrived`)
  else if (measured !== null) for (const text of measuredTexts(measured, lost)) print(text)
}

/** What was sent with a stamp and did not come; without a sender, what is missing up to the highest number. */
function lossOf({ sent, measured }: TrafficReport): number | null {
  if (measured === null) return null
  return Math.max(0, (sent?.stamped ?? measured.expected) - measured.received)
}

function sentText({ packets, bytes, leftOut, drops }: NonNullable<TrafficReport['sent']>, elapsedMs: number): string {
  const rate = `${formatQuantity((packets / elapsedMs) * 1000)}/s`
  return [
    `${packets} packets (${bytes} bytes) sent in ${(elapsedMs / 1000).toFixed(2)} s, ${rate}`,
    ...(leftOut > 0 ? [`${leftOut} left out because their time had passed`] : []),
    ...Object.entries(drops).map(([reason, count]) => `${count} not sent: ${reason}`),
  ].join('; ')
}

/** Of these nobody can tell at the other end which they are: they are neither received nor lost. */
function unstampedText({ unstamped }: NonNullable<TrafficReport['sent']>): string {
  const reasons = Object.entries(unstamped).map(([reason, count]) => `${count} ${reason}`)
  return `sent without a stamp, and not measured: ${reasons.join(', ')}`
}

function measuredTexts(measured: NonNullable<TrafficReport['measured']>, lost: number | null): string[] {
  const { received, bytes, duplicates, reordered, corrupted, others, otherRuns, tooOld, delaysNs, drops } = measured
  const besides = { 'of other runs': otherRuns, 'without a stamp': others, 'too late to tell': tooOld }
  const more = Object.entries(besides).filter(([, count]) => count > 0)
  const lines = [
    `${received} packets (${bytes} bytes) received; ${lost} lost, ${duplicates} duplicates, ${reordered} out of order, ${corrupted} corrupted`,
  ]
  if (more.length > 0) lines.push(`also ${more.map(([what, count]) => `${count} ${what}`).join(', ')}`)
  for (const [reason, count] of Object.entries(drops)) lines.push(`${count} lost where it was measured: ${reason}`)
  if (delaysNs === null) return lines
  const { least, p50, p90, p99, p999, most } = delaysNs
  const times = Object.entries({ least, median: p50, '90 %': p90, '99 %': p99, '99.9 %': p999, most })
  return [...lines, `delay in µs: ${times.map(([name, ns]) => `${name} ${(ns / 1000).toFixed(1)}`).join(', ')}`]
}
