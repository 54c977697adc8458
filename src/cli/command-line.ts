import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { DONE, isClosedOutput, note, standardError, standardOutput, WRONG_INPUT } from './output.js'
import { heedNohup, letGoOfTerminal } from './terminal.js'

/** What makes each command, by its name. */
export type Commands = Readonly<Record<string, () => Promise<Command>>>

/** Does what this process was called for, of what `commands` can do, and sets its exit status. Never rejects. */
export async function runCommandLine(commands: Commands): Promise<void> {
  heedNohup()
  process.on('exit', letGoOfTerminal)
  process.exitCode = await run(commands, process.argv.slice(2))
}

async function run(commands: Commands, args: string[]): Promise<number> {
  try {
    const program = await createProgram(commands, args)
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

const VERSION = '--version'

/** With the command that `args` begins with; with all of them where it is none, for the help. */
async function createProgram(commands: Commands, args: readonly string[]): Promise<Command> {
  const [name] = args
  const program = new Command('sluice')
    .description('A packet fast path for Linux: drops floods in the network driver by rules in tcpdump’s language.')
    .helpCommand(false)
    .addHelpText(
      'after',
      '\nEvery command has --help with an example. Exit status: 0 done, 1 failed, 2 the input was wrong.',
    )
  const isCommand = name !== undefined && Object.hasOwn(commands, name)
  // Finding the version takes 3 ms.
  if (!isCommand || args.includes(VERSION)) program.version(packageVersion(), VERSION, 'print the version')
  const wanted = isCommand ? [name] : name === VERSION ? [] : Object.keys(commands)
  for (const command of wanted) program.addCommand(await commands[command]!())
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
