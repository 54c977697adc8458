import { Command, InvalidArgumentError } from 'commander'
import { createLogUpdate } from 'log-update'
import {
  DEMO_RULE,
  type DemoEvent,
  type DemoProgress,
  type DemoResult,
  type Phase,
  runDemoAnywhere,
} from '../lab/index.js'
import { drawScreen, drawSummary } from './demo-view.js'
import { note, print, printJson, standardOutput } from './output.js'

interface DemoFlags {
  readonly seconds: number
  readonly rate: number
  readonly json?: true
}

const LEAST_SECONDS = 5
const MOST_SECONDS = 600

/** `sluice demo`: the flood, the rule, the service that stays up. */
export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'flood a web service in a network of its own on this machine, and bring it back with one rule in the driver',
    )
    .option('--seconds <n>', 'how long the whole takes', wholeNumber(LEAST_SECONDS, MOST_SECONDS), 25)
    .option('--rate <pps>', 'packets a second that the generator aims at', wholeNumber(1000, 20_000_000), 2_700_000)
    .option('--json', 'print one JSON document instead of the table')
    .addHelpText(
      'after',
      `
Phases: calm, flood without defence, flood with iptables (where that is
installed), flood with the rule, calm again. Needs root for the real network;
without it the same rule and packets run over a link in memory.

Examples:
  $ sudo sluice demo --seconds 40
  $ sudo sluice demo --json | jq '.phases[] | {name, service}'`,
    )
    .action(runDemoCommand)
}

async function runDemoCommand(flags: DemoFlags): Promise<void> {
  const watcher = flags.json ? null : standardOutput().isTTY ? watchLive() : watchByLine()
  const result = await runDemoAnywhere({
    seconds: flags.seconds,
    packetsPerSecond: flags.rate,
    onEvent: (event) => watcher?.onEvent(event),
  })
  if (watcher === null) printJson(result)
  else watcher.onResult(result)
}

interface Watcher {
  onEvent(event: DemoEvent): void
  onResult(result: DemoResult): void
}

/** A table that is drawn anew several times a second. */
function watchLive(): Watcher {
  const update = createLogUpdate(standardOutput())
  const phases: Phase[] = []
  let cores: DemoResult['cores'] = null
  let running: DemoProgress | null = null
  const draw = () => update(drawScreen({ rule: DEMO_RULE, cores, phases, running }))
  return {
    onEvent(event) {
      if (event.kind === 'ready') cores = event.cores
      else if (event.kind === 'progress') running = event.progress
      else {
        phases.push(event.phase)
        running = null
      }
      draw()
    },
    onResult(result) {
      draw()
      update.done()
      print(drawSummary(result))
    },
  }
}

/** For a file or a pipe: a line when a phase begins to matter, the table at the end. */
function watchByLine(): Watcher {
  const phases: Phase[] = []
  return {
    onEvent(event) {
      if (event.kind === 'ready') note(`the network stands (${event.networkMs.toFixed(0)} ms)`)
      else if (event.kind === 'phase') {
        phases.push(event.phase)
        const { name, service } = event.phase
        note(`${name}: ${service.requests - service.failed} of ${service.requests} requests answered`)
      }
    },
    onResult(result) {
      print(drawScreen({ rule: DEMO_RULE, cores: result.cores, phases, running: null }))
      print(drawSummary(result))
    },
  }
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (Number.isInteger(value) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`write a whole number from ${least} to ${most}`)
  }
}
