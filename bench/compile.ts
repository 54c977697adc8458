import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CompileOptions, compileRule } from '../src/compile.js'
import { FilterError } from '../src/filter/index.js'
import { UnsupportedError } from '../src/ir/index.js'
import { loadProgram } from '../src/loader/index.js'
import { CORPUS } from '../test/support/require.js'
import { printReport } from './report.js'

/**
 * From text to program, for every expression of the corpus and of libpcap's own
 * tests, and a few that nest more deeply: the ten that take longest, and the middle of all. The time of each is
 * the best of several, as a user of a long-lived process sees it; `load ms` is
 * the kernel's part, for what can stand at a device.
 */

const ROUNDS = 5
const SLOWEST = 10
const LIST = 'expressions.txt'
const LIBPCAP = 'libpcap/accept.json'
/** Where each header is behind one of variable length, which is behind another. */
const CHAINS = ['ip6 protochain 17', 'protochain 17', 'geneve and geneve and geneve']

interface Timed {
  readonly 'link type': string
  readonly expression: string
  readonly instructions: number
  readonly 'compile ms': number
}

if (!existsSync(join(CORPUS, LIST))) console.error(`skipped: the expressions are in the test corpus, ${CORPUS}`)
else report()

function report(): void {
  const timed = expressions().flatMap(({ linkType, text }) => timeCompile(text, linkType) ?? [])
  timed.sort((one, other) => other['compile ms'] - one['compile ms'])
  const middle = timed[timed.length >> 1]!
  const rows = [...timed.slice(0, SLOWEST), { ...middle, expression: `the middle of ${timed.length}` }]
  printReport({
    name: 'compile',
    rows: rows.map((row, index) => ({ ...row, 'load ms': index < SLOWEST ? timeLoad(row) : '' })),
    ratios: { slowestVsMiddle: timed[0]!['compile ms'] / middle['compile ms'] },
  })
}

/** Every expression once for its link type. */
function expressions(): { linkType: string; text: string }[] {
  const listed = readFileSync(join(CORPUS, LIST), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split('\t').slice(1))
  const accepted = JSON.parse(readFileSync(join(CORPUS, LIBPCAP), 'utf8')) as { DLT: string; aliases: string[] }[]
  const pairs = [
    ...listed,
    ...CHAINS.map((text) => ['EN10MB', text]),
    ...accepted.flatMap(({ DLT, aliases }) => aliases.map((text) => [DLT, text])),
  ]
  const distinct = new Map(pairs.map(([linkType = '', text = '']) => [`${linkType}\t${text}`, { linkType, text }]))
  return [...distinct.values()]
}

function optionsFor(linkType: string): CompileOptions {
  return { linkType, live: false, ...(linkType === 'EN10MB' ? {} : { wireLength: 'metadata' }) }
}

/** Null for what is not compiled. */
function timeCompile(match: string, linkType: string): Timed | null {
  let best = Number.POSITIVE_INFINITY
  let instructions = 0
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now()
      const { program } = compileRule({ match, action: 'drop' }, optionsFor(linkType))
      best = Math.min(best, performance.now() - start)
      instructions = program.instructions.length
    }
  } catch (error) {
    if (error instanceof FilterError || error instanceof UnsupportedError) return null
    throw error
  }
  return { 'link type': linkType, expression: match, instructions, 'compile ms': best }
}

function timeLoad({ expression, 'link type': linkType }: Timed): number | string {
  if (linkType !== 'EN10MB' || process.getuid?.() !== 0) return ''
  const { program } = compileRule({ match: expression, action: 'drop' })
  const start = performance.now()
  loadProgram(program).close()
  return performance.now() - start
}
