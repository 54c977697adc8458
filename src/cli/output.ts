import { isLostTerminal } from './terminal.js'

/** Exit statuses of every command (docs: the command line). */
export const DONE = 0
export const FAILED = 1
export const WRONG_INPUT = 2

/** What every command says of its expression; words are joined by spaces, as tcpdump does. */
export const EXPRESSION_HELP = 'pcap-filter expression, as tcpdump takes it; "" is every packet'

/** What `--resolve` does, for every command that takes an expression. */
export const RESOLVE_HELP = 'look host names of the expression up, once, before anything else'

/** In the place of a resolver where a command that has `--resolve` is called without it. */
export const UNRESOLVED = { remedy: 'write an address, or pass --resolve to look names up' } as const

/** What the operator gave cannot be used: one sentence with what to do. Ends the command with status 2. */
export class InputError extends Error {
  override name = 'InputError'
}

/** The command's result, on standard output, with a line end. */
export function print(text: string): void {
  standardOutput().write(`${text}\n`)
}

/** The one JSON document that `--json` promises. */
export function printJson(value: unknown): void {
  const output = standardOutput()
  output.write(`${JSON.stringify(value, null, output.isTTY ? 2 : 0)}\n`)
}

/** What is said beside the result, on standard error. */
export function note(text: string): void {
  standardError().write(`${text}\n`)
}

/** Beyond these the operator's screen would show nothing else. */
const MOST_WARNINGS = 20

/** Warnings about a policy, on standard error; `--json` has all of them. */
export function noteWarnings(warnings: readonly { readonly message: string }[]): void {
  for (const { message } of warnings.slice(0, MOST_WARNINGS)) note(`sluice: warning: ${message}`)
  const more = warnings.length - MOST_WARNINGS
  if (more > 0) note(`sluice: ${more} more warnings; compile --policy FILE --json has them all`)
}

const STANDARD_OUTPUT = 1

/** Node makes its streams when they are first asked for, in 4 ms: a command that has nothing to say yet does not. */
const watched = new Set<NodeJS.WriteStream>()

/**
 * Standard output, of every command: where nobody takes it, that is seen to. `sluice … | head` closes it early: that
 * is no error, and nobody is left to tell; no more is a terminal that has gone. A full disk is one.
 */
export function standardOutput(): NodeJS.WriteStream {
  return watch(process.stdout, (error) => {
    if (isClosedOutput(error) || isLostTerminal(STANDARD_OUTPUT)) process.exit(DONE)
    note(`sluice: cannot write to standard output (${error.code}); make room there, or send it elsewhere`)
    process.exit(FAILED)
  })
}

/** Standard error carries what is said beside the result, which must go on without it. */
export function standardError(): NodeJS.WriteStream {
  return watch(process.stderr, () => {})
}

function watch(stream: NodeJS.WriteStream, onError: (error: NodeJS.ErrnoException) => void): NodeJS.WriteStream {
  if (!watched.has(stream)) stream.on('error', onError)
  watched.add(stream)
  return stream
}

/** Whether a write failed because its reader is gone. */
export function isClosedOutput(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === 'EPIPE'
}
