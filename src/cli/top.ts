import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { chooseService, connectTo, type FoundService, type ServiceConnection } from '../control/service/ask.js'
import type { EngineStages, ListedRule } from '../control/service/protocol.js'
import { type RuleRate, ruleRates, type StageRate, stageRates } from '../control/service/rates.js'
import { parseDuration } from './duration.js'
import { listenForEnd, openDisplay, TICK_MS } from './foreground.js'
import { print, printJson, standardOutput } from './output.js'
import { formatQuantity } from './quantity.js'
import { addServiceChoice, type ServiceChoice } from './service-choice.js'
import { drawTable } from './table.js'

interface TopOptions extends ServiceChoice {
  readonly once?: boolean
  readonly interval: number
  readonly json?: boolean
}

/** `sluice top`: what a service does now. */
export function topCommand(): Command {
  return addServiceChoice(
    new Command('top').description('show what a running service does: by rule, or by stage of its engine'),
  )
    .option('--once', 'once, after one interval, and not until Ctrl-C')
    .option('--interval <duration>', 'how long rates are taken over', parseDuration, TICK_MS)
    .option('--json', 'once, as one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice top --device eth0
  $ sudo sluice top --json --interval 5s

Time a packet is measured only while somebody looks.`,
    )
    .action(top)
}

async function top(options: TopOptions): Promise<void> {
  const service = await chooseService(options)
  const connection = connectTo(service.place)
  const end = listenForEnd(['SIGINT', 'SIGTERM', 'SIGHUP'])
  const isEnded = end.promise.then(() => true)
  try {
    if (service.status.kind === 'engine') await connection.ask({ do: 'watch' })
    const look = service.status.kind === 'engine' ? lookAtStages(connection) : lookAtRules(connection)
    await look()
    if (options.json || options.once) {
      await sleep(options.interval)
      const seen = await look()
      if (options.json) printJson(document(service, seen))
      else print(draw(service, seen))
      return
    }
    const show = await openDisplay(standardOutput())
    while (!(await Promise.race([isEnded, sleep(options.interval, false)]))) show.update(draw(service, await look()))
    show.close()
  } finally {
    end.cancel()
    connection.close()
  }
}

/** Rates since the look before. */
interface Seen {
  readonly seconds: number
  readonly rules: readonly RuleRate[] | null
  readonly stages: readonly StageRate[] | null
}

function lookAtRules(connection: ServiceConnection): () => Promise<Seen> {
  let before: { rules: readonly ListedRule[]; at: number } | null = null
  return async () => {
    const { rules } = await connection.ask({ do: 'list' })
    const at = performance.now()
    const seconds = (at - (before?.at ?? at)) / 1000
    const rates = ruleRates(before?.rules ?? rules, rules, seconds || 1)
    before = { rules, at }
    return { seconds, rules: rates, stages: null }
  }
}

function lookAtStages(connection: ServiceConnection): () => Promise<Seen> {
  let before: { engines: readonly EngineStages[]; at: number } | null = null
  return async () => {
    const engines = await connection.ask({ do: 'stages' })
    const at = performance.now()
    const seconds = (at - (before?.at ?? at)) / 1000
    const rates = stageRates(before?.engines ?? engines, engines, seconds || 1)
    before = { engines, at }
    return { seconds, rules: null, stages: rates }
  }
}

function document({ place, status }: FoundService, { seconds, rules, stages }: Seen) {
  const { name, device } = status
  return { id: place.id, name, device, seconds, ...(rules === null ? {} : { rules }), ...(stages && { stages }) }
}

function draw({ place, status }: FoundService, seen: Seen): string {
  const title = `${status.name} ${place.id}${status.device === null ? '' : ` at ${status.device}`}`
  return `${title}\n${seen.stages === null ? drawRules(seen.rules ?? []) : drawStages(seen.stages)}`
}

/** As many rows as a terminal has room for beside the head. */
function rowsOnScreen(): number {
  return Math.max(5, (standardOutput().rows ?? 1000) - 6)
}

function drawRules(rules: readonly RuleRate[]): string {
  const shown = rules.slice(0, rowsOnScreen())
  const table = drawTable(
    ['rule', 'action', 'packets/s', 'bytes/s', 'over/s', 'packets'],
    shown.map(({ name, action, mode, packetsPerSecond, bytesPerSecond, overPerSecond, packets }) => [
      name,
      mode === 'shadow' ? `${action} (shadow)` : action,
      formatQuantity(packetsPerSecond).trim(),
      `${formatQuantity(bytesPerSecond)}B`,
      action === 'limit' ? formatQuantity(overPerSecond).trim() : '',
      packets,
    ]),
  )
  return shown.length === rules.length ? table : `${table}\nand ${rules.length - shown.length} more rules`
}

function drawStages(stages: readonly StageRate[]): string {
  const isOne = new Set(stages.map(({ engine }) => engine)).size === 1
  return drawTable(
    ['stage', 'packets/s', 'bundles/s', 'packets a bundle', 'ns a packet', 'drops/s'],
    stages.map((rate) => [
      isOne ? rate.stage : `${rate.engine}: ${rate.stage}`,
      formatQuantity(rate.packetsPerSecond).trim(),
      formatQuantity(rate.bundlesPerSecond).trim(),
      rate.packetsPerBundle === null ? '-' : rate.packetsPerBundle.toFixed(1),
      rate.nanosecondsPerPacket === null ? '-' : rate.nanosecondsPerPacket.toFixed(1),
      drawDrops(rate),
    ]),
  )
}

function drawDrops({ dropsPerSecond }: StageRate): string {
  const some = Object.entries(dropsPerSecond).filter(([, rate]) => rate > 0)
  return some.length === 0 ? '-' : some.map(([reason, rate]) => `${reason}: ${formatQuantity(rate).trim()}`).join(', ')
}
