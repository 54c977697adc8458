import { Command } from 'commander'
import { startGenerate } from '../control/generate.js'
import { type ReplayReport, replayPolicy } from '../control/replay.js'
import { prepareReplay } from '../control/replay-traffic.js'
import { parseDuration } from './duration.js'
import { DONE, InputError, note, noteWarnings, print, printJson, WRONG_INPUT } from './output.js'
import { parseCount, parseRate } from './rate.js'
import { drawTable } from './table.js'
import { confirmOption, runTraffic } from './traffic-view.js'

interface ReplayOptions {
  readonly policy?: string
  readonly on?: string
  readonly rate?: number
  readonly speed?: number
  readonly loops?: number
  readonly for?: number
  readonly confirm: readonly string[]
  readonly json?: boolean
}

const DEFAULT_TIME = '60s'
const MOST_SPEED = 1e6

/** `sluice replay FILE`: what a policy would have done with the packets of a capture, or the packets again. */
export function replayCommand(): Command {
  return new Command('replay')
    .description('say which rules of a policy the packets of a capture meet, or send the packets again')
    .argument('<file>', 'pcap or pcapng file, also packed with gzip; - is standard input')
    .option('--policy <file>', 'policy as YAML or JSON, whose rules are counted')
    .option('--on <device>', 'send the packets there: veth0, NAMESPACE/veth0, xdp:…, tap:…, FILE.pcap')
    .option('--speed <factor>', 'so much faster than they were recorded', parseSpeed)
    .option('--rate <rate>', 'packets a second instead of the recorded times: 1000, 50k, 1.5M or max', parseRate)
    .option('--loops <count>', 'how often the capture is sent; once where nothing is said', parseCount)
    .option('--for <duration>', `how long at most; ${DEFAULT_TIME} where nothing is said`, parseDuration)
    .addOption(confirmOption())
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  $ sluice replay flood.pcap --policy policy.yaml
  $ sudo sluice replay flood.pcap --on lab/veth0 --speed 2 --loops 10

With --policy nothing is sent: every rule counts as in force, whatever its
lifetime; a limit counts what it would have judged. What no final rule takes
passes. With --on, packets are sent as they are (sluice generate --template
varies their addresses and numbers them), and nothing goes to an address
outside of this machine unless --confirm names it.`,
    )
    .action(replay)
}

async function replay(file: string, options: ReplayOptions): Promise<void> {
  if ((options.policy === undefined) === (options.on === undefined))
    throw new InputError('give --policy FILE to count what its rules meet, or --on DEVICE to send the packets')
  if (options.on !== undefined) return send(file, options.on, options)
  const { rate, speed, loops, for: forMs, confirm } = options
  if ([rate, speed, loops, forMs].some((value) => value !== undefined) || confirm.length > 0)
    throw new InputError('--rate, --speed, --loops, --for and --confirm are for sending; give --on DEVICE as well')
  const report = replayPolicy(file, options.policy!)
  if (options.json) printJson(report)
  else printReport(report)
  noteWarnings(report.warnings)
  if (report.error !== null) note(`sluice: ${report.error}`)
  process.exitCode = report.error === null ? DONE : WRONG_INPUT
}

async function send(file: string, on: string, options: ReplayOptions): Promise<void> {
  const { rate, speed, loops = 1, for: forMs = parseDuration(DEFAULT_TIME), confirm, json } = options
  if (rate !== undefined && speed !== undefined) throw new InputError('there are a rate and a speed; give one of them')
  const pace = { packetsPerSecond: rate ?? null, speed: speed ?? 1, loops }
  const open = () => startGenerate(prepareReplay({ file, on, ...pace, forMs, confirmed: confirm }), null)
  await runTraffic(open, { on, measureAt: null, forMs, seed: null, isJson: json === true })
}

function parseSpeed(text: string): number {
  const speed = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : 0
  if (speed > 0 && speed <= MOST_SPEED) return speed
  throw new InputError(`"${text}" is no speed; write 2 for twice as fast, 0.5 for half`)
}

function printReport({ rules, packets, undecided }: ReplayReport): void {
  print(
    drawTable(
      ['rule', 'action', 'packets', 'bytes'],
      rules.map(({ name, action, mode, packets, bytes }) => [
        name,
        mode === 'shadow' ? `${action} (shadow)` : action,
        packets,
        bytes,
      ]),
    ),
  )
  print(`${undecided} of ${packets} packets pass because no final rule takes them`)
}
