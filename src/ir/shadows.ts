import { decide, type Facts, learn, maskedQuestion, NO_FACTS } from './facts.js'
import { type Path, pathsTo } from './passes/paths.js'
import { type ListedRule, testsIn, unreachableRules } from './reach.js'

/** A rule that no packet reaches and matches. */
export interface ShadowedRule {
  readonly rule: number
  /** Earlier rules that take its packets: one where one does alone; none where the rule contradicts itself. */
  readonly by: readonly number[]
}

export interface ShadowSearch {
  readonly shadowed: readonly ShadowedRule[]
  /** The first rule that was not compared with all rules before it; null where all were. */
  readonly unsearchedFrom: number | null
}

/** Answers that are compared in all: about a second. */
const MOST_COMPARED = 4_000_000
/** A way is looked up by its rarest equation, which other ways that may share a packet ask as well, unless so many do. */
const MANY = 64
/**
 * Tests of pairs of rules that are judged by their graph: where one has too
 * many ways to list, or several may take one together. About a second, as each
 * takes longer in longer rules.
 */
const MOST_TESTS = 4000

/**
 * Which rules each of whose ways to a match lies inside a way of an earlier
 * final rule; each that is named is one. Unlike `unreachableRules` it takes
 * lists of any length: a way is looked up by the rarest answer that it needs,
 * an equation by its constant and under each mask that the list asks with, so
 * that an address finds the prefixes it lies in and nothing else. Where several
 * ways of one rule may take a way together, the graph of both rules decides.
 */
export function findShadows(rules: readonly ListedRule[]): ShadowSearch {
  const paths = rules.map(({ condition }) => pathsTo(condition, new Set()))
  const index = createIndex(rules.flatMap(({ isFinal }, rule) => (isFinal ? (paths[rule] ?? []) : [])))
  const budget = { compared: MOST_COMPARED, tests: MOST_TESTS }
  /** Final rules so far whose ways are not listed. */
  const unlisted: number[] = []
  const shadowed: ShadowedRule[] = []
  let unsearchedFrom: number | null = null
  rules.forEach(({ isFinal }, rule) => {
    const own = paths[rule]!
    const { by, maybe } = own === null ? { by: null, maybe: earlierFinals(rules, rule) } : takersOf(own, index, budget)
    const takers = by ?? shadowAmong(rules, rule, own === null ? maybe : [...unlisted, ...maybe], budget)
    if (takers !== null) shadowed.push({ rule, by: takers })
    else if (budget.compared < 0 || budget.tests < 0) unsearchedFrom ??= rule
    if (!isFinal) return
    if (own === null) unlisted.push(rule)
    else for (const path of own) index.add({ rule, path, ways: own })
  })
  return { shadowed, unsearchedFrom }
}

function earlierFinals(rules: readonly ListedRule[], rule: number): number[] {
  return rules.slice(0, rule).flatMap(({ isFinal }, before) => (isFinal ? [before] : []))
}

/** By the graph of each pair. */
function shadowAmong(
  rules: readonly ListedRule[],
  rule: number,
  candidates: readonly number[],
  budget: { tests: number },
): number[] | null {
  for (const before of candidates) {
    const pair = [rules[before]!, rules[rule]!]
    budget.tests -= testsIn(pair)
    if (budget.tests < 0) return null
    if (unreachableRules(pair).includes(1)) return [before]
  }
  return null
}

/** A way to the match of a rule, among all its ways. */
interface Entry {
  readonly rule: number
  readonly path: Path
  readonly ways: readonly Path[]
}

interface Index {
  add(entry: Entry): void
  /** What may hold wherever the facts do. */
  candidates(facts: Facts): Iterable<Entry>
}

/** The rules that take all ways of a rule, null where none are known to; and those that may, by several of theirs for one. */
function takersOf(
  paths: readonly Path[],
  index: Index,
  budget: { compared: number },
): { readonly by: number[] | null; readonly maybe: readonly number[] } {
  const takers: Set<number>[] = []
  let maybe: ReadonlySet<number> | null = null
  for (const path of paths) {
    const facts = path.reduce((known, { test, answer }) => learn(known, test, answer), NO_FACTS)
    const [certain, possible] = [new Set<number>(), new Set<number>()]
    for (const { rule, path: other, ways } of index.candidates(facts)) {
      if (budget.compared < 0) return { by: null, maybe: [] }
      if (holds(other, facts, budget)) certain.add(rule)
      else if (ways.length > 1 && ways.filter((way) => canHold(way, facts, budget)).length > 1) possible.add(rule)
    }
    takers.push(certain)
    const either: Set<number> = new Set([...certain, ...possible])
    maybe = maybe === null ? either : common(maybe, either)
  }
  const [first = new Set<number>(), ...others] = takers
  const alone = [...first].filter((rule) => others.every((found) => found.has(rule)))
  if (alone.length > 0) return { by: [Math.min(...alone)], maybe: [] }
  if (takers.some(({ size }) => size === 0)) return { by: null, maybe: [...(maybe ?? [])] }
  return { by: [...new Set(takers.map((found) => Math.min(...found)))].sort((one, other) => one - other), maybe: [] }
}

/** Every answer of the way follows from the facts; so do its reads, as each is one that the facts took. */
function holds(path: Path, facts: Facts, budget: { compared: number }): boolean {
  return path.every(({ test, answer }) => {
    budget.compared--
    return decide(facts, test) === answer
  })
}

/** Nothing that is known rules the way out. */
function canHold(path: Path, facts: Facts, budget: { compared: number }): boolean {
  return path.every(({ test, answer }) => {
    budget.compared--
    return decide(facts, test) !== !answer
  })
}

/** An index for ways of which `all` are the ones that can come. */
function createIndex(all: readonly Path[]): Index {
  const frequency = new Map<string, number>()
  /** The masks under which a value is compared with constants, by the key of the value. */
  const masks = new Map<string, Set<number>>()
  for (const path of all) {
    for (const literal of path) {
      const key = keyOf(literal)
      frequency.set(key, (frequency.get(key) ?? 0) + 1)
      const question = literal.answer ? equationOf(literal) : null
      if (question === null) continue
      const known = masks.get(question.value.key) ?? new Set()
      masks.set(question.value.key, known.add(question.mask))
    }
  }
  const entries = new Map<string, Entry[]>()
  return {
    add(entry) {
      const rarest = (keys: readonly string[]) =>
        keys.reduce(
          (one, other) => (frequency.get(other)! < (frequency.get(one) ?? Number.POSITIVE_INFINITY) ? other : one),
          '',
        )
      const equation = rarest(entry.path.filter((literal) => literal.answer && equationOf(literal) !== null).map(keyOf))
      const key = (frequency.get(equation) ?? 0) > MANY || equation === '' ? rarest(entry.path.map(keyOf)) : equation
      const there = entries.get(key)
      if (there === undefined) entries.set(key, [entry])
      else there.push(entry)
    },
    *candidates({ answers, domains }) {
      yield* entries.get('') ?? []
      for (const [test, answer] of answers) yield* entries.get(answerKey(test, answer)) ?? []
      for (const [value, { bits, ones }] of domains) {
        yield* entries.get(aboutKey(value)) ?? []
        for (const mask of masks.get(value) ?? [])
          if ((mask & ~bits) === 0) yield* entries.get(equationKey(value, mask, (ones & mask) >>> 0)) ?? []
      }
    },
  }
}

/** What the facts must have for an answer to follow from them: a constant, anything about a value, or that very answer. */
function keyOf(literal: Path[number]): string {
  const { test, answer } = literal
  const question = maskedQuestion(test)
  if (question === null) return answerKey(test.key, answer)
  const equation = answer ? equationOf(literal) : null
  if (equation === null) return aboutKey(question.value.key)
  return equationKey(equation.value.key, equation.mask, equation.wanted)
}

function equationOf({ test }: Path[number]) {
  const question = maskedQuestion(test)
  return question?.operator === '=' ? question : null
}

const answerKey = (test: string, answer: boolean) => `${answer} ${test}`
const aboutKey = (value: string) => `? ${value}`
const equationKey = (value: string, mask: number, wanted: number) => `${value} & ${mask} = ${wanted}`

function common(one: ReadonlySet<number>, other: ReadonlySet<number>): ReadonlySet<number> {
  return new Set([...one].filter((rule) => other.has(rule)))
}
