import { Command } from 'commander'
import { printLayout } from '../control/index.js'
import { sentenceOf } from '../control/sentence.js'
import { connectTo, type FoundService, findServices, none } from '../control/service/ask.js'
import type { PolicyStatus, ServiceStatus } from '../control/service/protocol.js'
import { formatDuration } from './duration.js'
import { DONE, FAILED, note, print, printJson } from './output.js'
import { addServiceChoice, type ServiceChoice } from './service-choice.js'
import { drawTable } from './table.js'

interface StatusOptions extends ServiceChoice {
  readonly memory?: boolean
  readonly json?: boolean
}

/** `sluice status`: what runs on this machine. */
export function statusCommand(): Command {
  return addServiceChoice(new Command('status').description('say which Sluice services run, where and since when'))
    .option('--memory', 'what the linear memory of their engines is used for')
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Example:
  $ sudo sluice status
  $ sudo sluice status --memory --device eth0`,
    )
    .action(status)
}

async function status(options: StatusOptions): Promise<void> {
  const { found, silent } = await findServices(options)
  for (const sentence of silent) note(`sluice: ${sentence}`)
  const memories = options.memory === true ? await Promise.all(found.map(memoryOf)) : null
  if (options.json) printJson({ services: found.map((service, index) => document(service, memories?.[index])) })
  else if (found.length > 0) {
    print(drawServices(found))
    for (const [index, memory] of memories?.entries() ?? []) print(drawMemory(found[index]!, memory))
  }
  if (found.length > 0) process.exitCode = silent.length > 0 ? FAILED : DONE
  else if (silent.length === 0) throw none(options)
  else process.exitCode = FAILED
}

type Memory = Awaited<ReturnType<typeof memoryOf>>

/** Null: it has no engine. */
async function memoryOf({ place, status: { kind } }: FoundService) {
  if (kind !== 'engine') return null
  const connection = connectTo(place)
  try {
    return await connection.ask({ do: 'memory' })
  } catch (error) {
    note(`sluice: ${sentenceOf(error)}`)
    return null
  } finally {
    connection.close()
  }
}

function document({ place, status: each }: FoundService, memory: Memory | undefined) {
  return { id: place.id, ...each, ...(memory === undefined ? {} : { memory }) }
}

function drawServices(found: readonly FoundService[]): string {
  const now = Date.now()
  return drawTable(
    ['process', 'service', 'device', 'mode', 'for', 'program', 'dropped', 'lost', 'policy'],
    found.map(({ place, status: each }) => [
      place.id,
      each.name,
      each.devices.join(', ') || '-',
      each.mode ?? '-',
      formatDuration(now - Date.parse(each.since)),
      each.programId ?? '-',
      each.dropped,
      lossesOf(each),
      each.policy === null ? '-' : drawPolicy(each.policy),
    ]),
  )
}

function lossesOf({ losses }: ServiceStatus): string {
  const some = Object.entries(losses).filter(([, count]) => count > 0)
  return some.length === 0 ? '-' : some.map(([reason, count]) => `${reason}: ${count}`).join(', ')
}

function drawPolicy({ file, rules, changes: { added, removed, sets } }: PolicyStatus): string {
  const changes = [
    ...(added > 0 ? [`${added} added`] : []),
    ...(removed > 0 ? [`${removed} removed`] : []),
    ...(sets > 0 ? [`${sets} ${sets === 1 ? 'set' : 'sets'} changed`] : []),
  ]
  const count = `${rules} ${rules === 1 ? 'rule' : 'rules'}`
  return `${file === null ? '' : `${file}: `}${[count, ...changes].join(', ')}`
}

function drawMemory({ place, status: { name } }: FoundService, memory: Memory): string {
  if (memory === null) return `\n${name} ${place.id} has no engine, and so no linear memory`
  return `\n${name} ${place.id}: ${memory.bytes} bytes\n${printLayout(memory).trimEnd()}`
}
