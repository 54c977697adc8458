import { Command, Option } from 'commander'
import type { RulePlace } from '../control/service/protocol.js'
import { EXPRESSION_HELP, InputError, note, print, printJson } from './output.js'
import { addServiceChoice, askChosen, type ServiceChoice } from './service-choice.js'
import { changeSet } from './set-change.js'

interface AddOptions extends ServiceChoice, RuleWords {
  readonly set?: string
  readonly first?: boolean
  readonly before?: string
  readonly after?: string
  readonly json?: boolean
}

/** Options of a rule as the operator writes them; the service judges them as it judges a policy's. */
interface RuleWords {
  readonly action?: string
  readonly name?: string
  readonly shadow?: boolean
  readonly for?: string
  readonly until?: string
  readonly per?: string
  readonly rate?: string
  readonly burst?: string
  readonly prefix?: string
  readonly oneIn?: string
  readonly bytes?: string
  readonly cpu?: string
  readonly to?: string
  readonly value?: string
}

/** `sluice add`: a rule, or addresses of a set, for a policy at work. */
export function addCommand(): Command {
  const command = new Command('add')
    .description('add a rule to the policy of a running service, or addresses to a set of it')
    .argument('<words...>', `${EXPRESSION_HELP}; with --set, addresses and prefixes`)
    .option('--set <name>', 'add addresses to this set of the policy')
    .addOption(new Option('--first', 'before all other rules, and not behind them').conflicts(['before', 'after']))
    .addOption(new Option('--before <rule>', 'before the rule of this name').conflicts(['after']))
    .option('--after <rule>', 'behind the rule of this name')
    .option('--name <name>', 'what the rule is called; without it the action and the expression')
    .option('--action <action>', 'what it does, as in a policy: drop (usual), pass, limit, count, …')
    .option('--shadow', 'only count what it would do')
    .option('--for <duration>', 'how long it is in force: 30s, 10m, 1h, 2d; kept by the kernel’s clock')
    .option('--until <moment>', 'when it ends: 2026-12-01T08:00:00Z')
    .option('--per <scope>', 'limit: rule, source, source-prefix, destination or flow')
    .option('--rate <rate>', 'limit: 1000 pps, 10 Mbit/s, 5 MB/s')
    .option('--burst <amount>', 'limit: how much at once')
    .option('--prefix <v4,v6>', 'limit per source-prefix: lengths, such as 24,56')
    .option('--one-in <number>', 'sample: one packet in so many')
    .option('--bytes <number>', 'sample: how much of a packet')
    .option('--cpu <number>', 'steer: which CPU')
    .option('--to <device>', 'forward: to which device')
    .option('--value <number>', 'mark: with what')
  return addServiceChoice(command)
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice add 'udp src port 123' --for 10m
  $ sudo sluice add 'tcp[tcpflags] == tcp-syn' --action limit --per source --rate '50 pps' --before web
  $ sudo sluice add --set blocked 198.51.100.7 203.0.113.0/24

What was added stays until it is removed or the service ends, also when that
reads its policy again; the policy's file is not changed.`,
    )
    .action(add)
}

async function add(words: string[], options: AddOptions): Promise<void> {
  if (options.set !== undefined) {
    await changeSet(options.set, { add: words, remove: [] }, options)
    return
  }
  const rule = writtenRule(words.join(' '), options)
  const { device, result } = await askChosen(options, { do: 'add', rule, place: placeOf(options) })
  if (options.json) printJson({ device, ...result })
  else print(`rule "${result.name}" is in force at ${device}, one of ${result.rules}`)
  for (const warning of result.warnings) note(`sluice: warning: ${warning}`)
}

function placeOf({ first, before, after }: AddOptions): RulePlace {
  if (before !== undefined) return { before }
  if (after !== undefined) return { after }
  return first === true ? 'first' : 'last'
}

/** Only what was said, so that the service can say what an action has not. */
function writtenRule(match: string, options: RuleWords): object {
  const { action = 'drop', shadow, prefix, oneIn, bytes, cpu, value, burst, to: device } = options
  const { name, for: span, until, per, rate } = options
  const written = {
    match,
    action,
    name,
    mode: shadow === true ? 'shadow' : undefined,
    for: span,
    until,
    per,
    rate,
    burst: numberOrText(burst),
    prefix: prefix === undefined ? undefined : prefixLengths(prefix),
    oneIn: numberOrText(oneIn),
    bytes: numberOrText(bytes),
    cpu: numberOrText(cpu),
    device,
    value: numberOrText(value),
  }
  return Object.fromEntries(Object.entries(written).filter(([, what]) => what !== undefined))
}

function numberOrText(text: string | undefined): number | string | undefined {
  return text !== undefined && /^(?:\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : text
}

/** Throws InputError. */
function prefixLengths(text: string): { v4: number; v6: number } {
  const match = /^(\d+),(\d+)$/.exec(text)
  if (match === null) throw new InputError(`"${text}" is no pair of prefix lengths; write one such as 24,56`)
  return { v4: Number(match[1]), v6: Number(match[2]) }
}
