/**
 * A matcher finds the frames of a bundle by descriptors (`memory/formats.ts`),
 * one behind the other, and writes a verdict for each: one word, the index of
 * the first rule that matches, or NO_RULE. Verdicts are apart from descriptors
 * so that several matchers can judge one bundle.
 */
export const VERDICT_BYTES = 4

/** The verdict on a frame that no rule matches, read as a signed word. */
export const NO_RULE = -1
