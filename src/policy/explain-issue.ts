import type { z } from 'zod'
import type { PolicyFault, PolicyPath } from './error.js'
import { nearest } from './nearest.js'
import { policySchema } from './schema.js'

type Issue = z.core.$ZodIssue

/** What the schema found wrong with `written`, in sentences. */
export function explainIssues(issues: readonly Issue[], written: unknown): PolicyFault[] {
  return issues.flatMap((issue) => explain(issue, written))
}

function explain(issue: Issue, written: unknown): PolicyFault[] {
  const path = issue.path as PolicyPath
  const key = path.at(-1)
  const input = valueAt(written, path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((unknown) => unknownKey([...path, unknown], unknown, knownKeys(path, input), input))
    case 'invalid_value':
      return [wrongWord(path, input, issue.values.map(String))]
    case 'invalid_union':
      return explainUnion(issue, written)
    case 'invalid_key': {
      const message = `"${key}" cannot be the name of a set; write letters, digits, dots, - and _, at most 64`
      return [{ path, message }]
    }
  }
  if (input === undefined)
    return [{ path: path.slice(0, -1), message: `"${key}" is missing here; ${remedy(issue, path)}` }]
  const label = typeof key === 'string' ? `"${key}" is ${shown(input)}` : `this is ${shown(input)}`
  return [{ path, message: `${label}; ${remedy(issue, path)}` }]
}

/** The schema's own hint, or what kind of value belongs there. */
function remedy(issue: Issue, path: PolicyPath): string {
  if (issue.message.startsWith('write ')) return issue.message
  if (path.length === 0) return 'write rules: and a list of rules'
  if (path[0] === 'rules' && path.length === 2) return 'write a rule, with action: and match:'
  if (issue.code !== 'invalid_type') return 'write another value'
  const kind = { object: 'keys with values', record: 'keys with values', array: 'a list', string: 'text' }[
    issue.expected as string
  ]
  return `write ${kind ?? `a ${issue.expected}`}`
}

function explainUnion(issue: Issue & { code: 'invalid_union' }, written: unknown): PolicyFault[] {
  const path = issue.path as PolicyPath
  const input = valueAt(written, path)
  if (issue.errors.length === 0) {
    const words = (issue as { options?: readonly unknown[] }).options?.map(String) ?? []
    if (input !== undefined) return [wrongWord(path, input, words)]
    return [{ path: path.slice(0, -1), message: `"${path.at(-1)}" is missing here; write ${list(words)}` }]
  }
  // The alternative that the value was meant as is the one that fails inside of it.
  const meant = issue.errors.find((errors) =>
    errors.every(({ path: inner, code }) => inner.length > 0 || code === 'unrecognized_keys'),
  )
  if (meant === undefined) return [{ path, message: `"${path.at(-1)}" is ${shown(input)}; ${issue.message}` }]
  return explainIssues(
    meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })),
    written,
  )
}

function wrongWord(path: PolicyPath, input: unknown, words: readonly string[]): PolicyFault {
  const key = path.at(-1)
  if (input === undefined) return { path: path.slice(0, -1), message: `"${key}" is missing here; write ${list(words)}` }
  const near = typeof input === 'string' ? nearest(input, words) : null
  const hint = near === null ? `write ${list(words)}` : `did you mean "${near}"?`
  return { path, message: `"${key}" is ${shown(input)}; ${hint}` }
}

function unknownKey(path: PolicyPath, key: string, known: readonly string[], owner: unknown): PolicyFault {
  const near = nearest(key, known)
  const action = (owner as { action?: unknown }).action
  const where = typeof action === 'string' ? `a rule with action ${action}` : 'this place'
  const hint = near === null ? `write ${list(known)}` : `did you mean "${near}"?`
  return { path, message: `${where} has no "${key}"; ${hint}`, isKey: true }
}

/** The keys that can stand at `path`, from the schema itself. */
function knownKeys(path: PolicyPath, input: unknown): string[] {
  const { rules, tables } = policySchema().shape
  const [top, name] = path
  if (top === undefined) return Object.keys(policySchema().shape)
  if (top === 'sets') return ['file']
  if (top === 'tables') {
    const { shape } = tables.unwrap()
    return Object.keys(name === undefined ? shape : shape[name as keyof typeof shape].unwrap().shape)
  }
  if (path.at(-1) === 'prefix') return ['v4', 'v6']
  const { action } = input as { action: string }
  const shape = rules.element.options.find((option) => option.shape.action.value === action)?.shape ?? {}
  return Object.keys(shape)
}

function valueAt(written: unknown, path: PolicyPath): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string | number, unknown> | undefined)?.[key], written)
}

function shown(input: unknown): string {
  if (Array.isArray(input)) return 'a list'
  if (typeof input === 'object' && input !== null) return 'a group of keys'
  if (input === null) return 'empty'
  const text = JSON.stringify(input) ?? String(input)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

function list(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
