/** Whole numbers that a policy may give, both ends included. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** By the key that has the number; the schema and the builders judge by the same ones. */
export const RANGES = {
  /** One packet in so many. */
  oneIn: { min: 1, max: 2 ** 32 - 1 },
  /** Of a sampled packet. */
  bytes: { min: 1, max: 2048 },
  /** Packets or bytes; nanoseconds times a rate, and a burst in billionths, must fit into 64 bits. */
  burst: { min: 1, max: 15e9 },
  perSecond: { min: 1, max: 15e9 },
  cpu: { min: 0, max: 4095 },
  value: { min: 0, max: 2 ** 32 - 1 },
  v4: { min: 0, max: 32 },
  v6: { min: 0, max: 128 },
  entries: { min: 8, max: 2 ** 24 },
  /** Of the ring buffer of samples. */
  bufferBytes: { min: 4096, max: 2 ** 30 },
} as const satisfies Record<string, Range>

/** What Linux takes for the name of a device (IFNAMSIZ, include/uapi/linux/if.h). */
export const DEVICE_NAME = /^[^\s/:]{1,15}$/

/** What a rule may be called: printable, with no space at an end. */
export const RULE_NAME = /^\S(?:[^\p{Cc}\u2028\u2029]{0,198}\S)?$/u

/** What `net @name` can call a set. */
export const SET_NAME = /^[A-Za-z0-9][-_.A-Za-z0-9]{0,63}$/

/** What to write in the place of a number outside of the range. */
export function rangeHint({ min, max }: Range): string {
  return `write a whole number from ${min} to ${max}`
}

export function isWithin(value: number, { min, max }: Range): boolean {
  return Number.isInteger(value) && value >= min && value <= max
}
