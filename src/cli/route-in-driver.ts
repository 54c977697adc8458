import { type DriverTotals, startDriverRouter } from '../control/router/driver-router.js'
import { driverService } from '../control/service/driver-service.js'
import { formatDuration } from './duration.js'
import { type End, showUntilEnd, untilWhen } from './foreground.js'
import { openControl } from './open-control.js'
import { note, print, printJson } from './output.js'

interface DriverRouteOptions {
  readonly for?: number
  readonly flows: number
  readonly json?: boolean
}

/** `sluice route --in-driver`: nothing comes to user space, which only watches the kernel's changes. */
export async function routeInDriver(devices: readonly string[], options: DriverRouteOptions, end: End): Promise<void> {
  const router = startDriverRouter({ devices, flows: options.flows, warn: (sentence) => note(`warning: ${sentence}`) })
  if (options.for !== undefined) end.after(options.for)
  const names = router.devices.map(({ name, mode }) => `${name} (${mode})`).join(' and ')
  const control = await openControl(
    driverService({
      name: 'route',
      devices: router.devices,
      dropped: () => router.totals().others.blackhole ?? 0,
      outcomes: () => outcomesOf(router.totals()),
    }),
  )
  // Said last: whoever reads it may ask at once.
  note(`routing in the drivers of ${names}, ${untilWhen(options.for)}`)
  const { endedBy, elapsedMs } = await showUntilEnd(router, end, {
    packets: () => router.totals().forwarded,
    line(packets, rate) {
      const { activeFlows, others } = router.totals()
      const flows = options.flows === 0 ? '' : `, ${activeFlows} flows`
      const rest = Object.values(others).reduce((sum, count) => sum + count, 0)
      return `${packets} packets forwarded (${rate})${flows}, ${rest} left to the kernel`
    },
  })
  const totals = router.totals()
  control?.close()
  router.close()
  summarize(totals, devices, endedBy, elapsedMs, options)
  await router.done
}

function outcomesOf({ forwarded, byFlow, others }: DriverTotals): Record<string, number> {
  return {
    'forwarded by a look-up': forwarded - byFlow,
    'forwarded by flow': byFlow,
    ...Object.fromEntries(
      Object.entries(others).map(([reason, count]) => [
        reason === 'blackhole' ? 'dropped: blackhole' : `to the kernel: ${reason}`,
        count,
      ]),
    ),
  }
}

function summarize(
  totals: DriverTotals,
  devices: readonly string[],
  endedBy: string,
  elapsedMs: number,
  { json }: DriverRouteOptions,
): void {
  if (json) {
    printJson({ devices, seconds: Math.round(elapsedMs / 10) / 100, endedBy, ...totals })
    return
  }
  print(
    `${totals.forwarded} packets forwarded between ${devices.join(' and ')} in ${formatDuration(elapsedMs)}, ${totals.byFlow} of them by flow`,
  )
  for (const [reason, count] of Object.entries(totals.others))
    print(`  ${count} ${reason === 'blackhole' ? 'dropped' : 'left to the kernel'}: ${reason}`)
}
