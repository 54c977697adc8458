import { type DriverTotals, startDriverRouter } from '../control/router/driver-router.js'
import { formatDuration } from './duration.js'
import { type End, openDisplay, TICK_MS } from './foreground.js'
import { note, print, printJson } from './output.js'
import { formatQuantity } from './quantity.js'

interface DriverRouteOptions {
  readonly for?: number
  readonly flows: number
  readonly json?: boolean
}

/** `sluice route --in-driver`: nothing comes to user space, which only watches the kernel's changes. */
export async function routeInDriver(devices: readonly string[], options: DriverRouteOptions, end: End): Promise<void> {
  const startedAt = performance.now()
  const router = startDriverRouter({ devices, flows: options.flows, warn: (sentence) => note(`warning: ${sentence}`) })
  const failure = router.done.then(
    () => null,
    (error: unknown) => {
      end.now('failure')
      return error
    },
  )
  if (options.for !== undefined) end.after(options.for)
  const until = options.for === undefined ? 'until Ctrl-C' : `for ${formatDuration(options.for)}`
  note(
    `routing in the drivers of ${router.devices.map(({ name, mode }) => `${name} (${mode})`).join(' and ')}, ${until}`,
  )
  const show = await openDisplay()
  let before = { forwarded: 0, at: startedAt }
  const timer = setInterval(() => {
    const [{ forwarded, activeFlows, others }, at] = [router.totals(), performance.now()]
    const rate = ((forwarded - before.forwarded) * 1000) / (at - before.at)
    before = { forwarded, at }
    const flows = options.flows === 0 ? '' : `, ${activeFlows} flows`
    const rest = Object.values(others).reduce((sum, count) => sum + count, 0)
    show.update(
      `${formatDuration(at - startedAt)}: ${forwarded} packets forwarded (${formatQuantity(rate)}/s)${flows}, ${rest} left to the kernel`,
    )
  }, TICK_MS)
  const endedBy = await end.promise
  clearInterval(timer)
  show.close()
  const totals = router.totals()
  router.close()
  const error = await failure
  if (error !== null) throw error
  summarize(totals, devices, endedBy, performance.now() - startedAt, options)
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
