/** The way to a part of a policy: keys and indexes from its top, `['rules', 2, 'rate']`. */
export type PolicyPath = readonly (string | number)[]

/** One thing wrong with a policy. */
export interface PolicyFault {
  readonly path: PolicyPath
  /** One sentence. */
  readonly message: string
  /** More lines about the place: the expression and a caret. */
  readonly detail?: string
  /** The fault is that there is such a key, whatever its value. */
  readonly isKey?: boolean
  /** How many characters into the text at `path`; 0 where nothing is said. */
  readonly column?: number
}

/** Where a fault stands, for a reader: `policy.yaml:7:12`. */
export type PlaceOf = (fault: PolicyFault) => string

/**
 * A policy that cannot be used. `message` has one sentence for each fault, each
 * beginning with its place (`policy.yaml:7:12`), all of them found at once.
 */
export class PolicyError extends Error {
  override name = 'PolicyError'

  constructor(
    readonly faults: readonly PolicyFault[],
    placeOf: PlaceOf = ({ path }) => formatPath(path),
  ) {
    super(faults.map((fault) => formatFault(fault, placeOf(fault))).join('\n'))
  }
}

function formatFault({ message, detail }: PolicyFault, place: string): string {
  return `${place}: ${message}${detail === undefined ? '' : `\n${detail}`}`
}

/** `rules[2].rate`; the policy itself is `policy`. */
function formatPath(path: PolicyPath): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('')
  return text === '' ? 'policy' : text.replace(/^\./, '')
}
