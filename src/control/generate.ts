import {
  type Arrivals,
  type FrameSpec,
  frameTemplates,
  parseSizes,
  type Template,
  type TrafficKind,
  type TrafficPlan,
} from '../generate/index.js'
import { parseMac } from '../kernel/index.js'
import { type CaptureTemplates, captureTemplates, checkSendsCaptures } from './capture-templates.js'
import { type DeviceName, neighbourMac, parseDeviceName } from './traffic-device.js'
import { findEnd, type TrafficEnd } from './traffic-end.js'
import { TrafficError } from './traffic-error.js'
import { startFile } from './traffic-file.js'
import { checkDestinations } from './traffic-guard.js'
import { startLive } from './traffic-live.js'
import { type Endpoints, formatAddress, parseEndpoints } from './traffic-range.js'
import { startTraffic, type TrafficRun } from './traffic-run.js'

/** What bounds every run, and what it may reach. */
export interface TrafficBounds {
  readonly mostPackets: number
  readonly forMs: number
  /** Addresses that the operator has confirmed, exactly. */
  readonly confirmed: readonly string[]
}

/** When packets go. */
export interface TrafficPace {
  readonly packetsPerSecond: number
  readonly arrivals: Arrivals
  readonly burst: number
}

/** Traffic as the operator asks for it. */
export interface GenerateRequest extends TrafficBounds, TrafficPace {
  /** A kind of packets; null where `template` is a capture. */
  readonly kind: TrafficKind | null
  /** A capture whose packets are sent, in their order, with addresses and ports of the ranges that are given. */
  readonly template: string | null
  /** Where it is sent; null for measuring alone. */
  readonly on: string | null
  readonly from: string | null
  readonly to: string | null
  readonly fromMac: string | null
  readonly toMac: string | null
  readonly sizes: string | null
  readonly isInTurn: boolean
  /** Where stamps are looked for; null for nowhere. */
  readonly measureAt: string | null
  /** Whether packets of a capture get stamps also where they are measured by somebody else. */
  readonly isStamped: boolean
  readonly seed: number
}

/** What is to be sent and where, checked: nothing has been sent yet. */
export interface PreparedTraffic {
  readonly plan: TrafficPlan
  readonly end: TrafficEnd
  /** The kind's description; null for captures. */
  readonly spec: FrameSpec | null
  readonly forMs: number
  readonly notes: readonly string[]
}

/**
 * Checks the request and makes its plan. Throws TrafficError, FrameError,
 * SizeError, DeviceError and CaptureError; then nothing is open.
 */
export function prepareTraffic(request: GenerateRequest): PreparedTraffic {
  const name = parseDeviceName(request.on!)
  if (request.template !== null) checkSendsCaptures(name)
  const end = findEnd(name)
  try {
    const captured = request.template === null ? null : readTemplates(request, request.template, name)
    const spec = captured === null ? specOf(request, name, end) : null
    const templates = captured?.templates ?? frameTemplates(spec!)
    const to = { reach: end.reach, device: name.name }
    checkDestinations(templates, to, request.confirmed, (index) => nameOf(request, captured, index))
    return { plan: planOf(request, templates), end, spec, forMs: request.forMs, notes: captured?.notes ?? [] }
  } catch (error) {
    end.close()
    throw error
  }
}

function nameOf({ kind, template }: GenerateRequest, captured: CaptureTemplates | null, index: number): string {
  return captured === null ? `a packet of ${kind}` : `packet ${captured.numbers[index]} of ${template}`
}

/** Times the mean rate, so that a run that is in time sends exactly that many. */
function planOf(request: GenerateRequest, templates: readonly Template[]): TrafficPlan {
  const { packetsPerSecond, arrivals, burst, seed, mostPackets, forMs } = request
  const inTime = arrivals === 'constant' ? Math.max(1, Math.round((packetsPerSecond * forMs) / 1000)) : mostPackets
  return {
    templates,
    isInTurn: request.template !== null || request.isInTurn,
    arrivals,
    packetsPerSecond,
    burst,
    mostPackets: Math.min(mostPackets, inTime),
    seed,
    run: seed & 0xffff,
  }
}

function readTemplates(request: GenerateRequest, file: string, name: DeviceName): CaptureTemplates {
  const { from, to, fromMac, toMac, measureAt } = request
  if (request.sizes !== null || request.isInTurn)
    throw new TrafficError('packets of a capture have their sizes and their order; leave --size and --in-turn out')
  const [near, far] = [from, to].map((text) => (text === null ? null : parseEndpoints(text)))
  checkFamilies(near!, far!)
  const variation = {
    sources: near?.addresses ?? null,
    sourcePorts: near?.ports ?? null,
    destinations: far?.addresses ?? null,
    destinationPorts: far?.ports ?? null,
    sourceMac: fromMac === null ? null : parsedMac(fromMac),
    destinationMac: toMac === null ? null : parsedMac(toMac),
    // Somebody looks for stamps there: payloads are not written over without a reason.
    isStamped: request.isStamped || measureAt !== null || name.way === 'link',
  }
  return captureTemplates(file, variation, request.mostPackets)
}

function checkFamilies(from: Endpoints | null, to: Endpoints | null): void {
  if (from === null || to === null || from.addresses.first.length === to.addresses.first.length) return
  throw new TrafficError('--from and --to are of two families; give both as IPv4 or both as IPv6')
}

/** The benchmarking networks of RFC 2544 (C.2.2) and RFC 5180: nobody lives there. */
const USUAL_SOURCES = { 4: '198.18.0.0/15', 16: '2001:2::/96' } as const
const MACS = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' } as const

function specOf(request: GenerateRequest, name: DeviceName, end: TrafficEnd): FrameSpec {
  if (request.to === null) throw new TrafficError('nobody is named to send to; give --to ADDRESS or --to ADDRESS:PORT')
  const to = parseEndpoints(request.to)
  const width = to.addresses.first.length as 4 | 16
  const from = parseEndpoints(request.from ?? USUAL_SOURCES[width])
  return {
    kind: request.kind!,
    sourceMac: parsedMac(request.fromMac ?? (end.link?.mac || MACS.source)),
    destinationMac: parsedMac(request.toMac ?? destinationMac(name, end, to)),
    sources: from.addresses,
    destinations: to.addresses,
    sourcePorts: from.ports,
    destinationPorts: to.ports,
    sizes: request.sizes === null ? null : parseSizes(request.sizes),
    isInTurn: request.isInTurn,
  }
}

function parsedMac(text: string): Uint8Array {
  try {
    return parseMac(text)
  } catch (error) {
    throw new TrafficError((error as Error).message)
  }
}

/** Broadcast at a TAP device, whose own address the kernel has not chosen yet. */
function destinationMac(name: DeviceName, { place, link }: TrafficEnd, { addresses }: Endpoints): string {
  if (name.way === 'tap') return 'ff:ff:ff:ff:ff:ff'
  if (place === null || link === null) return MACS.destination
  const address = formatAddress(addresses.first)
  if (addresses.first.length !== 4)
    throw new TrafficError(`the Ethernet address behind ${address} is not looked up; give it as --to-mac`)
  return neighbourMac(place, link, address)
}

/** Opens what was prepared, and where it is to be measured, and begins. Throws as `startTraffic` does. */
export function startGenerate(prepared: PreparedTraffic | null, measureAt: string | null): TrafficRun {
  let far: TrafficEnd | null = null
  const close = () => {
    far?.close()
    prepared?.end.close()
  }
  try {
    far = measureAt === null ? null : findEnd(parseDeviceName(measureAt))
    const run = begin(prepared, far)
    return {
      ...run,
      notes: [...(prepared?.notes ?? []), ...run.notes],
      close() {
        run.close()
        close()
      },
    }
  } catch (error) {
    close()
    throw error
  }
}

function begin(prepared: PreparedTraffic | null, far: TrafficEnd | null): TrafficRun {
  const way = prepared?.end.name.way ?? null
  if (far !== null && (way === 'link' || way === 'file' || way === 'live'))
    throw new TrafficError(
      way === 'link'
        ? 'a link is measured at its other end without being asked; leave --measure out'
        : `what is sent by ${way}: has no stamps to measure; name the device without ${way}:, or measure in a second command`,
    )
  if (far !== null && (far.name.way === 'link' || far.name.way === 'file' || far.name.way === 'live'))
    throw new TrafficError(`nothing arrives at ${far.name.way}:, so it is no place to measure; name a network device`)
  if (way === 'file') return startFile(prepared!.plan, prepared!.end.name.name, prepared!.forMs)
  if (way === 'live') return startLive(prepared!)
  return startTraffic({ send: prepared, measureAt: far })
}
