import Table from 'cli-table3'
import { Command } from 'commander'
import { type ReplayReport, replayPolicy } from '../control/replay.js'
import { DONE, note, noteWarnings, print, printJson, WITHOUT_LINES, WRONG_INPUT } from './output.js'

/** `sluice replay FILE --policy FILE`: what a policy would have done with the packets of a capture. */
export function replayCommand(): Command {
  return new Command('replay')
    .description('say which rules of a policy the packets of a capture file meet')
    .argument('<file>', 'pcap or pcapng file, also packed with gzip; - is standard input')
    .requiredOption('--policy <file>', 'policy as YAML or JSON')
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Example:
  $ sluice replay flood.pcap --policy policy.yaml

Every rule counts as in force, whatever its lifetime; a limit counts what it
would have judged. What no final rule takes passes.`,
    )
    .action((file: string, options: { readonly policy: string; readonly json?: boolean }) => {
      const report = replayPolicy(file, options.policy)
      if (options.json) printJson(report)
      else printReport(report)
      noteWarnings(report.warnings)
      if (report.error !== null) note(`sluice: ${report.error}`)
      process.exitCode = report.error === null ? DONE : WRONG_INPUT
    })
}

function printReport({ rules, packets, undecided }: ReplayReport): void {
  const table = new Table({
    head: ['rule', 'action', 'packets', 'bytes'],
    colAligns: ['left', 'left', 'right', 'right'],
    chars: WITHOUT_LINES,
    style: { head: [], border: [] },
  })
  for (const { name, action, mode, packets, bytes } of rules)
    table.push([name, mode === 'shadow' ? `${action} (shadow)` : action, packets, bytes])
  print(table.toString())
  print(`${undecided} of ${packets} packets pass because no final rule takes them`)
}
