/** What a device has done since it was opened. */
export interface DeviceStatistics {
  readonly receivedPackets: number
  /** On the wire, as the device counts them. */
  readonly receivedBytes: number
  readonly sentPackets: number
  readonly sentBytes: number
  /** Packets whose bytes were copied between the device and a frame. */
  readonly copiedPackets: number
  /** Packets that the device itself lost, by reason. */
  readonly drops: Readonly<Record<string, number>>
}

/**
 * `down`: the interface is down, and the device goes on by itself when it is up
 * again. `gone`: it was removed, and nothing will come or go any more.
 */
export type DeviceState = 'up' | 'down' | 'gone' | 'closed'

/**
 * Where frames enter and leave. A frame that was received belongs to the
 * receiver; one that was sent belongs to the device, which gives it back to
 * the pool. Nothing here throws once the device is open: what has gone, is
 * down or closed receives and sends nothing.
 */
export interface Device {
  readonly name: string
  /** Of the end of a ring between two workers: the other worker. */
  readonly peer?: string
  /**
   * Appends up to `most` packets to the bundle at that address, whose room is
   * MOST_IN_BUNDLE; gives how many. Does not wait.
   */
  receive(bundle: number, most: number): number
  /**
   * Takes packets from the front of the bundle and leaves those that it has no
   * room for, moved to the front; gives how many it took. They may wait in the
   * device until `flush`.
   */
  send(bundle: number): number
  /** Rings the doorbell: what was taken goes out. Once a round, however many bundles there were. */
  flush(): void
  /**
   * Whether something that was taken waits for the next `flush`, because the
   * kernel had no room for it; missing where that cannot be.
   */
  isHeldUp?(): boolean
  /** Packets that it can have at once, taken and not finished with; there with `pending`. */
  readonly slots?: number
  /** How many it has now: what a byte limit counts; missing where nobody tells. */
  pending?(): number
  /**
   * Of a device that keeps packets until later: whether `flush` would do
   * something now; cheap enough to spin on.
   */
  isDue?(): boolean
  /** Resolves when `flush` may do something, after `timeoutMs`, or with `close`; there with `isDue`. */
  waitDue?(timeoutMs: number): Promise<void>
  /** Whether `receive` would give something, or take up what it lacked; cheap enough to spin on. */
  isReady(): boolean
  /** Resolves when `receive` may give something, after `timeoutMs`, or with `close`; costs nothing meanwhile. */
  wait(timeoutMs: number): Promise<void>
  /** What a thread that sleeps in poll(2) is woken by, when `receive` may give something; missing where the kernel has no part in it. */
  readonly descriptor?: number
  /** Called around such a sleep, before the last look and behind it, where somebody has to know of it to wake who sleeps. */
  poll?(isAsleep: boolean): void
  statistics(): DeviceStatistics
  /** How it stands with what is behind the device, asked of the kernel at each call; missing where it cannot change. */
  state?(): DeviceState
  /**
   * Every frame that the device holds goes back to the pool; one that the kernel
   * may still write into or send from, as soon as that is done with it. Closing
   * again does nothing.
   */
  close(): void
}
