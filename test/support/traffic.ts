import { type FrameSpec, type Generator, openGenerator, type TrafficPlan } from '../../src/generate/index.js'
import type { EngineBench } from './engine.js'

const bytes = (...numbers: number[]) => Uint8Array.from(numbers)

/** A UDP flow from a hundred sources in a documentation prefix (RFC 5737), with what a test wants otherwise. */
export function frameSpec(change: Partial<FrameSpec> = {}): FrameSpec {
  return {
    kind: 'udp',
    sourceMac: bytes(2, 0, 0, 0, 0, 10),
    destinationMac: bytes(2, 0, 0, 0, 0, 11),
    sources: { first: bytes(198, 51, 100, 100), count: 100 },
    destinations: { first: bytes(192, 0, 2, 2), count: 1 },
    sourcePorts: null,
    destinationPorts: null,
    sizes: null,
    isInTurn: false,
    ...change,
  }
}

/** The same, over IPv6 (RFC 3849). */
export function ipv6Ranges(): Pick<FrameSpec, 'sources' | 'destinations'> {
  const address = (last: number) => bytes(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last)
  return { sources: { first: address(0), count: 2 ** 32 }, destinations: { first: address(9), count: 3 } }
}

/** A plan of those templates at full speed, with what a test wants otherwise. */
export function planOf(templates: TrafficPlan['templates'], change: Partial<TrafficPlan> = {}): TrafficPlan {
  return {
    templates,
    isInTurn: false,
    arrivals: 'constant',
    packetsPerSecond: Number.POSITIVE_INFINITY,
    mostPackets: 2 ** 32 - 1,
    seed: 1,
    run: 0x5a5a,
    ...change,
  }
}

/** The next `count` packets of a generator at time `nowNs`, each taken out of its frame. */
export function takePackets(bench: EngineBench, bundle: number, generator: Generator, count: number, nowNs = 0) {
  const packets: Uint8Array[] = []
  while (packets.length < count && generator.make(bundle, nowNs) > 0) {
    packets.push(...bench.read(bundle))
    bench.empty(bundle)
  }
  return packets.slice(0, count)
}

/** The packets of a plan, from a bench of their own; checks that every frame is back. */
export function packetsOf(bench: EngineBench, plan: TrafficPlan, count: number): Uint8Array[] {
  const generator = openGenerator(bench.space, bench.code, bench.worker, 'test', plan)
  try {
    return takePackets(bench, bench.bundle('taken'), generator, count)
  } finally {
    generator.close()
  }
}
