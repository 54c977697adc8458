import { Command } from 'commander'
import { type Bridge, startBridge } from '../control/bridge.js'
import { bridgeInDriver } from './bridge-in-driver.js'
import { formatDuration, parseDuration } from './duration.js'
import { type End, listenForEnd, showUntilEnd, untilWhen } from './foreground.js'
import { openEngineControl } from './open-engine-control.js'
import { note, print, printJson } from './output.js'

interface BridgeOptions {
  readonly for?: number
  readonly inDriver?: boolean
  readonly json?: boolean
}

/** `sluice bridge DEVICE DEVICE`: a wire between two devices, as long as this command runs. */
export function bridgeCommand(): Command {
  return new Command('bridge')
    .description('join two devices: what comes in at one goes out at the other, until Ctrl-C or --for')
    .argument('<one>', 'device: eth0, NAMESPACE/eth0, tap:tap0 or packet:eth0')
    .argument('<other>', 'device, likewise')
    .option('--for <duration>', 'how long: 30s, 10m, 1h', parseDuration)
    .option('--in-driver', 'hand frames over in the drivers alone; nothing comes to user space')
    .option('--json', 'one JSON document with the totals on standard output, at the end')
    .addHelpText(
      'after',
      `
Example:
  $ sudo sluice bridge eth0 eth1

Every packet goes on as it came, and the kernel sees none of them, except those
of packet:. A TAP device is made where there is none, and is up. Look inside
with sluice top, sluice trace and sluice capture. With --in-driver the frames
stay in the kernel, where only sluice top counts them.`,
    )
    .action(bridge)
}

async function bridge(one: string, other: string, options: BridgeOptions): Promise<void> {
  const end = listenForEnd()
  try {
    if (options.inDriver) return await bridgeInDriver([one, other], options, end)
    const running = startBridge(one, other)
    if (options.for !== undefined) end.after(options.for)
    await watch(running, options, end)
  } finally {
    end.cancel()
  }
}

async function watch(running: Bridge, options: BridgeOptions, end: End): Promise<void> {
  const [one, other] = running.statistics()
  const control = await openEngineControl(running)
  // Said last: whoever reads it may ask at once.
  note(`joining ${one!.name} (${one!.mode}) and ${other!.name} (${other!.mode}), ${untilWhen(options.for)}`)
  for (const text of running.notes) note(text)
  const { endedBy, elapsedMs } = await showUntilEnd(running, end, {
    packets: () => sentBy(running),
    line: (packets, rate) => `${packets} packets carried over (${rate})`,
  })
  await control?.close()
  running.close()
  const ends = running.statistics()
  if (options.json) printJson({ ends, seconds: Math.round(elapsedMs / 10) / 100, endedBy })
  else
    print(
      `${sentBy(running)} packets carried over between ${ends.map(({ name }) => name).join(' and ')} in ${formatDuration(elapsedMs)}`,
    )
  await running.done
}

function sentBy(running: Bridge): number {
  return running.statistics().reduce((sum, { sentPackets }) => sum + sentPackets, 0)
}
