/** Further words of a shared queue: what the consumer has told producers of what it has taken, and the twin's lock. */
export const SHARED_CONSUMED: usize = 64
export const SHARED_GATE: usize = 192
/** The consumer tells producers of free slots when they are this part of all: slots >> SHARED_LAG_SHIFT. */
export const SHARED_LAG_SHIFT: u32 = 3
/** Of a side: the other one's index as last seen, u64. */
export const SIDE_SEEN: usize = 0
