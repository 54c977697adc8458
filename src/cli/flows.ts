import { Command } from 'commander'
import type { FlowEnds, RouterFlow, RouterFlows } from '../control/router/router-flows.js'
import { MOST_FLOWS } from '../control/service/protocol.js'
import { formatDuration } from './duration.js'
import { print, printJson } from './output.js'
import { formatQuantity } from './quantity.js'
import { parseCountUpTo } from './rate.js'
import { addServiceChoice, askChosen, type ServiceChoice } from './service-choice.js'
import { drawTable } from './table.js'

interface FlowsOptions extends ServiceChoice {
  readonly limit: number
  readonly json?: boolean
}

/** `sluice flows`: the connections that a router tracks. */
export function flowsCommand(): Command {
  const command = new Command('flows')
    .description('list the connections that a running router tracks')
    .argument('[address]', 'only those of this address, before or behind translation')
    .option('--limit <flows>', 'how many are listed at most', (text: string) => parseCountUpTo(MOST_FLOWS, text), 100)
  return addServiceChoice(command)
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice flows
  $ sudo sluice flows 192.0.2.7 --json

Below the table stands what has happened to all: how many there are and were,
and how many had to go, or could not come, for want of room.`,
    )
    .action(async (address: string | undefined, options: FlowsOptions) => {
      const { limit, json } = options
      const { id, device, result } = await askChosen(options, { do: 'flows', address: address ?? null, limit }, [
        'engine',
      ])
      if (json) printJson({ id, device, ...result })
      else print(drawFlows(result))
    })
}

function drawFlows({ flows, matching, statistics }: RouterFlows): string {
  const table = drawTable(
    ['protocol', 'state', 'from', 'to', 'translated', 'ends in', 'in the driver'],
    flows.map((flow) => [
      flow.protocol,
      flow.isReplied ? flow.state : `${flow.state}, no answer`,
      endOf(flow.original.source, flow.original.sourcePort),
      endOf(flow.original.destination, flow.original.destinationPort),
      drawTranslation(flow),
      formatDuration(flow.expiresSeconds * 1000),
      flow.driver === null ? '-' : `${flow.driver.packets}, ${formatQuantity(flow.driver.bytes)}B`,
    ]),
  )
  const { active, capacity, created, expired, evicted, refused, crowded } = statistics
  const more = matching > flows.length ? [`and ${matching - flows.length} more; --limit lists them`] : []
  const all = `${active} of at most ${capacity} connections; ${created} begun, ${expired} expired, ${evicted} made room, ${refused + crowded} refused`
  return [...(flows.length > 0 ? [table] : []), ...more, all].join('\n')
}

/** Whom the other end sees, and who gets it. */
function drawTranslation({ original, reply, isTranslated, protocol }: RouterFlow): string {
  if (!isTranslated) return '-'
  // Of ICMP one identifier is in both directions, and no port of anybody.
  const hasPorts = !protocol.startsWith('icmp')
  const end = (ends: FlowEnds, which: 'source' | 'destination') =>
    endOf(ends[which], hasPorts ? ends[`${which}Port`] : 0)
  const [from, to] = [end(reply, 'destination'), end(reply, 'source')]
  const changes = [
    ...(from === end(original, 'source') ? [] : [`from ${from}`]),
    ...(to === end(original, 'destination') ? [] : [`to ${to}`]),
  ]
  return changes.join(' ')
}

function endOf(address: string, port: number): string {
  if (port === 0) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
