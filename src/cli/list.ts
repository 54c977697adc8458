import { Command } from 'commander'
import type { ListedRule, RuleList } from '../control/service/protocol.js'
import { formatDuration } from './duration.js'
import { print, printJson } from './output.js'
import { addServiceChoice, askChosen, type ServiceChoice } from './service-choice.js'
import { drawTable } from './table.js'

/** `sluice list`: the rules of a service, in their order, with what they have counted. */
export function listCommand(): Command {
  return addServiceChoice(new Command('list').description('list the rules and sets of a running service'))
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Example:
  $ sudo sluice list --device eth0`,
    )
    .action(async (options: ServiceChoice & { readonly json?: boolean }) => {
      const { id, device, result } = await askChosen(options, { do: 'list' }, ['policy', 'rule'])
      if (options.json) printJson({ id, device, ...result })
      else printList(result)
    })
}

function printList({ rules, sets, kept, keptPrefixes }: RuleList): void {
  print(
    drawTable(
      ['rule', 'match', 'action', 'packets', 'bytes', 'over the limit', 'ends in'],
      rules.map((rule) => [
        rule.isAdded ? `${rule.name} (added)` : rule.name,
        cut(rule.match),
        rule.mode === 'shadow' ? `${rule.action} (shadow)` : rule.action,
        rule.packets,
        rule.bytes,
        rule.action === 'limit' ? rule.overPackets : '',
        drawEnd(rule),
      ]),
    ),
  )
  if (sets.length > 0)
    print(
      drawTable(
        ['set', 'IPv4 prefixes', 'IPv6 prefixes'],
        sets.map(({ name, ipv4, ipv6 }) => [`@${name}`, ipv4, ipv6]),
      ),
    )
  if (keptPrefixes.length > 0) print(`${kept.packets} packets passed before the rules, from ${keptPrefixes.join(', ')}`)
}

function drawEnd({ secondsLeft }: ListedRule): string {
  if (secondsLeft === null) return ''
  return secondsLeft === 0 ? 'has ended' : formatDuration(secondsLeft * 1000)
}

const LONGEST_SHOWN = 60

function cut(text: string): string {
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN - 1)}…` : text
}
