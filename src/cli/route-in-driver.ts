import { type DriverTotals, startDriverRouter } from '../control/router/driver-router.js'
import { driverService } from '../control/service/driver-service.js'
import { formatDuration } from './duration.js'
import { showUntilEnd, untilWhen } from './foreground.js'
import { openControl } from './open-control.js'
import { note, print, printJson } from './output.js'
import { noteGuard, policyTotals, printGuard, type RouteGuard, readAgain } from './policy-at-work.js'

interface DriverRouteOptions {
  readonly for?: number
  readonly flows: number
  readonly keepSsh: boolean
  readonly json?: boolean
}

/** `sluice route --in-driver`: nothing comes to user space, which only watches the kernel's changes. */
export async function routeInDriver(
  devices: readonly string[],
  options: DriverRouteOptions,
  { end, request, reloads }: RouteGuard,
): Promise<void> {
  const router = startDriverRouter({
    ...{ devices, flows: options.flows, warn: (sentence: string) => note(`warning: ${sentence}`) },
    ...(request && { policy: request }),
  })
  const { policy } = router
  if (options.for !== undefined) end.after(options.for)
  const names = router.devices.map(({ name, mode }) => `${name} (${mode})`).join(' and ')
  const control = await openControl(
    driverService({
      name: 'route',
      devices: router.devices,
      policy,
      dropped() {
        const { others, drops } = router.totals()
        return (others.blackhole ?? 0) + sumOf(drops)
      },
      outcomes: () => outcomesOf(router.totals()),
    }),
  )
  // Said last: whoever reads it may ask at once.
  note(`routing in the drivers of ${names}, ${untilWhen(options.for)}`)
  if (policy) noteGuard(policy, options.keepSsh)
  const { endedBy, elapsedMs } = await showUntilEnd(router, end, {
    packets: () => router.totals().forwarded,
    line(packets, rate) {
      const { activeFlows, others, drops } = router.totals()
      const flows = options.flows === 0 ? '' : `, ${activeFlows} flows`
      const dropped = policy === null ? '' : `, ${sumOf(drops)} dropped by the policy`
      return `${packets} packets forwarded (${rate})${flows}${dropped}, ${sumOf(others)} left to the kernel`
    },
    shown: (display) => policy && reloads?.begin(() => readAgain(policy, display)),
  })
  const totals = router.totals()
  control?.close()
  router.close()
  if (options.json) {
    const rules = policy && reloads && { policy: { file: policy.file, ...policyTotals(policy, reloads) } }
    printJson({ devices, seconds: Math.round(elapsedMs / 10) / 100, endedBy, ...totals, ...rules })
  } else {
    summarize(totals, devices, elapsedMs)
    if (policy) printGuard(policy, devices)
  }
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

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

function summarize(totals: DriverTotals, devices: readonly string[], elapsedMs: number): void {
  print(
    `${totals.forwarded} packets forwarded between ${devices.join(' and ')} in ${formatDuration(elapsedMs)}, ${totals.byFlow} of them by flow`,
  )
  for (const [reason, count] of Object.entries(totals.others))
    print(`  ${count} ${reason === 'blackhole' ? 'dropped' : 'left to the kernel'}: ${reason}`)
}
