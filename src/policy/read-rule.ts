import { PolicyError } from './error.js'
import { explainIssues } from './explain-issue.js'
import { makeRule, OptionError } from './make-rule.js'
import type { Rule } from './policy.js'
import { policySchema } from './schema.js'

/**
 * One rule, written as in the list of a policy. Its match is judged only in a
 * policy, which has the sets. Throws PolicyError, in whose places the rule is `rule`.
 */
export function readRule(written: unknown): Rule {
  // As the only one of a policy, so that every fault is explained as there.
  const whole = { rules: [written] }
  const placeOf = ({ path }: { path: readonly unknown[] }) => ['rule', ...path.slice(2)].join('.')
  const parsed = policySchema().safeParse(whole)
  if (!parsed.success) throw new PolicyError(explainIssues(parsed.error.issues, whole), placeOf)
  try {
    return makeRule(parsed.data.rules[0]!)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    throw new PolicyError([{ path: ['rules', 0, error.key], message: error.message }], placeOf)
  }
}
