/**
 * How a matcher finds the frames of a bundle in linear memory, and where it
 * puts its verdicts. All words are 32 bits, little-endian, and aligned.
 *
 *     descriptor  0  offset of the frame's first byte in the memory
 *                 4  bytes captured
 *                 8  bytes the frame had on the wire
 *     verdict     0  index of the first rule that matches, or NO_RULE
 *
 * Descriptors stand one behind the other, and so do verdicts. They are apart
 * so that several matchers can judge one bundle.
 */
export const DESCRIPTOR = { offset: 0, captured: 4, wire: 8, bytes: 12 } as const

export const VERDICT_BYTES = 4

/** The verdict on a frame that no rule matches, read as a signed word. */
export const NO_RULE = -1
