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
  process.stdout.write(`${text}\n`)
}

/** The one JSON document that `--json` promises. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, process.stdout.isTTY ? 2 : 0)}\n`)
}

/** What is said beside the result, on standard error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Beyond these the operator's screen would show nothing else. */
const MOST_WARNINGS = 20

/** Warnings about a policy, on standard error; `--json` has all of them. */
export function noteWarnings(warnings: readonly { readonly message: string }[]): void {
  for (const { message } of warnings.slice(0, MOST_WARNINGS)) note(`sluice: warning: ${message}`)
  const more = warnings.length - MOST_WARNINGS
  if (more > 0) note(`sluice: ${more} more warnings; compile --policy FILE --json has them all`)
}

/**
 * What becomes of output that nobody takes. `sluice … | head` closes our standard
 * output early: that is no error, and nobody is left to tell. A full disk is one.
 * Standard error carries what is said beside the result, which must go on without it.
 */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isClosedOutput(error)) process.exit(DONE)
    note(`sluice: cannot write to standard output (${error.code}); make room there, or send it elsewhere`)
    process.exit(FAILED)
  })
  process.stderr.on('error', () => {})
}

/** Whether a write failed because its reader is gone. */
export function isClosedOutput(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === 'EPIPE'
}
