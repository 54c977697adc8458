import type { StageHost } from '../engine/index.js'
import { MOST_IN_BUNDLE } from '../memory/index.js'

export const VERDICT_BYTES = 4
/** Of the index before the table. */
const CHOSEN_BYTES = 4

/**
 * Memory for the verdicts on a bundle, and which of them are chosen: the index
 * of the last byte, then a byte for each verdict from "no rule" on, 1 where
 * `rules` has the rule; the last one is for all rules beyond.
 */
export function reserveVerdicts(host: StageHost, rules: readonly boolean[]) {
  return {
    verdicts: host.reserve('verdicts', 'state', MOST_IN_BUNDLE * VERDICT_BYTES),
    chosen: reserveChosen(host, rules),
  }
}

/** That table alone. */
export function reserveChosen({ reserve, space }: StageHost, rules: readonly boolean[]): number {
  const last = rules.length + 1
  const chosen = reserve('chosen rules', 'table', CHOSEN_BYTES + last + 1)
  space.words[chosen >>> 2] = last
  rules.forEach((isChosen, rule) => {
    space.bytes[chosen + CHOSEN_BYTES + rule + 1] = isChosen ? 1 : 0
  })
  return chosen
}
