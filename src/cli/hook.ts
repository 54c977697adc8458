import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { chooseService, connectTo } from '../control/service/ask.js'
import { formatDuration, parseDuration } from './duration.js'
import { listenForEnd, openDisplay, TICK_MS, untilWhen } from './foreground.js'
import { note, print, printJson } from './output.js'
import { formatQuantity } from './quantity.js'
import { addServiceChoice, type ServiceChoice } from './service-choice.js'

interface HookOptions extends ServiceChoice {
  readonly for?: number
  readonly json?: boolean
}

/** `sluice hook HOOK ACTION EXPR`: a filter, counter or mirror at a hook of a running router, as long as this runs. */
export function hookCommand(): Command {
  const command = new Command('hook')
    .description('filter, count or mirror packets at a hook of a running router, until Ctrl-C or --for')
    .argument('<hook>', 'prerouting, forward or postrouting; at one device of the router as prerouting:eth0')
    .argument('<action>', 'drop, count, or mirror:DEVICE, which copies to a device of the router')
    .argument('[expression...]', 'pcap-filter expression, as tcpdump takes it; every packet where there is none')
    .option('--for <duration>', 'how long: 30s, 10m, 1h', parseDuration)
  return addServiceChoice(command)
    .option('--json', 'one JSON document with the totals on standard output, at the end')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice hook forward drop 'tcp dst port 25' --for 10m
  $ sudo sluice hook prerouting:wan0 count 'udp and greater 1000'
  $ sudo sluice hook forward:lan0/wan0 mirror:mon0 'host 192.0.2.7'

At forward, lan0/wan0 is what goes from lan0 to wan0; either may be left out.
While nobody stands at a hook, packets pay nothing for it. What a router is to
filter from its first packet on, sluice route has as --hook.`,
    )
    .action((hook: string, action: string, words: string[], options: HookOptions) =>
      listen([hook, action, ...words].join(' '), options),
    )
}

async function listen(listener: string, options: HookOptions): Promise<void> {
  const end = listenForEnd()
  try {
    const { place, status } = await chooseService(options, ['engine'])
    const connection = connectTo(place)
    try {
      await connection.ask({ do: 'listen', listener })
      if (options.for !== undefined) end.after(options.for)
      note(`listening at ${status.devices.join(' and ')}: ${listener}, ${untilWhen(options.for)}`)
      const startedAt = performance.now()
      const isEnded = end.promise.then(() => true)
      const show = await openDisplay()
      let before = { packets: 0, at: startedAt }
      while (!(await Promise.race([isEnded, sleep(TICK_MS, false)]))) {
        const { packets, bytes } = await connection.ask({ do: 'heard' })
        const at = performance.now()
        const rate = ((packets - before.packets) * 1000) / (at - before.at)
        before = { packets, at }
        show.update(
          `${formatDuration(at - startedAt)}: ${packets} packets (${formatQuantity(rate)}/s), ${formatQuantity(bytes)}B`,
        )
      }
      show.close()
      const heard = await connection.ask({ do: 'heard' })
      const elapsedMs = performance.now() - startedAt
      const [id, endedBy, seconds] = [place.id, await end.promise, Math.round(elapsedMs / 10) / 100]
      if (options.json) printJson({ id, devices: status.devices, listener, seconds, endedBy, ...heard })
      else print(`${listener}: ${heard.packets} packets (${heard.bytes} bytes) in ${formatDuration(elapsedMs)}`)
    } finally {
      connection.close()
    }
  } finally {
    end.cancel()
  }
}
