import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { chooseService, connectTo, type FoundService, type ServiceConnection } from '../control/service/ask.js'
import type { DeviceQueue, EngineStages, ListedRule } from '../control/service/protocol.js'
import {
  type QueueRate,
  queueRates,
  type RuleRate,
  ruleRates,
  type StageRate,
  stageRates,
} from '../control/service/rates.js'
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
    .addOption(
      new Option('--interval <duration>', 'how long rates are taken over')
        .argParser(parseDuration)
        .default(TICK_MS, '1s'),
    )
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
  const end = listenForEnd()
  const isEnded = end.promise.then(() => true)
  try {
    if (service.status.kind === 'engine') await connection.ask({ do: 'watch' })
    const look = lookAt(service, connection)
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
  /** What waits before the devices of an engine. */
  readonly queues: readonly QueueRate[]
}

/** An engine may have a policy in front of it. */
function lookAt({ status: { kind, policy } }: FoundService, connection: ServiceConnection): () => Promise<Seen> {
  if (kind !== 'engine') return lookAtRules(connection)
  const [stages, rules] = [lookAtStages(connection), lookAtRules(connection)]
  return policy === null ? stages : async () => ({ ...(await stages()), rules: (await rules()).rules })
}

function lookAtRules(connection: ServiceConnection): () => Promise<Seen> {
  let before: { rules: readonly ListedRule[]; at: number } | null = null
  return async () => {
    const { rules } = await connection.ask({ do: 'list' })
    const at = performance.now()
    const seconds = (at - (before?.at ?? at)) / 1000
    const rates = ruleRates(before?.rules ?? rules, rules, seconds || 1)
    before = { rules, at }
    return { seconds, rules: rates, stages: null, queues: [] }
  }
}

function lookAtStages(connection: ServiceConnection): () => Promise<Seen> {
  let before: { engines: readonly EngineStages[]; queues: readonly DeviceQueue[]; at: number } | null = null
  return async () => {
    const engines = await connection.ask({ do: 'stages' })
    const queues = await connection.ask({ do: 'queues' })
    const at = performance.now()
    const seconds = (at - (before?.at ?? at)) / 1000
    const rates = stageRates(before?.engines ?? engines, engines, seconds || 1)
    const queueing = queueRates(before?.queues ?? queues, queues, seconds || 1)
    before = { engines, queues, at }
    return { seconds, rules: null, stages: rates, queues: queueing }
  }
}

function document({ place, status }: FoundService, { seconds, rules, stages, queues }: Seen) {
  const { name, devices } = status
  const what = { ...(rules === null ? {} : { rules }), ...(stages && { stages }), ...(queues.length > 0 && { queues }) }
  return { id: place.id, name, devices, seconds, ...what }
}

function draw({ place, status }: FoundService, seen: Seen): string {
  const title = `${status.name} ${place.id}${status.devices.length === 0 ? '' : ` at ${status.devices.join(' and ')}`}`
  const text = [title, ...drawSeen(seen)].join('\n')
  // A row that a terminal breaks in two takes the place of another.
  const { columns = Number.POSITIVE_INFINITY } = standardOutput()
  return text.replace(/^.*$/gm, (line) => line.slice(0, columns))
}

function drawSeen({ rules, stages, queues }: Seen): string[] {
  if (stages === null) return [drawRules(rules ?? [], rowsOnScreen(1))]
  if (rules === null) return [drawEngine(stages, queues, 0)]
  const table = drawRules(rules, MOST_RULES_OF_ENGINE)
  return [table, drawEngine(stages, queues, table.split('\n').length)]
}

/** Rules that are shown above the stages of an engine, the busiest. */
const MOST_RULES_OF_ENGINE = 8

/** As many rows as a terminal has room for beside the head and so many other lines. */
function rowsOnScreen(others: number): number {
  return Math.max(5, (standardOutput().rows ?? 1000) - 5 - others)
}

function drawRules(rules: readonly RuleRate[], most: number): string {
  const shown = rules.slice(0, most)
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

function drawEngine(stages: readonly StageRate[], queues: readonly QueueRate[], others: number): string {
  // Its two borders and head, and a row each.
  const lines = queues.length === 0 ? 0 : queues.length + 3
  const table = drawStages(stages, lines + others)
  return lines === 0 ? table : `${table}\n${drawQueues(queues)}`
}

function drawQueues(queues: readonly QueueRate[]): string {
  return drawTable(
    ['before', 'waiting', 'limit', 'kicks/s', 'a kick', 'held/s', 'refused/s', 'marked/s'],
    queues.map((queue) => [
      queue.device,
      queue.packets === 0 ? '-' : `${queue.packets}, ${formatQuantity(queue.bytes)}B`,
      queue.byteLimit === null ? '-' : `${formatQuantity(queue.byteLimit)}B`,
      formatQuantity(queue.kicksPerSecond).trim(),
      queue.packetsPerKick === null ? '-' : queue.packetsPerKick.toFixed(1),
      ...[queue.heldBackPerSecond, queue.refusedPerSecond, queue.markedPerSecond].map((rate) =>
        rate === 0 ? '-' : formatQuantity(rate).trim(),
      ),
    ]),
  )
}

/** Those that have had packets, in the order of the graph; a router has twenty, most of them for what seldom comes. */
function drawStages(stages: readonly StageRate[], others: number): string {
  const isOne = new Set(stages.map(({ engine }) => engine)).size === 1
  const nameOf = ({ engine, stage }: StageRate) => (isOne ? stage : `${engine}: ${stage}`)
  const busy = stages.filter(({ packets, drops }) => packets > 0 || sum(drops) > 0)
  const dropped = busy.flatMap((rate) => {
    const reasons = Object.entries(rate.dropsPerSecond).filter(([, perSecond]) => perSecond > 0)
    return reasons.map(([reason, perSecond]) => `dropped at ${nameOf(rate)}: ${reason}, ${formatQuantity(perSecond)}/s`)
  })
  const shown = busy.slice(0, rowsOnScreen(dropped.length + 1 + others))
  const table = drawTable(
    ['stage', 'packets/s', 'a bundle', 'ns a packet', 'drops/s'],
    shown.map((rate) => [
      nameOf(rate),
      formatQuantity(rate.packetsPerSecond).trim(),
      rate.packetsPerBundle === null ? '-' : rate.packetsPerBundle.toFixed(1),
      rate.nanosecondsPerPacket === null ? '-' : rate.nanosecondsPerPacket.toFixed(1),
      sum(rate.dropsPerSecond) === 0 ? '-' : formatQuantity(sum(rate.dropsPerSecond)).trim(),
    ]),
  )
  const [more, idle] = [busy.length - shown.length, stages.length - busy.length]
  const rest = [...(more > 0 ? [`${more} more`] : []), ...(idle > 0 ? [`${idle} without a packet so far`] : [])]
  return [table, ...dropped, ...(rest.length > 0 ? [`further stages: ${rest.join(', ')}`] : [])].join('\n')
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
