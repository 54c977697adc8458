import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { type MatchEngine, type MatchReport, type MatchRequest, matchCapture, resolveNames } from '../control/index.js'
import {
  DONE,
  EXPRESSION_HELP,
  InputError,
  note,
  print,
  printJson,
  RESOLVE_HELP,
  UNRESOLVED,
  WRONG_INPUT,
} from './output.js'

interface MatchOptions {
  readonly read: string
  readonly count?: boolean
  readonly numbers?: boolean
  readonly write?: string
  readonly engine: MatchEngine
  readonly expressions?: string
  readonly resolve?: boolean
  readonly json?: boolean
}

/** `sluice match EXPR -r FILE`: which packets of a capture a filter matches. */
export function matchCommand(): Command {
  return new Command('match')
    .description('say which packets of a capture file an expression matches')
    .argument('[expression...]', EXPRESSION_HELP)
    .requiredOption('-r, --read <file>', 'pcap or pcapng file, also packed with gzip; - is standard input')
    .option('--count', 'print the number of matching packets and nothing else')
    .option('--numbers', 'print the numbers of matching packets, one a line; the first packet is 1')
    .option('-w, --write <file>', 'write matching packets to a pcap file; - is standard output')
    .addOption(
      new Option(
        '--engine <engine>',
        'wasm: by WebAssembly; ebpf: by the kernel, as at the driver (needs root); interpreter: plain and slow',
      )
        .choices(['wasm', 'ebpf', 'interpreter'])
        .default('wasm'),
    )
    .option('--expressions <file>', 'take expressions from a file, one a line, and print one count a line')
    .option('--resolve', RESOLVE_HELP)
    .option('--json', 'one JSON document on standard output, with the count and the numbers')
    .addHelpText(
      'after',
      `
Examples:
  $ sluice match 'udp and dst port 53' -r flood.pcap
  131 of 8000 packets match
  $ sluice match 'tcp[tcpflags] & tcp-syn != 0' -r flood.pcapng.gz --numbers
  $ sluice match 'not arp' -r in.pcap -w out.pcap

An expression of --expressions that cannot be used prints "-" for its count;
the reason goes to standard error and the exit status is 2.`,
    )
    .action(async (words: string[], options: MatchOptions) => {
      const expression = words.length === 0 ? undefined : words.join(' ')
      process.exitCode = await (options.expressions === undefined
        ? matchOne(expression, options)
        : matchMany(expression, options))
    })
}

async function matchOne(expression: string | undefined, options: MatchOptions): Promise<number> {
  if (expression === undefined)
    throw new InputError('match needs an expression, or --expressions FILE; "" is everything')
  if (options.count && options.numbers) throw new InputError('--count and --numbers exclude each other; choose one')
  const toStdout = options.write === '-'
  if (toStdout && (options.count || options.numbers || options.json)) {
    throw new InputError(
      '-w - puts packets on standard output, where --count, --numbers and --json write too; give a file',
    )
  }
  const report = matchCapture(await requestOf(options, [expression]))
  const [result] = report.results
  const { numbers } = result!
  if (options.json) {
    const { file, linkType, packets, error } = report
    const { engine } = options
    printJson({ expression, file, linkType, engine, packets, matched: numbers.length, numbers, error })
  } else if (options.count) print(String(numbers.length))
  else if (options.numbers) for (const number of numbers) print(String(number))
  else {
    const sentence = `${numbers.length} of ${report.packets} packets match`
    if (toStdout) note(sentence)
    else print(sentence)
  }
  return tellRest(report)
}

async function matchMany(expression: string | undefined, options: MatchOptions): Promise<number> {
  const forbidden = [expression !== undefined && 'EXPR', options.write && '-w', options.numbers && '--numbers']
  const first = forbidden.find(Boolean)
  if (first)
    throw new InputError(`${first} cannot be used with --expressions, which prints one count a line; leave it out`)
  const expressions = readExpressions(options.expressions!)
  const report = matchCapture(await requestOf(options, expressions))
  if (options.json) {
    const { file, linkType, packets, error } = report
    const results = report.results.map(({ refusal, numbers }, index) => ({
      expression: expressions[index],
      matched: refusal === null ? numbers.length : null,
      error: refusal,
    }))
    printJson({ file, linkType, engine: options.engine, packets, results, error })
  } else {
    for (const { refusal, numbers } of report.results) print(refusal === null ? String(numbers.length) : '-')
  }
  report.results.forEach(({ refusal }, index) => {
    if (refusal !== null) note(`sluice: line ${index + 1} of ${options.expressions}: ${refusal}`)
  })
  const status = tellRest(report)
  return report.results.some(({ refusal }) => refusal !== null) ? WRONG_INPUT : status
}

async function requestOf(
  { read, write, engine, expressions: file, resolve }: MatchOptions,
  expressions: readonly string[],
): Promise<MatchRequest> {
  return {
    expressions,
    resolver: resolve ? await resolveNames(expressions) : UNRESOLVED,
    file: read,
    output: write ?? null,
    engine,
    refuse: file === undefined ? 'throw' : 'report',
  }
}

/** What belongs beside the result; the status that a broken capture asks for. */
function tellRest({ interpreted, error }: MatchReport): number {
  if (interpreted > 0) {
    note(
      `${interpreted} packets are too short or too long for the kernel to try a program on; the interpreter judged them`,
    )
  }
  if (error === null) return DONE
  note(`sluice: ${error}`)
  return WRONG_INPUT
}

function readExpressions(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split(/\r?\n/)
    // The line end of the last line begins no expression.
    if (lines.at(-1) === '') lines.pop()
    return lines
  } catch (error) {
    throw new InputError(
      `cannot read the expressions of ${path} (${(error as NodeJS.ErrnoException).code}); check the path`,
    )
  }
}
