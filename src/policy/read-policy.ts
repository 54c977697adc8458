import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { fillTables } from './build.js'
import { checkPolicy, type PolicyOptions } from './check.js'
import { type PlaceOf, PolicyError, type PolicyFault } from './error.js'
import { explainIssues } from './explain-issue.js'
import { makeRule, OptionError } from './make-rule.js'
import type { Policy, Rule } from './policy.js'
import { policySchema } from './schema.js'
import type { WrittenRule } from './written.js'

type Document = ReturnType<typeof parseDocument>

/**
 * Reads a policy as YAML 1.2, of which JSON is a part. `file` stands in
 * errors. Throws PolicyError with every fault that was found, each with line
 * and column; files of sets are not opened (`loadSets` does).
 */
export function readPolicy(text: string, file: string, options: PolicyOptions = {}): Policy {
  const json = parseJson(text)
  const good = json === null ? null : policyOf(json, options)
  // For everything else there is the parser of YAML, which knows where things stand, and takes a hundred times as long.
  if (good !== null) return good
  const { document, lines, at, placeOf } = parseYaml(text, file)
  const broken = faultsOfFirstLine([...document.errors, ...document.warnings], lines)
  if (broken.length > 0) {
    const faults = broken.map(({ message, pos }) => ({ path: [], message: yamlSentence(message), column: pos[0] }))
    throw new PolicyError(faults, ({ column = 0 }) => at(column))
  }
  const inOrder = (faults: readonly PolicyFault[]) =>
    [...faults].sort((one, other) => offsetOf(document, text, one) - offsetOf(document, text, other))

  const value = plainValue(document, file)
  const written = policySchema().safeParse(value)
  if (!written.success) throw new PolicyError(inOrder(explainIssues(written.error.issues, value)), placeOf)

  const { rules, faults } = makeRules(written.data.rules)
  const { sets = {}, tables } = written.data
  const settings = { sets, tables: fillTables(tables) }
  faults.push(
    ...checkPolicy({ rules: written.data.rules.map((rule, index) => rules[index] ?? rule), ...settings }, options),
  )
  if (faults.length > 0) throw new PolicyError(inOrder(faults), placeOf)
  return { rules: rules.filter((rule) => rule !== null), ...settings }
}

/**
 * Where the faults stand that are found in the policy of `text` after it was
 * read. The text is parsed with places when the first one is asked for.
 */
export function placesIn(text: string, file: string): PlaceOf {
  let placeOf: PlaceOf | null = null
  return (fault) => {
    placeOf ??= parseYaml(text, file).placeOf
    return placeOf(fault)
  }
}

function parseYaml(text: string, file: string) {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  const placeOf: PlaceOf = (fault) => at(offsetOf(document, text, fault))
  return { document, lines, at, placeOf }
}

/** The value of JSON; null for what is none, and where a key stands twice, which JSON.parse would not tell. */
function parseJson(text: string): unknown {
  if (!/^\s*\{/.test(text)) return null
  try {
    const value: unknown = JSON.parse(text)
    const colons = text.replace(/"(?:[^"\\]|\\.)*"/g, '').split(':').length - 1
    return countKeys(value) === colons ? value : null
  } catch {
    return null
  }
}

function countKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const parts = Object.values(value)
  return parts.reduce((sum: number, part) => sum + countKeys(part), Array.isArray(value) ? 0 : parts.length)
}

/** Null where anything is wrong. */
function policyOf(value: unknown, options: PolicyOptions): Policy | null {
  const written = policySchema().safeParse(value)
  if (!written.success) return null
  const { rules: wanted, sets = {}, tables } = written.data
  const { rules, faults } = makeRules(wanted)
  if (faults.length > 0) return null
  const policy = { rules: rules.filter((rule) => rule !== null), sets, tables: fillTables(tables) }
  return checkPolicy(policy, options).length > 0 ? null : policy
}

/** Behind a fault of its own grammar the parser finds more that are none. */
function faultsOfFirstLine<Fault extends { readonly pos: readonly [number, number] }>(
  faults: readonly Fault[],
  lines: LineCounter,
): Fault[] {
  const lineOf = ({ pos }: Fault) => lines.linePos(pos[0]).line
  const first = Math.min(...faults.map(lineOf))
  return faults.filter((fault) => lineOf(fault) === first)
}

/** Aliases that would make a small file a huge value are refused by the parser with an error of its own. */
function plainValue(document: Document, file: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    const message = `the aliases cannot be followed (${(error as Error).message}); write the parts out`
    throw new PolicyError([{ path: [], message }], () => file)
  }
}

function makeRules(written: readonly WrittenRule[]): { rules: (Rule | null)[]; faults: PolicyFault[] } {
  const faults: PolicyFault[] = []
  const rules = written.map((rule, index) => {
    try {
      return makeRule(rule)
    } catch (error) {
      if (!(error instanceof OptionError)) throw error
      faults.push({ path: ['rules', index, error.key], message: error.message })
      return null
    }
  })
  return { rules, faults }
}

/** The parser's message without the excerpt of the text that follows it. */
function yamlSentence(message: string): string {
  const sentence = message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '')
  const isTag = sentence.startsWith('Unresolved tag')
  const hint = isTag ? 'put a text that begins with ! in quotes' : 'correct the YAML or JSON here'
  return `${sentence}; ${hint}`
}

/** Where in the text the fault is: at the value, but of a group at its key, and of what is missing at what lacks it. */
function offsetOf({ contents }: Document, text: string, { path, isKey = false, column = 0 }: PolicyFault): number {
  let node: unknown = contents
  let offset = isNode(contents) ? (contents.range?.[0] ?? 0) : 0
  for (const [depth, key] of path.entries()) {
    const isLast = depth === path.length - 1
    const next = childOf(node, key)
    if (next === null) break
    node = next.value
    offset =
      startOf(isLast && (isKey || !isScalar(node)) ? (next.key ?? next.value) : next.value) ??
      startOf(next.key) ??
      offset
  }
  return offset + intoScalar(node, text, offset, column)
}

function childOf(node: unknown, key: string | number): { key: unknown; value: unknown } | null {
  if (isMap(node)) {
    const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key))
    return pair === undefined ? null : { key: pair.key, value: pair.value }
  }
  if (isSeq(node)) return node.items[Number(key)] === undefined ? null : { key: null, value: node.items[Number(key)] }
  return null
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node as Node).range?.[0] : undefined
}

/** `column` characters into a text that stands in the file as it is; 0 where it is folded or escaped. */
function intoScalar(node: unknown, text: string, offset: number, column: number): number {
  if (column === 0 || !isScalar(node) || typeof node.value !== 'string') return 0
  const quote = text[offset] === '"' || text[offset] === "'" ? 1 : 0
  return text.startsWith(node.value, offset + quote) ? quote + column : 0
}
