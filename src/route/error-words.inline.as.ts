/** Words of `errors-formats.ts` that nobody but the stage itself reads. */

/** Room for one frame, as a bundle. */
export const ERRORS_FRAME: u32 = 64

/** Kinds of answers, each with a bucket: the order of the stage's settings. */
export const ERROR_TIME_EXCEEDED: u32 = 0
export const ERROR_UNREACHABLE: u32 = 1
export const ERROR_TOO_BIG: u32 = 2

/**
 * The bucket of a target, in sets of four, of which the one that has been used
 * least recently makes room:
 *
 *     0   16 bytes of address; of an IPv4 address, 4 and zeros
 *     16  f64  when it had its tokens, in milliseconds
 *     24  f32  tokens
 *     28  u32  family, 4 or 6; 0 where it is free
 */
export const TARGET_SINCE: usize = 16
export const TARGET_TOKENS: usize = 24
export const TARGET_FAMILY: usize = 28

/** Why there is no answer: drops, in the order of the stage's reasons, from 1 on; 0 for an answer. */
export const NO_FAULT: u32 = 0
export const FAULT_ABOUT_ERROR: u32 = 1
export const FAULT_LATER_FRAGMENT: u32 = 2
export const FAULT_TO_MANY: u32 = 3
export const FAULT_FROM_NO_HOST: u32 = 4
export const FAULT_LINK_LOCAL: u32 = 5
export const FAULT_NO_ADDRESS: u32 = 6
export const FAULT_KIND_LIMIT: u32 = 7
export const FAULT_TARGET_LIMIT: u32 = 8
export const FAULT_NO_FRAME: u32 = 9
export const FAULT_NO_NOTE: u32 = 10
export const FAULT_MALFORMED: u32 = 11
