import { Command } from 'commander'
import { chooseService, connectTo } from '../control/service/ask.js'
import { printTrace, type TracedPacket } from '../control/service/trace.js'
import { askUntilDone } from './ask-until-done.js'
import { parseDuration } from './duration.js'
import { EXPRESSION_HELP, note, print, printJson } from './output.js'
import { parseCountUpTo } from './rate.js'
import { addServiceChoice, type ServiceChoice } from './service-choice.js'

interface TraceOptions extends ServiceChoice {
  readonly limit: number
  readonly for?: number
  readonly json?: boolean
}

const MOST_PACKETS = 10_000

/** `sluice trace EXPR`: the way of packets through the graph of a running engine. */
export function traceCommand(): Command {
  const command = new Command('trace')
    .description('follow packets through the graph of a running engine')
    .argument('<expression...>', EXPRESSION_HELP)
    .option(
      '--limit <packets>',
      'how many packets are followed',
      (text: string) => parseCountUpTo(MOST_PACKETS, text),
      10,
    )
    .option('--for <duration>', 'how long is waited for them; without it until Ctrl-C', parseDuration)
  return addServiceChoice(command)
    .option('--json', 'one JSON document on standard output, at the end')
    .addHelpText(
      'after',
      `
Example:
  $ sudo sluice trace 'udp port 53' --limit 3

Each is taken through the stages alone while the others go as ever; nothing is
done before and after.`,
    )
    .action((words: string[], options: TraceOptions) => trace(words.join(' '), options))
}

async function trace(expression: string, options: TraceOptions): Promise<void> {
  const { place, status } = await chooseService(options, ['engine'])
  const connection = connectTo(place)
  const all: TracedPacket[] = []
  try {
    await connection.ask({ do: 'trace', expression, limit: options.limit })
    await askUntilDone(async () => {
      const traced = await connection.ask({ do: 'traced' })
      if (!options.json) for (const packet of traced.packets) print(printTrace(packet).trimEnd())
      all.push(...traced.packets)
      return traced.isDone
    }, options.for)
  } finally {
    connection.close()
  }
  if (options.json) printJson({ id: place.id, devices: status.devices, expression, packets: all })
  else note(`${all.length} of at most ${options.limit} packets followed`)
}
