import { openCapture } from '../device/index.js'
import { type CapturedPacket, type Template, type Variation, varyCapture } from '../generate/index.js'
import type { DeviceName } from './traffic-device.js'
import { TrafficError } from './traffic-error.js'

/** The packets of a capture, to be sent. */
export interface CaptureTemplates {
  readonly templates: readonly Template[]
  /** The number in the file of each, from 1 on. */
  readonly numbers: readonly number[]
  /** What the operator should know of them, a sentence each. */
  readonly notes: readonly string[]
}

/** What is held in memory of a capture at most. */
const MOST_BYTES = 256 << 20
const MOST_PACKETS = 2 ** 20
/** The longest packet that a frame holds. */
const MOST_PACKET_BYTES = 65_390
/** A pause in a capture is kept up to this long. */
const LONGEST_GAP_NS = 60e9

/** Nothing is changed. */
const AS_IT_IS: Variation = {
  sources: null,
  sourcePorts: null,
  destinations: null,
  destinationPorts: null,
  sourceMac: null,
  destinationMac: null,
  isStamped: false,
}

/**
 * Reads the Ethernet packets of a capture, with the time from each to the next;
 * from the last to the first of the next round it is the mean. They are varied
 * where that is asked for; what stands behind the first `most` is not read.
 * Throws CaptureError, and TrafficError where nothing can be sent of it.
 */
export function captureTemplates(
  file: string,
  variation: Variation = AS_IT_IS,
  most: number = Number.POSITIVE_INFINITY,
): CaptureTemplates {
  const { packets, numbers, notes } = readPackets(file, most)
  const varied = varyCapture(packets, variation)
  const { kept, rounds, merged, templates } = varied
  const isVaried = variation.sources !== null || variation.destinations !== null
  if (isVaried && kept === templates.length) {
    const family = (variation.sources ?? variation.destinations)!.first.length === 4 ? 'IPv4' : 'IPv6'
    throw new TrafficError(`${file} has no packet of ${family} whose addresses could become others; give another range`)
  }
  return {
    templates,
    numbers,
    notes: [
      ...notes,
      ...(isVaried ? [roundsText(rounds)] : []),
      ...merged.map(({ what, found, given }) => `the capture has ${found} ${what}, which become ${given}`),
      ...(kept > 0 ? [`${kept} packets are of another family or no IP packets, and keep their addresses`] : []),
    ],
  }
}

function roundsText(rounds: number): string {
  if (rounds === 1) return 'each time the capture is sent its flows are the same, because the ranges have no more'
  return `each time the capture is sent its flows are new ones, ${rounds} times before they come again`
}

interface ReadPackets {
  readonly packets: readonly CapturedPacket[]
  readonly numbers: readonly number[]
  readonly notes: readonly string[]
}

function readPackets(file: string, most: number): ReadPackets {
  const capture = openCapture(file)
  try {
    if (capture.linkType !== 'EN10MB')
      throw new TrafficError(`${file} has packets of type ${capture.linkType}; only Ethernet (EN10MB) can be sent`)
    const packets: Pick<CapturedPacket, 'bytes' | 'isWhole'>[] = []
    const [numbers, timesNs]: number[][] = [[], []]
    let [bytes, number, cut, skipped, start] = [0, 0, 0, 0, 0]
    for (const { data, wireLength, seconds, nanoseconds } of capture.packets()) {
      if (packets.length === most) break
      if (number++ === 0) start = seconds
      if (data.length < wireLength) cut++
      if (data.length === 0 || data.length > MOST_PACKET_BYTES) {
        skipped++
        continue
      }
      bytes += data.length
      if (bytes > MOST_BYTES || packets.length === MOST_PACKETS)
        throw new TrafficError(`${file} has more than ${MOST_PACKETS} packets or 256 MiB; cut it, as with tcpdump -c`)
      packets.push({ bytes: data, isWhole: data.length === wireLength })
      numbers.push(number)
      timesNs.push((seconds - start) * 1e9 + nanoseconds)
    }
    if (capture.error !== null) throw capture.error
    if (packets.length === 0) throw new TrafficError(`${file} has no packet that could be sent; give another capture`)
    const gaps = gapsOf(timesNs)
    return {
      packets: packets.map(({ bytes, isWhole }, index) => ({ bytes, isWhole, gapNs: gaps[index]! })),
      numbers,
      notes: [
        ...(cut > 0 ? [`${cut} packets were cut off when they were captured, and are sent as short as they are`] : []),
        ...(skipped > 0
          ? [`${skipped} packets are empty or longer than ${MOST_PACKET_BYTES} bytes, and are left out`]
          : []),
      ],
    }
  } finally {
    capture.close()
  }
}

/** Refuses ways that make their packets themselves. Throws TrafficError. */
export function checkSendsCaptures({ way }: DeviceName): void {
  if (way === 'live') throw new TrafficError('live: sends no captures; name the device without live:')
}

/** A clock that was set back, or a long pause, does not hold up the rest. */
function gapsOf(timesNs: readonly number[]): number[] {
  const gaps = timesNs.slice(1).map((time, index) => Math.min(LONGEST_GAP_NS, Math.max(0, time - timesNs[index]!)))
  const mean = gaps.length === 0 ? 1e9 : gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
  return [...gaps, mean]
}
