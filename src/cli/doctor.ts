import Table from 'cli-table3'
import { Command } from 'commander'
import pc from 'picocolors'
import { type Check, examineDevice, examineMachine } from '../control/index.js'
import { DONE, FAILED, print, printJson } from './output.js'

/** `sluice doctor [DEVICE]`: what this machine and device can do, and what to change. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say what this machine (and a device) can do, and what to change')
    .argument('[device]', 'also look at this network device; nothing is attached to it')
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Example:
  $ sudo sluice doctor eth0

Exit status 1 when something is missing that rules or the demo need.`,
    )
    .action((device: string | undefined, options: { json?: boolean }) => {
      process.exitCode = doctor(device, options.json === true)
    })
}

function doctor(device: string | undefined, json: boolean): number {
  // The device first: a wrong name is told before anything is tried.
  const deviceChecks = device === undefined ? null : examineDevice(device)
  const machineChecks = examineMachine()
  const all = [...machineChecks, ...(deviceChecks ?? [])]
  const isFit = all.every((check) => check.status !== 'missing')
  if (json) {
    printJson({
      ok: isFit,
      machine: machineChecks,
      device: device === undefined ? null : { name: device, checks: deviceChecks },
    })
  } else {
    print(tableOf('this machine', machineChecks))
    if (deviceChecks !== null) print(tableOf(device!, deviceChecks))
  }
  return isFit ? DONE : FAILED
}

const MARKS = { ok: pc.green('ok'), note: pc.yellow('note'), missing: pc.red('missing') } as const

function tableOf(title: string, checks: readonly Check[]): string {
  const table = new Table({
    head: [title, '', 'found', 'what to change'],
    style: { head: pc.isColorSupported ? ['bold'] : [], border: pc.isColorSupported ? ['grey'] : [] },
    colWidths: [34, 9, 34, 50],
    wordWrap: true,
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  })
  for (const { name, status, found, remedy } of checks) table.push([name, MARKS[status], found, remedy ?? ''])
  return table.toString()
}
