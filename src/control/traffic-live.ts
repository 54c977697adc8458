import type { FrameSpec } from '../generate/index.js'
import { formatMac, type NetworkNamespace, readStatistics } from '../kernel/index.js'
import { type FloodReport, type FloodSpec, SLEEPING_RATE, startFlood } from '../lab/index.js'
import type { PreparedTraffic } from './generate.js'
import { TrafficError } from './traffic-error.js'
import { formatAddress } from './traffic-range.js'
import type { TrafficRun } from './traffic-run.js'

/** What the generator in the kernel takes for as fast as it goes, in packets a second. */
const MOST_RATE = 10e6

/**
 * Sends by the kernel itself (live frames of BPF_PROG_TEST_RUN), at several
 * times the rate of any socket: SYN and UDP floods at an even rate, from a
 * veth's own end. Throws TrafficError for what it cannot send, before anything is sent.
 */
export function startLive({ plan, end, spec, forMs }: PreparedTraffic): TrafficRun {
  const { link, place } = end
  if (link === null || link.kind !== 'veth')
    throw new TrafficError(`live: needs a veth device; send at ${end.name.name} without live:`)
  if (plan.arrivals !== 'constant') throw new TrafficError('live: sends at an even rate; leave --arrivals out')
  if (plan.packetsPerSecond < SLEEPING_RATE)
    throw new TrafficError(
      `live: keeps rates from ${SLEEPING_RATE} packets a second on; give such a --rate, or leave live: out`,
    )
  const taken = () => takenFrames(link.name, place!.namespace)
  const takenBefore = taken()
  const flood = startFlood(place!.namespace ?? null, {
    spec: floodOf(spec),
    interfaceIndex: link.index,
    packetsPerSecond: Math.min(MOST_RATE, plan.packetsPerSecond),
    seconds: forMs / 1000,
    mostPackets: plan.mostPackets,
  })
  const started = performance.now()
  let report: FloodReport | null = null
  let drops: Record<string, number> = {}
  return {
    notes: [],
    read: () => {
      const { sent, bytes, elapsedMs } = report ?? { ...flood.progress(), elapsedMs: performance.now() - started }
      return { sent: { packets: sent, bytes, leftOut: 0, stamped: 0, unstamped: {}, drops }, measured: null, elapsedMs }
    },
    done: flood.report.then((final) => {
      report = final
      const count = final.sent - (taken() - takenBefore)
      if (count > 0) drops = { [REFUSED]: count }
    }),
    stop: flood.stop,
    close: flood.close,
  }
}

/** Its ring was full, or it has none: a veth takes live frames only where GRO or an XDP program gives it NAPI. */
const REFUSED = 'the other end did not take it (its ring is full, or GRO is off there: ethtool -K DEVICE gro on)'

/** Live frames that the driver has put into the other end's ring (drivers/net/veth.c). */
function takenFrames(name: string, namespace: NetworkNamespace | undefined): number {
  const counts = [...readStatistics(name, namespace)].filter(([counter]) => counter.endsWith('_xdp_xmit'))
  return counts.reduce((sum, [, count]) => sum + count, 0)
}

/** The description that the kernel's generator takes. */
function floodOf(spec: FrameSpec | null): FloodSpec {
  if (spec === null || (spec.kind !== 'udp' && spec.kind !== 'syn'))
    throw new TrafficError('live: sends udp and syn only; leave live: out for other kinds and captures')
  const { sources, destinations, sourcePorts, destinationPorts, isInTurn } = spec
  const length = 32 - Math.log2(sources.count)
  const isPrefix = Number.isInteger(length) && lastWord(sources.first) % sources.count === 0
  if (sources.first.length !== 4 || !isPrefix || sourcePorts !== null || isInTurn)
    throw new TrafficError('live: draws sources from an IPv4 prefix, with any port; give --from 198.18.0.0/15, say')
  if (destinations.count !== 1 || (destinationPorts?.count ?? 1) !== 1)
    throw new TrafficError('live: sends to one address and port; leave the range out')
  return {
    kind: spec.kind,
    sourceMac: formatMac(spec.sourceMac),
    destinationMac: formatMac(spec.destinationMac),
    destination: formatAddress(destinations.first),
    port: destinationPorts?.first ?? (spec.kind === 'syn' ? 80 : 9),
    sources: { address: formatAddress(sources.first), length },
    bytes: sizesOf(spec),
  }
}

function lastWord(address: Uint8Array): number {
  return new DataView(address.buffer, address.byteOffset).getUint32(address.length - 4)
}

/** Sizes from the least to the most, each as often: what its program can draw. */
function sizesOf({ sizes }: FrameSpec): FloodSpec['bytes'] {
  const list = sizes ?? [{ bytes: 60, weight: 1 }]
  const [least, most] = [list[0]!.bytes, list.at(-1)!.bytes]
  const isEven = list.every(({ bytes, weight }, index) => bytes === least + index && weight === list[0]!.weight)
  if (!isEven || most > 1514)
    throw new TrafficError('live: draws sizes from one range up to 1514 bytes; give --size 60-1514, say')
  return { least, most }
}
