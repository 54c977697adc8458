import type { StageHost } from '../engine/index.js'
import { MOST_IN_BUNDLE } from '../memory/index.js'

const VERDICT_BYTES = 4

/**
 * Memory for the verdicts on a bundle, and a byte for each verdict from "no
 * rule" on: 1 where `rules` has the rule.
 */
export function reserveVerdicts({ reserve, space }: StageHost, rules: readonly boolean[]) {
  const chosen = reserve('chosen rules', 'table', rules.length + 1)
  rules.forEach((isChosen, rule) => {
    space.bytes[chosen + rule + 1] = isChosen ? 1 : 0
  })
  return { verdicts: reserve('verdicts', 'state', MOST_IN_BUNDLE * VERDICT_BYTES), chosen }
}
