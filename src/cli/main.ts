#!/usr/bin/env node
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { DONE, isClosedOutput, note, standardError, standardOutput, WRONG_INPUT } from './output.js'

/** One module a command, loaded only when it is asked for: a rule is to drop packets 100 ms after Enter. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.js')).demoCommand(),
  match: async () => (await import('./match.js')).matchCommand(),
  replay: async () => (await import('./replay.js')).replayCommand(),
  generate: async () => (await import('./generate.js')).generateCommand(),
  compile: async () => (await import('./compile.js')).compileCommand(),
  explain: async () => (await import('./explain.js')).explainCommand(),
  drop: async () => (await import('./drop.js')).dropCommand(),
  protect: async () => (await import('./protect.js')).protectCommand(),
  route: async () => (await import('./route.js')).routeCommand(),
  bridge: async () => (await import('./bridge.js')).bridgeCommand(),
  status: async () => (await import('./status.js')).statusCommand(),
  list: async () => (await import('./list.js')).listCommand(),
  top: async () => (await import('./top.js')).topCommand(),
  trace: async () => (await import('./trace.js')).traceCommand(),
  capture: async () => (await import('./capture.js')).captureCommand(),
  add: async () => (await import('./add.js')).addCommand(),
  remove: async () => (await import('./remove.js')).removeCommand(),
  doctor: async () => (await import('./doctor.js')).doctorCommand(),
}

const VERSION = '--version'

/** With the command that `args` begins with; with all of them where it is none, for the help. */
async function createProgram(args: readonly string[]): Promise<Command> {
  const [name] = args
  const program = new Command('sluice')
    .description('A packet fast path for Linux: drops floods in the network driver by rules in tcpdump’s language.')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nEvery command has --help with an example. Exit status: 0 done, 1 failed, 2 the input was wrong.',
    )
  const isCommand = name !== undefined && Object.hasOwn(COMMANDS, name)
  // Finding the version takes 3 ms.
  if (!isCommand || args.includes(VERSION)) program.version(packageVersion(), VERSION, 'print the version')
  const wanted = isCommand ? [name] : name === VERSION ? [] : Object.keys(COMMANDS)
  for (const command of wanted) program.addCommand(await COMMANDS[command]!())
  for (const command of [program, ...program.commands]) reportUsageOurWay(command)
  return program
}

/** The version of this package: package.json lies above dist/ and above build/src/. */
function packageVersion(): string {
  const require = createRequire(import.meta.url)
  return (require('sluice/package.json') as { version: string }).version
}

/** Commander's own message would be a line without a remedy and status 1. */
function reportUsageOurWay(command: Command): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => standardOutput().write(text),
    writeErr: (text) => standardError().write(text),
    outputError: (message) => {
      const what = message
        .trim()
        .replace(/^error: /, '')
        .replace(/\n+/g, ' ')
        .replace(/\.$/, '')
      const name = command.parent === null ? 'sluice' : `sluice ${command.name()}`
      note(`sluice: ${what}; see ${name} --help`)
    },
  })
}

async function run(args: string[]): Promise<number> {
  try {
    const program = await createProgram(args)
    if (args.length === 0) {
      program.outputHelp({ error: true })
      return WRONG_INPUT
    }
    await program.parseAsync(args, { from: 'user' })
    return typeof process.exitCode === 'number' ? process.exitCode : DONE
  } catch (error) {
    // Commander has said it already; of --help and --version the status is 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG_INPUT
    if (isClosedOutput(error)) return DONE
    return (await import('./report-error.js')).reportError(error)
  }
}

process.exitCode = await run(process.argv.slice(2))
