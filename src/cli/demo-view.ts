import Table from 'cli-table3'
import pc from 'picocolors'
import type {
  CorePlan,
  DemoProgress,
  DemoResult,
  FloodFigures,
  Phase,
  PhaseName,
  ServiceFigures,
} from '../lab/index.js'

/** What the demonstration's screen shows; a pure function of this makes the text. */
export interface DemoScreen {
  readonly rule: string
  readonly cores: CorePlan | null
  readonly phases: readonly Phase[]
  readonly running: DemoProgress | null
}

const TITLES: Record<PhaseName, string> = {
  calm: 'calm',
  undefended: 'flood, no defence',
  iptables: 'flood, iptables',
  defended: 'flood, the rule',
  recovered: 'calm again',
}

const COLUMNS = ['phase', 'flood', 'dropped by rule', 'requests answered', 'median', 'p99', 'victim core']

const BAR_CELLS = 10
const LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
}

/** The whole live screen. */
export function drawScreen(screen: DemoScreen): string {
  const most = Math.max(1, ...screen.phases.map((phase) => phase.flood.offeredPps), screen.running?.offeredPps ?? 0)
  const table = new Table({
    head: COLUMNS.map((column) => pc.dim(column)),
    chars: LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
    colAligns: ['left', 'left', 'right', 'left', 'right', 'right', 'right'],
  })
  for (const phase of screen.phases) table.push(finishedRow(phase, most))
  if (screen.running !== null) table.push(runningRow(screen.running, most))
  return [
    '',
    `${pc.bold('sluice demo')}  a web service, a real flood of connection requests, one rule`,
    `${pc.dim('rule')}   ${pc.cyan(screen.rule)}`,
    ...(screen.cores === null ? [] : [`${pc.dim('cores')}  ${describeCores(screen.cores)}`]),
    '',
    table.toString(),
    '',
  ].join('\n')
}

/** What it comes to, once everything has run. */
export function drawSummary(result: DemoResult): string {
  const lines = result.on === 'veth' ? summarizeDevices(result) : summarizeMemory(result)
  return [...lines, ...result.notes.map((text) => `${pc.yellow('note')}  ${text}`), ''].join('\n')
}

function summarizeDevices({ phases, firstDropMs, mode, cores, machine }: DemoResult): string[] {
  const find = (name: PhaseName) => phases.find((phase) => phase.name === name)
  const [calm, undefended, iptables, defended] = (['calm', 'undefended', 'iptables', 'defended'] as const).map(find)
  if (!calm || !undefended || !defended) return []
  const lines = [
    `Without defence ${percent(answered(undefended.service))} of the requests were answered` +
      `${iptables ? `, with iptables ${percent(answered(iptables.service))}` : ''}, ` +
      `with the rule ${pc.bold(percent(answered(defended.service)))}.`,
  ]
  if (calm.service.p50Ms !== null && defended.service.p50Ms !== null) {
    lines.push(
      `Under ${rate(defended.flood.offeredPps)} packets a second, with the rule, the median was ` +
        `${ratio(defended.service.p50Ms, calm.service.p50Ms)} and the p99 ` +
        `${ratio(defended.service.p99Ms!, calm.service.p99Ms!)} times the calm one.`,
    )
  }
  const { rule, flood } = defended
  if (rule !== null) {
    lines.push(
      `It dropped ${count(rule.dropped)} packets in the driver (${mode}); ${count(flood.reached)} of the flood reached it, ` +
        `and ${rule.serviceDropped} of the service's were dropped.`,
    )
  }
  if (firstDropMs !== null)
    lines.push(`From the text of the rule to the first dropped packet: ${firstDropMs.toFixed(0)} ms.`)
  lines.push(
    pc.dim(
      `The rig itself lost ${share(flood.ringLoss, flood)} of the flood and held ${share(flood.heldBack, flood)} back: a veth ring has 256 slots, and what finds it full never meets a rule.`,
    ),
  )
  if (cores !== null) lines.push(pc.dim(`${describeCores(cores)}; ${machine.cpu}, ${machine.kernel}.`))
  return lines
}

function summarizeMemory({ phases, machine }: DemoResult): string[] {
  const defended = phases.find((phase) => phase.name === 'defended')
  if (!defended?.rule) return []
  return [
    `In memory the rule dropped ${count(defended.rule.dropped)} of ${count(defended.flood.reached)} flood packets and ${defended.rule.serviceDropped} of the service's.`,
    pc.dim(`${machine.cpu}, ${machine.kernel}.`),
  ]
}

function describeCores({ generator, victim, service, client }: CorePlan): string {
  const work = new Map<number, string[]>()
  const parts = { generator, client, service, "the victim's packets": victim }
  for (const [what, core] of Object.entries(parts)) work.set(core, [...(work.get(core) ?? []), what])
  return [...work].map(([core, what]) => `core ${core}: ${what.join(', ')}`).join(' · ')
}

type Row = string[]

function finishedRow(phase: Phase, most: number): Row {
  return [
    TITLES[phase.name],
    floodCell(phase.flood.offeredPps, most),
    phase.rule === null ? pc.dim('-') : count(phase.rule.dropped),
    ...serviceCells(phase.service),
    phase.victimCoreBusy === null ? pc.dim('-') : percent(phase.victimCoreBusy),
  ]
}

function runningRow(progress: DemoProgress, most: number): Row {
  const left = Math.max(0, Math.ceil((progress.durationMs - progress.elapsedMs) / 1000))
  return [
    pc.bold(`${TITLES[progress.phase]} …${left} s`),
    floodCell(progress.offeredPps, most),
    progress.droppedPps > 0 ? `${rate(progress.droppedPps)}/s` : pc.dim('-'),
    ...serviceCells(progress.service),
    '',
  ]
}

function floodCell(offeredPps: number, most: number): string {
  return offeredPps < 1 ? pc.dim('-') : `${pc.red(bar(offeredPps / most))} ${rate(offeredPps)}/s`
}

function serviceCells(service: ServiceFigures): Row {
  const share = answered(service)
  const paint = share > 0.99 ? pc.green : share > 0.5 ? pc.yellow : pc.red
  return [
    service.requests === 0 ? pc.dim('-') : `${paint(bar(share))} ${percent(share)} of ${service.requests}`,
    milliseconds(service.p50Ms),
    milliseconds(service.p99Ms),
  ]
}

function answered({ requests, failed }: ServiceFigures): number {
  return requests === 0 ? 0 : (requests - failed) / requests
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS)
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full)
}

function milliseconds(ms: number | null): string {
  return ms === null ? pc.dim('-') : `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`
}

/** `2.51 M`, `730 k`: packets. */
export function rate(packets: number): string {
  return packets >= 1e6
    ? `${(packets / 1e6).toFixed(2)} M`
    : packets >= 1e3
      ? `${(packets / 1e3).toFixed(0)} k`
      : packets.toFixed(0)
}

function count(packets: number): string {
  return packets.toLocaleString('en')
}

function percent(share: number): string {
  const hundredths = share * 100
  // Never round up to a success that was not one.
  return `${hundredths > 99 && hundredths < 100 ? (Math.floor(hundredths * 10) / 10).toFixed(1) : hundredths.toFixed(0)} %`
}

function share(packets: number, { sent }: FloodFigures): string {
  return `${((100 * packets) / Math.max(1, sent)).toFixed(3)} %`
}

function ratio(value: number, of: number): string {
  const times = value / of
  return times < 10 ? times.toFixed(2) : times.toFixed(0)
}
