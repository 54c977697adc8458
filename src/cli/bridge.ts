import { Command } from 'commander'
import { type Bridge, startBridge } from '../control/bridge.js'
import { serveEngine } from '../control/service/engine-service.js'
import { formatDuration, parseDuration } from './duration.js'
import { type End, listenForEnd, openDisplay, TICK_MS } from './foreground.js'
import { note, print, printJson } from './output.js'
import { formatQuantity } from './quantity.js'

interface BridgeOptions {
  readonly for?: number
  readonly json?: boolean
}

/** `sluice bridge DEVICE DEVICE`: a wire between two devices, as long as this command runs. */
export function bridgeCommand(): Command {
  return new Command('bridge')
    .description('join two devices: what comes in at one goes out at the other, until Ctrl-C or --for')
    .argument('<one>', 'device: eth0, NAMESPACE/eth0, tap:tap0 or packet:eth0')
    .argument('<other>', 'device, likewise')
    .option('--for <duration>', 'how long: 30s, 10m, 1h', parseDuration)
    .option('--json', 'one JSON document with the totals on standard output, at the end')
    .addHelpText(
      'after',
      `
Example:
  $ sudo sluice bridge eth0 eth1

Every packet goes on as it came, and the kernel sees none of them, except those
of packet:. A TAP device is made where there is none, and is up. Look inside
with sluice top, sluice trace and sluice capture.`,
    )
    .action(bridge)
}

async function bridge(one: string, other: string, options: BridgeOptions): Promise<void> {
  const end = listenForEnd(['SIGINT', 'SIGTERM'])
  try {
    const running = startBridge(one, other)
    if (options.for !== undefined) end.after(options.for)
    await watch(running, options, end)
  } finally {
    end.cancel()
  }
}

async function watch(running: Bridge, options: BridgeOptions, end: End): Promise<void> {
  const startedAt = performance.now()
  const failure = running.done.then(
    () => null,
    (error: unknown) => {
      end.now('failure')
      return error
    },
  )
  const [one, other] = running.statistics()
  const until = options.for === undefined ? 'until Ctrl-C' : `for ${formatDuration(options.for)}`
  note(`joining ${one!.name} (${one!.mode}) and ${other!.name} (${other!.mode}), ${until}`)
  for (const text of running.notes) note(text)
  const control = await serveEngine(running).catch((error) => {
    note(`warning: sluice status and top will not see this: ${(error as Error).message}`)
    return null
  })
  const show = await openDisplay()
  let before = { packets: 0, at: startedAt }
  const timer = setInterval(() => {
    const [packets, at] = [sentBy(running), performance.now()]
    const rate = ((packets - before.packets) * 1000) / (at - before.at)
    before = { packets, at }
    show.update(`${formatDuration(at - startedAt)}: ${packets} packets carried over (${formatQuantity(rate)}/s)`)
  }, TICK_MS)
  const endedBy = await end.promise
  clearInterval(timer)
  show.close()
  await control?.close()
  running.close()
  const error = await failure
  if (error !== null) throw error
  const elapsedMs = performance.now() - startedAt
  const ends = running.statistics()
  if (options.json) printJson({ ends, seconds: Math.round(elapsedMs / 10) / 100, endedBy })
  else
    print(
      `${sentBy(running)} packets carried over between ${ends.map(({ name }) => name).join(' and ')} in ${formatDuration(elapsedMs)}`,
    )
}

function sentBy(running: Bridge): number {
  return running.statistics().reduce((sum, { sentPackets }) => sum + sentPackets, 0)
}
