import type { Device } from '../engine/index.js'

/**
 * When a device is kicked. `burst`: at the end of each round that has sent
 * something; `packet`: for each packet, for comparison; `ring full`: when it has
 * as many packets as its ring holds; `byte limit`: when that holds packets back;
 * `refused`: when it takes no more; `request`: when `uncork` asks. Where the
 * device or the byte limit lets nothing more through it is kicked in any case,
 * or nothing would ever go on; and those that wait for more packets give up in
 * the first round without any, but for `request`.
 */
export type Doorbell = 'burst' | 'packet' | 'ring full' | 'byte limit' | 'refused' | 'request'

/** Packets that were handed to a device, and the kicks that it got for them. */
export interface DoorbellState {
  /** So many packets have gone to the device. */
  sent(packets: number): void
  /** Rings, unless nothing has gone since; whether it did. */
  kick(): boolean
  /** The round is over. */
  roundEnds(): void
  /** Holds back what the end of a round would ring, until `uncork`. */
  cork(): void
  uncork(): void
  kicks(): number
  kickedPackets(): number
}

export function openDoorbell(device: Device, trigger: Doorbell, ringPackets: number): DoorbellState {
  const atEnd = trigger === 'burst'
  const whenIdle = trigger === 'ring full' || trigger === 'byte limit' || trigger === 'refused'
  let [kicks, kickedPackets, waiting, sentInRound] = [0, 0, 0, 0]
  let isCorked = false

  function kick(): boolean {
    if (waiting === 0) return false
    device.flush()
    kicks++
    kickedPackets += waiting
    waiting = 0
    return true
  }

  return {
    sent(packets) {
      waiting += packets
      sentInRound += packets
      if (trigger === 'packet' || (trigger === 'ring full' && waiting >= ringPackets)) kick()
    },
    kick,
    roundEnds() {
      const isIdle = sentInRound === 0
      sentInRound = 0
      if (isCorked) return
      // What the device could not finish at the last kick, it gets another one for.
      if (isIdle && waiting === 0 && device.isHeldUp?.() === true) device.flush()
      else if (atEnd || (whenIdle && isIdle)) kick()
    },
    cork() {
      isCorked = true
    },
    uncork() {
      isCorked = false
      kick()
    },
    kicks: () => kicks,
    kickedPackets: () => kickedPackets,
  }
}
