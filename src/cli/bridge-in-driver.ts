import { type DriverBridge, startDriverBridge } from '../control/driver-bridge.js'
import { driverService } from '../control/service/driver-service.js'
import { formatDuration } from './duration.js'
import { type End, showUntilEnd, untilWhen } from './foreground.js'
import { openControl } from './open-control.js'
import { note, print, printJson } from './output.js'

/** `sluice bridge --in-driver`: nothing comes to user space. */
export async function bridgeInDriver(
  ends: readonly [one: string, other: string],
  options: { readonly for?: number; readonly json?: boolean },
  end: End,
): Promise<void> {
  const bridge = startDriverBridge(...ends)
  if (options.for !== undefined) end.after(options.for)
  const [one, other] = bridge.statistics()
  const control = await openControl(
    driverService({
      name: 'bridge',
      devices: bridge.statistics(),
      dropped: () => 0,
      outcomes: () => Object.fromEntries(bridge.statistics().map((each) => [`from ${each.name}`, each.handedPackets])),
    }),
  )
  // Said last: whoever reads it may ask at once.
  note(
    `joining the drivers of ${one!.name} (${one!.mode}) and ${other!.name} (${other!.mode}), ${untilWhen(options.for)}`,
  )
  for (const text of bridge.notes) note(text)
  const { endedBy, elapsedMs } = await showUntilEnd(bridge, end, {
    packets: () => handedBy(bridge),
    line: (packets, rate) => `${packets} packets carried over (${rate})`,
  })
  control?.close()
  bridge.close()
  await bridge.done.catch(() => {})
  const statistics = bridge.statistics()
  const seconds = Math.round(elapsedMs / 10) / 100
  if (options.json) printJson({ ends: statistics, seconds, endedBy })
  else
    print(
      `${handedBy(bridge)} packets carried over between ${bridge.devices.join(' and ')} in ${formatDuration(elapsedMs)}`,
    )
  await bridge.done
}

function handedBy(bridge: DriverBridge): number {
  return bridge.statistics().reduce((sum, { handedPackets }) => sum + handedPackets, 0)
}
