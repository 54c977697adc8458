import { Command, Option } from 'commander'
import { droppedPackets } from '../control/opened-policy.js'
import {
  type Discipline,
  type Doorbell,
  fifo,
  fqCodel,
  type NatRule,
  parseHost,
  parseListener,
  parsePublished,
  priority,
  type Router,
  type RouterFlows,
  type RouterOptions,
  startRouter,
  TIMEOUTS_SECONDS,
  type Timeouts,
  type Tracking,
  tokenBucket,
} from '../control/router/router.js'
import { formatDuration, parseDuration } from './duration.js'
import { keepOption, NO_KEEP_SSH, showUntilEnd, untilWhen } from './foreground.js'
import { openEngineControl } from './open-engine-control.js'
import { InputError, note, print, printJson } from './output.js'
import {
  type GuardOptions,
  listenWithGuard,
  noteGuard,
  policyTotals,
  printGuard,
  type RouteGuard,
  readAgain,
} from './policy-at-work.js'
import { parseBitRate, parseCount } from './rate.js'
import { routeInDriver } from './route-in-driver.js'

interface RouteOptions extends GuardOptions {
  readonly for?: number
  readonly reversePath: 'off' | 'loose' | 'strict'
  readonly track?: number
  readonly timeout?: Partial<Timeouts>
  readonly whenFull?: Tracking['whenFull']
  readonly pickUp: boolean
  readonly masquerade?: readonly string[]
  readonly publish?: readonly string[]
  readonly queue?: keyof typeof DISCIPLINES
  readonly rate?: number
  readonly byteLimit?: 'auto' | 'off' | number
  readonly doorbell?: Doorbell
  readonly hook?: readonly string[]
  readonly small?: boolean
  readonly offload?: boolean
  readonly inDriver?: boolean
  readonly flows?: number
  readonly workers: number
  readonly json?: boolean
}

/** `request` is for programs, which can ask. */
const DOORBELLS: readonly Doorbell[] = ['burst', 'packet', 'ring full', 'byte limit', 'refused']
const DISCIPLINES = { fifo: () => fifo(), priority: () => priority(), 'fq-codel': () => fqCodel() } as const

/** `sluice route DEVICE DEVICE …`: a router over network devices, as long as this command runs. */
export function routeCommand(): Command {
  return new Command('route')
    .description('forward packets between devices as the kernel’s routes say, until Ctrl-C or --for')
    .argument('<device...>', 'network devices of the router, two or more')
    .option('--for <duration>', 'how long: 30s, 10m, 1h', parseDuration)
    .option(
      '--policy <file>',
      'what each packet meets first, in the drivers: a policy as YAML or JSON; SIGHUP reads it again',
    )
    .addOption(keepOption())
    .option(...NO_KEEP_SSH)
    .addOption(
      new Option('--reverse-path <check>', 'drop packets whose source is not routed to the device they came by')
        .choices(['off', 'loose', 'strict'])
        .default('off'),
    )
    .option(
      '--track <flows>',
      'track so many connections: what belongs to none is dropped, the others are routed once',
      parseCount,
    )
    .option(
      '--timeout <state=duration>',
      'how long a connection of that state is remembered without a packet: "established=2h", udp=1m; can be repeated',
      addTimeout,
    )
    .addOption(
      new Option(
        '--when-full <what>',
        'for a new connection where there is no room: one that was not answered has to go, or the new one is refused (default: "drop unreplied")',
      ).choices(['drop unreplied', 'refuse new']),
    )
    .option('--no-pick-up', 'connections whose begin was not seen are dropped as invalid')
    .option('--offload', 'with --track: busy connections are forwarded in the drivers, as many as --flows says')
    .option(
      '--masquerade <device>',
      'packets that leave by it have its address as their source; can be repeated',
      (device: string, before: readonly string[] = []) => [...before, device],
    )
    .option(
      '--publish <from=to>',
      'send what is for one address and port to another: 203.0.113.1:80=192.0.2.2:8080, …:53/udp=…:53; can be repeated',
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .addOption(
      new Option('--queue <discipline>', 'what waits before each device, and which packet goes next').choices(
        Object.keys(DISCIPLINES),
      ),
    )
    .option('--rate <bits>', 'let out so many bits a second by each device: 500k, 10M, 1.5G', parseBitRate)
    .option(
      '--byte-limit <bytes>',
      'bytes that a device may have unfinished: auto finds as few as keep it busy, off; auto where packets wait',
      parseByteLimit,
    )
    .addOption(
      new Option(
        '--doorbell <when>',
        'when a device is kicked to send: once a burst, for each packet, when its ring is full, when the byte limit holds back, or when it takes no more; burst where packets wait',
      ).choices(DOORBELLS),
    )
    .option(
      '--hook <listener>',
      'filter or mirror from the first packet on, as sluice hook does: "forward drop tcp dst port 25"; can be repeated',
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .option('--small', 'tables for some thousand routes, in a few megabytes')
    .addOption(
      new Option('--in-driver', 'forward in the drivers alone, by the kernel’s own tables; nothing comes to user space')
        // What only the engine does.
        .conflicts([
          'reversePath',
          'track',
          'offload',
          'masquerade',
          'publish',
          'queue',
          'rate',
          'byteLimit',
          'doorbell',
          'hook',
          'small',
          'workers',
        ]),
    )
    .option(
      '--flows <count>',
      'with --in-driver and --offload: forward so many flows of each family without a look-up, 0 for none; 16384 where nothing is said',
      parseFlows,
    )
    .option('--workers <count>', 'threads that share the queues of the devices, and the connections', parseCount, 1)
    .option('--json', 'one JSON document with the totals on standard output, at the end')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice route eth0 eth1 --reverse-path strict
  $ sudo sluice route lan0 wan0 --masquerade wan0 --publish 203.0.113.1:80=192.0.2.2:8080
  $ sudo sluice route eth0 eth1 --policy policy.yaml --keep 198.51.100.7

Routes and neighbours are the kernel's, and follow its changes: use ip route, or
a daemon such as BIRD or FRR. What is for this machine itself stays with the
kernel. When the command ends, the kernel forwards as before. Look inside with
sluice top, sluice trace and sluice capture. What a policy drops never comes to
the router; sluice list, add and remove see and change it.`,
    )
    .action(route)
}

const DRIVER_FLOWS = 16_384
/** All entries are read each second, in half a microsecond each. */
const MOST_DRIVER_FLOWS = 65_536

function parseFlows(text: string): number {
  const count = text === '0' ? 0 : parseCount(text)
  if (count <= MOST_DRIVER_FLOWS) return count
  throw new InputError(`the driver's table has at most ${MOST_DRIVER_FLOWS} flows, and "${text}" is more`)
}

async function route(devices: readonly string[], options: RouteOptions): Promise<void> {
  const { inDriver = false, offload = false, flows = DRIVER_FLOWS } = options
  if (options.flows !== undefined && !inDriver && !offload)
    throw new InputError('--flows is about flows in the drivers; give --offload or --in-driver as well')
  const guard = listenWithGuard(options)
  const { end, request, reloads } = guard
  try {
    if (inDriver) return await routeInDriver(devices, { ...options, flows }, guard)
    const router = await startRouter({
      devices,
      workers: options.workers,
      reversePath: options.reversePath,
      ...(options.track !== undefined && { track: options.track }),
      ...trackingOf(options),
      nat: natOf(devices, options),
      ...(offload && flows > 0 && { offload: flows }),
      ...queueOf(options),
      listeners: (options.hook ?? []).map(parseListener),
      ...(options.small && { profile: 'small' }),
      ...(request && { policy: request }),
      warn: (sentence) => note(`warning: ${sentence}`),
    })
    if (options.for !== undefined) end.after(options.for)
    await watch(router, options, guard)
  } finally {
    end.cancel()
    reloads?.cancel()
  }
}

function trackingOf({ timeout, whenFull, pickUp }: RouteOptions): Pick<RouterOptions, 'tracking'> {
  const tracking = {
    ...(timeout !== undefined && { timeouts: timeout }),
    ...(whenFull !== undefined && { whenFull }),
    ...(!pickUp && { loose: false }),
  }
  return Object.keys(tracking).length === 0 ? {} : { tracking }
}

/** `established=2h` beside those before it. Throws InputError. */
function addTimeout(text: string, before: Partial<Timeouts> = {}): Partial<Timeouts> {
  const [name = '', duration] = text.split('=')
  const states = Object.keys(TIMEOUTS_SECONDS) as (keyof Timeouts)[]
  const state = states.find((each) => each === name.trim())
  if (state === undefined || duration === undefined)
    throw new InputError(
      `"${text}" is no timeout; write it as established=2h, with one of these states: ${states.join(', ')}`,
    )
  return { ...before, [state]: parseDuration(duration) / 1000 }
}

function publishedBy(text: string, index: number, all: readonly string[]): NatRule {
  const rule = parsePublished(text)
  if (rule === null)
    throw new InputError(
      `"${text}" publishes no port; write it as 203.0.113.1:80=192.0.2.2:8080, with /udp behind the first port for UDP`,
    )
  const [from] = text.split('=')
  if (all.slice(0, index).some((other) => other.split('=')[0] === from))
    throw new InputError(`--publish ${from} is there twice; what comes to it can go to one place`)
  return rule
}

function natOf(devices: readonly string[], { masquerade = [], publish = [] }: RouteOptions): NatRule[] {
  const sources = masquerade.map((device): NatRule => {
    const outPort = devices.indexOf(device)
    if (outPort >= 0) return { kind: 'masquerade', outPort }
    throw new InputError(`--masquerade ${device}: the router's devices are ${devices.join(', ')}`)
  })
  return [...publish.map(publishedBy), ...sources]
}

function queueOf({ queue, rate, byteLimit, doorbell }: RouteOptions): Pick<RouterOptions, 'queue'> {
  if ([queue, rate, byteLimit, doorbell].every((option) => option === undefined)) return {}
  const inner = DISCIPLINES[queue ?? 'fifo']()
  const discipline: Discipline = rate === undefined ? inner : tokenBucket({ bitsPerSecond: rate }, inner)
  return {
    queue: { discipline, ...(byteLimit !== undefined && { byteLimit }), ...(doorbell !== undefined && { doorbell }) },
  }
}

/** Throws InputError. */
function parseByteLimit(text: string): 'auto' | 'off' | number {
  if (text === 'auto' || text === 'off') return text
  if (/^(?=.*[1-9])\d+(?:\.\d+)?[kM]?$/.test(text)) return parseCount(text)
  throw new InputError(`"${text}" is no byte limit; write auto, off or a number of bytes, as 3000 or 64k`)
}

async function watch(router: Router, options: RouteOptions, { end, reloads }: RouteGuard): Promise<void> {
  const { policy, devices } = router
  const names = router.ports.map(({ name, mode }) => `${name} (${mode})`).join(' and ')
  const isTracked = router.flows({ limit: 0 }) !== null
  const control = await openEngineControl({
    ...router,
    ...(isTracked && { connections: (address, limit) => flowsOf(router, address, limit) }),
    hook: (listener) => router.listen(parseListener(listener)),
    dropped: () => Object.values(router.totals().drops).reduce((sum, count) => sum + count, 0),
  })
  // Said last: whoever reads it may ask at once.
  note(`routing between ${names}, ${untilWhen(options.for)}; ${router.mirror.statistics().routes} routes`)
  for (const text of router.notes) note(text)
  if (policy) noteGuard(policy, options.keepSsh)
  const { endedBy, elapsedMs } = await showUntilEnd(router, end, {
    packets: () => router.totals().forwarded,
    line(packets, rate) {
      const { routes, hosts } = router.mirror.statistics()
      const dropped = policy === null ? '' : `, ${droppedPackets(policy.read().rules)} dropped by the policy`
      return `${packets} packets forwarded (${rate})${dropped}, ${routes} routes, ${hosts} hosts`
    },
    shown: (display) => policy && reloads?.begin(() => readAgain(policy, display)),
  })
  const totals = router.totals()
  await control?.close()
  router.close()
  if (options.json) {
    const rules = policy && reloads && { policy: { file: policy.file, ...policyTotals(policy, reloads) } }
    printJson({ devices, seconds: Math.round(elapsedMs / 10) / 100, endedBy, ...totals, ...rules })
  } else {
    print(`${totals.forwarded} packets forwarded between ${devices.join(' and ')} in ${formatDuration(elapsedMs)}`)
    if (policy) printGuard(policy, devices)
  }
  await router.done
}

function flowsOf(router: Router, address: string | null, limit: number): RouterFlows {
  return router.flows({ limit, ...(address !== null && { address: parseHost(address) }) })!
}
