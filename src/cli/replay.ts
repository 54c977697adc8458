import { Command } from 'commander'
import { type ReplayReport, replayPolicy } from '../control/replay.js'
import { DONE, note, noteWarnings, print, printJson, WRONG_INPUT } from './output.js'
import { drawTable } from './table.js'

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
