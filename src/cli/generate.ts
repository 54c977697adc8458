import { Argument, Command, Option } from 'commander'
import { type GenerateRequest, prepareTraffic, startGenerate } from '../control/generate.js'
import { parseDuration } from './duration.js'
import { InputError } from './output.js'
import { parseCount, parseRate } from './rate.js'
import { COUNT_OPTION, confirmOption, runTraffic } from './traffic-view.js'

const KINDS = ['udp', 'syn', 'fragments', 'dns', 'ntp', 'ssdp', 'memcached', 'chargen'] as const

interface GenerateOptions {
  readonly on?: string
  readonly template?: string
  readonly from?: string
  readonly to?: string
  readonly fromMac?: string
  readonly toMac?: string
  readonly size?: string
  readonly inTurn?: boolean
  readonly rate?: number
  readonly arrivals: 'constant' | 'poisson' | 'bursts' | 'recorded'
  readonly burst?: number
  readonly count: number
  readonly for: number
  readonly measure?: string
  readonly stamp?: boolean
  readonly confirm: readonly string[]
  readonly seed?: number
  readonly json?: boolean
}

const DEFAULT_RATE = '1000'
const DEFAULT_TIME = '10s'
const DEFAULT_BURST = 32
const DEFAULT_COUNT = '100M'

/** `sluice generate KIND --on DEVICE --to ADDRESS`: traffic, and what becomes of it at the other end. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('send traffic over a device, and measure loss, order and delay where it arrives')
    .addArgument(new Argument('[kind]', `what is sent: ${KINDS.join(', ')}`).argParser(parseKind))
    .option('--on <device>', 'where it is sent: veth0, NAMESPACE/veth0, xdp:…, live:…, tap:…, FILE.pcap or link:')
    .option('--to <address>', 'address or range, with ports as 192.0.2.2:53 or 192.0.2.0/24:1024-2047')
    .option('--from <address>', 'sources, likewise; of a kind by default 198.18.0.0/15, of IPv6 2001:2::/96')
    .option(
      '--rate <rate>',
      `packets a second: 1000, 50k, 1.5M or max; ${DEFAULT_RATE} where nothing is said`,
      parseRate,
    )
    .addOption(
      new Option('--arrivals <kind>', 'when they are sent')
        .choices(['constant', 'poisson', 'bursts', 'recorded'])
        .default('constant'),
    )
    .option(
      '--burst <packets>',
      `packets of a burst, for --arrivals bursts; ${DEFAULT_BURST} where nothing is said`,
      parseCount,
    )
    .option('--size <sizes>', 'bytes without FCS: 60, 60-1514, 60:7,1514:1, or imix, csit, trex, rfc2544')
    .option('--in-turn', 'take addresses and ports one after the other instead of at random')
    .option('--template <file>', "send a capture's packets instead of a kind; --from and --to vary its flows")
    .addOption(
      new Option('--for <duration>', 'how long at most: 30s, 10m')
        .argParser(parseDuration)
        .default(parseDuration(DEFAULT_TIME), DEFAULT_TIME),
    )
    .addOption(new Option(...COUNT_OPTION).argParser(parseCount).default(parseCount(DEFAULT_COUNT), DEFAULT_COUNT))
    .option('--measure <device>', 'count what arrives there; without --on, measure only')
    .option('--stamp', 'number the packets of a capture for whoever else measures; --measure does so by itself')
    .option('--to-mac <mac>', 'Ethernet destination; by default as the kernel knows it, or as captured')
    .option('--from-mac <mac>', "Ethernet source; by default the device's, or as captured")
    .addOption(confirmOption())
    .option('--seed <number>', 'of all random numbers; the same seed sends the same packets', parseCount)
    .option('--json', 'one JSON document with the totals on standard output, at the end')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice generate syn --on lab/veth0 --to 192.0.2.2:80 --rate 100k --for 5s
  $ sudo sluice generate udp --on lab/veth0 --to 192.0.2.2 --size imix --measure peer/veth1
  $ sluice generate dns --on answers.pcap --to 192.0.2.2 --count 1000
  $ sudo sluice generate --template web.pcap --on lab/veth0 --from 198.18.0.0/15 --to 192.0.2.2:80

Of a capture, --from stands for whoever of two speaks first and --to for the
other; packets of a flow stay together, and are a new flow each time the capture
is sent. What is not named stays as it was captured. Stamps, by which packets
are measured, are written over the first 18 bytes of a payload.

Nothing is sent to an address outside of this machine unless --confirm names
it. Every run ends after --for or --count, ${DEFAULT_TIME} or ${DEFAULT_COUNT} packets where
nothing is said.`,
    )
    .action(generate)
}

type Kind = (typeof KINDS)[number]

function parseKind(text: string): Kind {
  const kind = KINDS.find((each) => each === text)
  if (kind !== undefined) return kind
  throw new InputError(`there is no kind "${text}"; give one of ${KINDS.join(', ')}, or --template FILE`)
}

async function generate(
  kind: NonNullable<GenerateRequest['kind']> | undefined,
  options: GenerateOptions,
): Promise<void> {
  checkOptions(kind, options)
  const request = requestOf(kind ?? null, options)
  const { on, measureAt, forMs, seed } = request
  const open = () => startGenerate(on === null ? null : prepareTraffic(request), measureAt)
  await runTraffic(open, { on, measureAt, forMs, seed, isJson: options.json === true })
}

/** What means nothing to who only measures. */
const SENDING = [
  'template',
  'to',
  'from',
  'rate',
  'burst',
  'size',
  'inTurn',
  'stamp',
  'toMac',
  'fromMac',
  'seed',
] as const

function checkOptions(kind: string | undefined, options: GenerateOptions): void {
  const { on, template, measure, arrivals, rate, burst } = options
  if (on === undefined && measure === undefined)
    throw new InputError('there is nowhere to send; give --on DEVICE, or --measure DEVICE to measure only')
  if (on === undefined && (kind !== undefined || SENDING.some((option) => options[option] !== undefined)))
    throw new InputError('there is nowhere to send; give --on DEVICE, or --measure DEVICE with --for alone')
  if (on !== undefined && (kind === undefined) === (template === undefined))
    throw new InputError(`give either a kind (${KINDS.join(', ')}) or --template FILE`)
  if (template === undefined && arrivals === 'recorded')
    throw new InputError('only the packets of a capture have recorded times; give --template FILE')
  if (template === undefined && options.stamp === true)
    throw new InputError('--stamp is for captures; udp and syn packets have stamps where they have room')
  if (arrivals === 'recorded' && rate !== undefined)
    throw new InputError('there are recorded times and a rate; leave --rate or --arrivals recorded out')
  if (arrivals !== 'bursts' && burst !== undefined)
    throw new InputError('--burst says how long bursts are; give --arrivals bursts as well')
}

function requestOf(kind: GenerateRequest['kind'], options: GenerateOptions): GenerateRequest {
  return {
    kind,
    template: options.template ?? null,
    on: options.on ?? null,
    from: options.from ?? null,
    to: options.to ?? null,
    fromMac: options.fromMac ?? null,
    toMac: options.toMac ?? null,
    sizes: options.size ?? null,
    isInTurn: options.inTurn === true,
    measureAt: options.measure ?? null,
    isStamped: options.stamp === true,
    packetsPerSecond: options.rate ?? parseRate(DEFAULT_RATE),
    arrivals: options.arrivals,
    burst: options.burst ?? DEFAULT_BURST,
    mostPackets: options.count,
    forMs: options.for,
    confirmed: options.confirm,
    seed: options.seed ?? 1 + Math.floor(Math.random() * (2 ** 32 - 2)),
  }
}
