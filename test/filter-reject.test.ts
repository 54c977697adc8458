import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  FilterError,
  type FilterOptions,
  formatFilterError,
  type NameResolver,
  parseFilter,
} from '../src/filter/index.js'
import { CORPUS, skipUnless } from './support/require.js'

/** An expression of libpcap's own tests that must not compile. */
interface Rejected {
  readonly name: string
  readonly errstr: string
  /** Missing where the test is about a capture file and not about an expression. */
  readonly DLT?: string
  readonly expr?: string
}

/** Expressions of libpcap's own tests that compile to the same program. */
interface Accepted {
  readonly name: string
  readonly DLT: string
  readonly aliases: readonly string[]
  /** By alias: what Debian's libpcap 1.10.3 makes of it, `rejects` among them. */
  readonly debian_libpcap_1_10_3: readonly string[]
  /** The program after optimisation; null where the optimiser finds that nothing can match. */
  readonly opt: string | null
  /** What the test needs that a machine may lack. */
  readonly skip?: string
  /** The test is about a live capture. */
  readonly linuxext?: unknown
}

const SKIP = { skip: skipUnless('corpus') }

function readCorpus<Entry>(name: string): Entry[] {
  return JSON.parse(readFileSync(`${CORPUS}libpcap/${name}`, 'utf8')) as Entry[]
}

/** The hosts, networks and MAC addresses that libpcap's tests expect the machine to know. */
function resolverOfTests(): NameResolver {
  const lines = JSON.parse(readFileSync(`${CORPUS}libpcap/names.json`, 'utf8')) as Record<string, string[]>
  const fields = (file: string) => lines[file]!.map((line) => line.split(' ') as [string, string])
  const is = (name: string) => (other: string) => name.toLowerCase() === other
  return {
    host: (name) => fields('hosts').flatMap(([address, host]) => (is(name)(host) ? [address] : [])),
    network: (name) => fields('networks').find(([network]) => is(name)(network))?.[1],
    ethernet: (name) => fields('ethers').find(([, host]) => is(name)(host))?.[0],
  }
}

/** null when the expression is accepted; any error but a FilterError is a crash and fails the test. */
function refusal(text: string, options: FilterOptions): FilterError | null {
  try {
    parseFilter(text, options)
    return null
  } catch (error) {
    if (error instanceof FilterError) return error
    throw new Error(`"${text}" crashes the parser`, { cause: error })
  }
}

test('every expression that libpcap must refuse is refused, and none crashes', SKIP, (t) => {
  // As libpcap's tests compile: without a device and without a known netmask.
  const options = { resolver: resolverOfTests(), live: false, netmask: null }
  const accepted: string[] = []
  let refused = 0
  let withoutExpression = 0
  for (const { name, DLT, expr, errstr } of readCorpus<Rejected>('reject.json')) {
    if (DLT === undefined || expr === undefined) {
      withoutExpression++
      continue
    }
    const error = refusal(expr, { ...options, linkType: DLT })
    if (error === null) {
      accepted.push(`${name}: "${expr}" on ${DLT}, where libpcap says: ${errstr}`)
      continue
    }
    refused++
    assertUsable(error)
  }
  t.diagnostic(`${refused} expressions refused; ${withoutExpression} entries are about capture files and have none`)
  assert.deepEqual(accepted, [])
  assert.ok(refused >= 9000, `only ${refused} expressions were there to refuse`)
})

/** One sentence, a place in the text, and a caret line under that place. */
function assertUsable(error: FilterError): void {
  const { source, span, message } = error
  assert.ok(
    span.start >= 0 && span.start <= span.end && span.end <= source.length,
    `${source}: ${JSON.stringify(span)}`,
  )
  assert.match(message, /\S/)
  assert.ok(!/[\n]/.test(message) && message.length < 300, message)
  assert.match(formatFilterError(error).split('\n')[2]!, /^ +\^+$/)
}

/** Words of the packet filter that only the log of another operating system has; the reason to leave them out. */
const OTHER_SYSTEMS = /^is not (freebsd|netbsd|openbsd|darwin)$/

test('every expression that libpcap compiles is accepted', SKIP, (t) => {
  const resolver = resolverOfTests()
  const refused: string[] = []
  let [accepted, newer, foreign, impossible] = [0, 0, 0, 0]
  for (const entry of readCorpus<Accepted>('accept.json')) {
    // An image of a program, and no expression.
    if (entry.name === 'bpf_image') continue
    entry.aliases.forEach((text, index) => {
      const error = refusal(text, { linkType: entry.DLT, resolver, live: entry.linuxext !== undefined })
      if (error === null) {
        accepted++
        if (entry.debian_libpcap_1_10_3[index] === 'rejects') newer++
      } else if (OTHER_SYSTEMS.test(entry.skip ?? '') && /packet filter/.test(error.message)) foreign++
      else if (entry.opt === null && /can match this/.test(error.message)) impossible++
      else refused.push(`${entry.name}: "${text}" on ${entry.DLT}: ${error.message}`)
    })
  }
  t.diagnostic(
    `${accepted} expressions accepted, ${newer} of them newer than libpcap 1.10.3; ` +
      `${foreign} left out as words of other systems, ${impossible} as what the optimiser of libpcap refuses too`,
  )
  assert.deepEqual(refused, [])
  assert.ok(accepted >= 1200 && foreign <= 12 && impossible <= 9)
})

test('every expression that operators published is accepted', SKIP, (t) => {
  const lines = readFileSync(`${CORPUS}expressions.txt`, 'utf8').split('\n')
  const expressions = lines.filter((line) => line !== '' && !line.startsWith('#'))
  for (const line of expressions) {
    const [id, linkType, text] = line.split('\t')
    assert.equal(refusal(text!, { linkType: linkType! }), null, `${id}: ${text}`)
  }
  t.diagnostic(`${expressions.length} expressions accepted`)
  assert.ok(expressions.length >= 300)
})
