import type { DeviceStatistics } from '../engine/index.js'
import {
  type Space,
  TRAFFIC_BYTES,
  TRAFFIC_COPIED_PACKETS,
  TRAFFIC_DROPS,
  TRAFFIC_RECEIVED_BYTES,
  TRAFFIC_RECEIVED_PACKETS,
  TRAFFIC_SENT_BYTES,
  TRAFFIC_SENT_PACKETS,
} from '../memory/index.js'

/** The counters of a device in linear memory (TRAFFIC_…), which can still be read when it is closed. */
export interface Traffic {
  readonly address: number
  /** Address of the counter of `reasons[index]`. */
  drops(index: number): number
  statistics(): DeviceStatistics
  close(): void
}

/**
 * Reserves counters for a device that loses packets for up to eleven reasons; `at` is where they lie that somebody
 * else has reserved, and count on. Throws LayoutError.
 */
export function openTraffic(
  { reserve, free, counters }: Space,
  title: string,
  reasons: readonly string[],
  at?: number,
): Traffic {
  const own = at === undefined ? reserve({ name: title, kind: 'counters', bytes: TRAFFIC_BYTES }) : null
  const address = own?.offset ?? at!
  let last: DeviceStatistics | null = null
  const count = (field: number) => counters[(address + field) / 8]!
  const drops = (index: number) => address + TRAFFIC_DROPS + index * 8
  const statistics = (): DeviceStatistics => ({
    receivedPackets: count(TRAFFIC_RECEIVED_PACKETS),
    receivedBytes: count(TRAFFIC_RECEIVED_BYTES),
    sentPackets: count(TRAFFIC_SENT_PACKETS),
    sentBytes: count(TRAFFIC_SENT_BYTES),
    copiedPackets: count(TRAFFIC_COPIED_PACKETS),
    drops: Object.fromEntries(reasons.map((reason, index) => [reason, counters[drops(index) / 8]!])),
  })
  return {
    address,
    drops,
    statistics: () => last ?? statistics(),
    close() {
      if (last !== null) return
      last = statistics()
      if (own !== null) free(own.name)
    },
  }
}
