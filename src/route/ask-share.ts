/** Kinds of senders that are told apart: networks of 24 bits, or of 64 of IPv6, as a hash divides them. */
export const SENDERS = 256

const ETHERTYPE_AT = 12
const ETHERTYPE_IPV6 = 0x86dd
const SOURCE_4 = 26
const SOURCE_6 = 22

/** Who a frame at that address is from, below SENDERS. A sender can choose whose share it is counted to, as it can choose its address. */
export function senderOf(view: DataView, frame: number): number {
  const network =
    view.getUint16(frame + ETHERTYPE_AT) === ETHERTYPE_IPV6
      ? view.getUint32(frame + SOURCE_6) ^ Math.imul(view.getUint32(frame + SOURCE_6 + 4), 0x85ebca6b)
      : view.getUint32(frame + SOURCE_4) >>> 8
  return Math.imul(network, 0x9e3779b1) >>> 24
}

/**
 * What there is too little of, shared out: a sender may have no more than is left then. So one alone gets half, the
 * next half of the rest, and somebody new finds some (Choudhury and Hahne, 1998).
 */
export interface Share {
  /** Whether the sender gets one; it has it then. */
  take(sender: number): boolean
  /** One that a sender has is there again. */
  give(sender: number): void
  /** All are. */
  reset(): void
}

/** Shares out `most`. */
export function openShare(most: number): Share {
  const had = new Uint16Array(SENDERS)
  let left = most
  return {
    take(sender) {
      if (had[sender]! >= left) return false
      had[sender]!++
      left--
      return true
    },
    give(sender) {
      had[sender]!--
      left++
    },
    reset() {
      if (left === most) return
      had.fill(0)
      left = most
    },
  }
}
