import { captureTemplates, checkSendsCaptures } from './capture-templates.js'
import type { PreparedTraffic, TrafficBounds } from './generate.js'
import { parseDeviceName } from './traffic-device.js'
import { findEnd } from './traffic-end.js'
import { checkDestinations } from './traffic-guard.js'

/** A capture to be sent again. */
export interface ReplayTrafficRequest extends Omit<TrafficBounds, 'mostPackets'> {
  readonly file: string
  readonly on: string
  /** Packets a second; null keeps the time between packets. */
  readonly packetsPerSecond: number | null
  /** How much faster than it was recorded; 1 keeps the time. */
  readonly speed: number
  readonly loops: number
}

/**
 * Reads the capture and checks where each of its packets goes; `startGenerate`
 * sends it. Throws TrafficError, DeviceError and CaptureError; then nothing is open.
 */
export function prepareReplay(request: ReplayTrafficRequest): PreparedTraffic {
  const { file, on, confirmed, packetsPerSecond, speed, loops, forMs } = request
  const name = parseDeviceName(on)
  checkSendsCaptures(name)
  const end = findEnd(name)
  try {
    const { templates, numbers, notes } = captureTemplates(file)
    const to = { reach: end.reach, device: name.name }
    checkDestinations(templates, to, confirmed, (index) => `packet ${numbers[index]} of ${file}`)
    const plan = {
      templates: templates.map((template) => ({ ...template, gapNs: template.gapNs! / speed })),
      isInTurn: true,
      arrivals: packetsPerSecond === null ? 'recorded' : 'constant',
      packetsPerSecond: packetsPerSecond ?? Number.POSITIVE_INFINITY,
      mostPackets: templates.length * loops,
      seed: 0,
      run: 0,
    } as const
    return { plan, end, spec: null, forMs, notes }
  } catch (error) {
    end.close()
    throw error
  }
}
