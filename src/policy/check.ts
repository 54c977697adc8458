import { FilterError, formatFilterError, parseFilter } from '../filter/index.js'
import type { PolicyFault, PolicyPath } from './error.js'
import { nearest } from './nearest.js'
import { faultOfPrefix } from './parse-prefix.js'
import type { SetSource, TableSettings } from './policy.js'
import { isWithin, RANGES, type Range, rangeHint, SET_NAME } from './ranges.js'

/** What must fit together; also of a rule whose options are broken the name and the match are judged. */
export interface PolicyParts {
  readonly rules: readonly { readonly name?: string | undefined; readonly match: string }[]
  readonly sets: Readonly<Record<string, SetSource>>
  readonly tables: TableSettings
}

/** How expressions are read. */
export interface PolicyOptions {
  /** As `tcpdump -y` names it; `EN10MB` where nothing is said. */
  readonly linkType?: string
}

/** Everything that is wrong with the whole: names, expressions, sets, sizes. Files of sets are not opened. */
export function checkPolicy(parts: PolicyParts, options: PolicyOptions): PolicyFault[] {
  return [...duplicateNames(parts), ...brokenMatches(parts, options), ...brokenSets(parts), ...wrongSizes(parts)]
}

function duplicateNames({ rules }: PolicyParts): PolicyFault[] {
  const first = new Map<string, number>()
  return rules.flatMap((rule, index) => {
    if (rule.name === undefined) return []
    const before = first.get(rule.name)
    if (before === undefined) {
      first.set(rule.name, index)
      return []
    }
    const message = `rules ${before + 1} and ${index + 1} are both called "${rule.name}"; give one another name`
    return [{ path: ['rules', index, 'name'], message }]
  })
}

function brokenMatches({ rules, sets }: PolicyParts, { linkType = 'EN10MB' }: PolicyOptions): PolicyFault[] {
  const names = new Set(Object.keys(sets))
  return rules.flatMap((rule, index) => {
    const fault = faultOfMatch(rule.match, { sets: names, linkType })
    return fault === null ? [] : [{ path: ['rules', index, 'match'], ...fault }]
  })
}

function faultOfMatch(match: string, options: { sets: ReadonlySet<string>; linkType: string }) {
  try {
    parseFilter(match, options)
    return null
  } catch (error) {
    if (!(error instanceof FilterError)) throw error
    const wanted = /^there is no set "@(.*)"/.exec(error.message)?.[1]
    const near = wanted === undefined ? null : nearest(wanted, [...options.sets])
    const message = near === null ? error.message : `there is no set "@${wanted}"; did you mean "@${near}"?`
    const [, ...place] = formatFilterError(error).split('\n')
    return { message, detail: place.join('\n'), column: error.span.start }
  }
}

function brokenSets({ sets }: PolicyParts): PolicyFault[] {
  return Object.entries(sets).flatMap(([name, source]): PolicyFault[] => {
    if (!SET_NAME.test(name)) {
      const message = `"${name}" cannot be the name of a set; write letters, digits, dots, - and _, at most 64`
      return [{ path: ['sets', name], message }]
    }
    if (!isInline(source)) return []
    return source.flatMap((entry, index) => {
      const fault = faultOfPrefix(entry)
      return fault === null ? [] : [{ path: ['sets', name, index], message: fault }]
    })
  })
}

function isInline(source: SetSource): source is readonly string[] {
  return Array.isArray(source)
}

function wrongSizes({ tables }: PolicyParts): PolicyFault[] {
  return [
    ...faultOfSize(['tables', 'limits', 'entries'], tables.limits.entries, RANGES.entries),
    ...faultOfSize(['tables', 'samples', 'bytes'], tables.samples.bytes, RANGES.bufferBytes),
  ]
}

function faultOfSize(path: PolicyPath, size: number, range: Range): PolicyFault[] {
  const isPower = Number.isInteger(Math.log2(size))
  if (isWithin(size, range) && isPower) return []
  const hint = isWithin(size, range)
    ? `it must be a power of two, write ${2 ** Math.ceil(Math.log2(size))}`
    : `${rangeHint(range)}, a power of two`
  return [{ path, message: `"${path.at(-1)}" is ${size}; ${hint}` }]
}
