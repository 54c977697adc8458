import { Command } from 'commander'
import { InputError, print, printJson } from './output.js'
import { addServiceChoice, askChosen, type ServiceChoice } from './service-choice.js'
import { changeSet } from './set-change.js'

interface RemoveOptions extends ServiceChoice {
  readonly set?: string
  readonly json?: boolean
}

/** `sluice remove`: a rule, or addresses of a set, from a policy at work. */
export function removeCommand(): Command {
  const command = new Command('remove')
    .description('remove a rule from the policy of a running service, or addresses from a set of it')
    .argument('<words...>', 'name of the rule, as sluice list shows it; with --set, addresses and prefixes')
    .option('--set <name>', 'remove addresses from this set of the policy')
  return addServiceChoice(command)
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  $ sudo sluice remove 'drop udp src port 123'
  $ sudo sluice remove --set blocked 198.51.100.7

What is left of a prefix stays in the set. The policy's file is not changed.`,
    )
    .action(remove)
}

async function remove(words: string[], options: RemoveOptions): Promise<void> {
  if (options.set !== undefined) {
    await changeSet(options.set, { add: [], remove: words }, options)
    return
  }
  if (words.length > 1)
    throw new InputError(
      `there are ${words.length} names; put a name that has spaces into quotes, and remove one rule at a time`,
    )
  const { device, result } = await askChosen(options, { do: 'remove', name: words[0]! })
  if (options.json) printJson({ device, ...result })
  else print(`rule "${result.name}" is not in force at ${device} any more; ${result.rules} are`)
}
