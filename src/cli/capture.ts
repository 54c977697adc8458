import { Command } from 'commander'
import { chooseService, connectTo } from '../control/service/ask.js'
import { createCapturedFile } from '../control/service/captured-file.js'
import { askUntilDone } from './ask-until-done.js'
import { parseDuration } from './duration.js'
import { EXPRESSION_HELP, InputError, note, printJson } from './output.js'
import { parseCount } from './rate.js'
import { addServiceChoice, type ServiceChoice } from './service-choice.js'

interface CaptureOptions extends ServiceChoice {
  readonly write: string
  readonly limit?: number
  readonly for?: number
  readonly json?: boolean
}

/** `sluice capture EDGE`: the packets that pass an edge of a running engine's graph, as a pcapng file. */
export function captureCommand(): Command {
  const command = new Command('capture')
    .description('write the packets that pass an edge of a running engine to a pcapng file')
    .argument(
      '<edge>',
      'STAGE.OUTPUT, or "receive DEVICE" for what comes from there, behind "WORKER: " where there are several; of another one all are named',
    )
    .argument('[expression...]', EXPRESSION_HELP)
    .requiredOption('-w, --write <file>', 'the pcapng file; - is standard output')
    .option('--limit <packets>', 'end after so many', parseCount)
    .option('--for <duration>', 'end after this time; without both at Ctrl-C', parseDuration)
  return addServiceChoice(command)
    .option('--json', 'one JSON document on standard output, at the end')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice capture 'handler of queue 0.answered' -w answers.pcapng --limit 100
  $ sudo sluice capture 'receive eth0 queue 0' 'udp port 53' -w - | tcpdump -n -r -`,
    )
    .action((edge: string, words: string[], options: CaptureOptions) => capture(edge, words.join(' '), options))
}

async function capture(edge: string, expression: string, options: CaptureOptions): Promise<void> {
  if (options.json && options.write === '-')
    throw new InputError('-w - puts packets on standard output, where --json writes too; give a file')
  const { place, status } = await chooseService(options, ['engine'])
  const connection = connectTo(place)
  let [packets, lost] = [0, 0]
  try {
    await connection.ask({ do: 'capture', edge, expression: expression || null, limit: options.limit ?? null })
    const file = createCapturedFile(options.write)
    let isWhole = false
    try {
      await askUntilDone(async () => {
        const captured = await connection.ask({ do: 'captured' })
        file.write(captured.packets)
        packets += captured.packets.length
        lost = captured.lost
        return captured.isDone
      }, options.for)
      isWhole = true
    } finally {
      file.close()
      if (!isWhole) note(`${packets} packets were written before`)
    }
  } finally {
    connection.close()
  }
  if (options.json) printJson({ id: place.id, devices: status.devices, edge, packets, lost })
  else note(`${packets} packets written${lost === 0 ? '' : `; ${lost} more came faster than they were fetched`}`)
}
