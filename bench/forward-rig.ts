import { availableParallelism } from 'node:os'
import {
  alu64,
  assemble,
  call,
  exit,
  helperId,
  jumpIf,
  label,
  load,
  loadMap,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R10,
  store,
  XDP,
} from '../src/ebpf/index.js'
import {
  addRoute,
  closeNetlink,
  cpuTimeNs,
  type NetworkNamespace,
  openRoute,
  parseMac,
  pinProcess,
  placeNapi,
  readStatistics,
  setFeatures,
  setPolicy,
  TEST_XDP_LIVE_FRAMES,
  tryTestRun,
  withNamespace,
} from '../src/kernel/index.js'
import { createNetwork, type LabRouter } from '../src/lab/network.js'
import { attachXdp, loadProgram, perCpuReader } from '../src/loader/index.js'
import { flowFrame, flowProgram, networkOf } from './forward-source.js'

/**
 * A router between two veth pairs, in namespaces that end with this process:
 *
 *     generator ── router ── sink
 *
 * What the router receives is processed on core 1 alone, in a kernel thread of
 * its own; the generator, and the sink that counts and drops, have core 0.
 */
export interface ForwardRig {
  readonly router: LabRouter
  readonly notes: readonly string[]
  /** Sends so many packets. */
  flood(packets: number): Forwarding
  close(): void
}

/** The time is CPU time of the router's thread for each packet that it took, the rate of those that reached the sink. */
export interface Forwarding {
  readonly nsPerPacket: number
  readonly packetsPerSecond: number
}

const BATCH_FRAMES = 64
const NAPI_PRIORITY = 10
const COUNTS = 'sink_counts'

/** Counts what arrives and drops it. */
const SINK: Program = {
  name: 'sluice_sink',
  type: 'xdp',
  license: 'GPL',
  multiBuffer: false,
  maps: [{ name: COUNTS, kind: 'percpu-array', keyBytes: 4, valueBytes: 8, maxEntries: 1 }],
  ...assemble([
    store('u32', R10, -4, 0),
    loadMap(R1, COUNTS),
    mov64(R2, R10),
    alu64('add', R2, -4),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, 'drop'),
    load('u64', R1, R0, 0),
    alu64('add', R1, 1),
    store('u64', R0, 0, R1),
    label('drop'),
    mov64(R0, XDP.drop),
    exit(),
  ]),
}

/** A route for the network of each flow. */
function routeTo(namespace: NetworkNamespace, gateway: string, flows: number): void {
  const route = openRoute(namespace)
  for (let flow = 0; flow < flows; flow++) addRoute(route, networkOf(flow), gateway)
  closeNetlink(route)
}

/** Builds the rig with as many routes as flows; it needs root and two cores. */
export function openForwardRig(flows: number): ForwardRig {
  const network = createNetwork()
  const { attacker, victim, router } = network
  setFeatures(router.towardsAttacker.name, { 'rx-gro': true }, router.namespace)
  const place = (namespace: NetworkNamespace, device: string, cpu: number) =>
    placeNapi(namespace, device, { cpus: [cpu], scheduling: { policy: 'fifo', priority: NAPI_PRIORITY } })
  const forwarding = place(router.namespace, router.towardsAttacker.name, Math.min(1, availableParallelism() - 1))
  const receiving = place(victim.namespace, victim.device.name, 0)
  routeTo(router.namespace, victim.device.ipv4, flows)
  const sink = loadProgram(SINK)
  const link = withNamespace(victim.namespace, () => attachXdp(sink, victim.device, 'native'))
  const unpin = pinProcess(0)
  setPolicy(0, { policy: 'other', nice: -20 })
  const source = {
    destinationMac: parseMac(router.towardsAttacker.mac),
    sourceMac: parseMac(attacker.device.mac),
    flows,
  }
  const generator = loadProgram(flowProgram(source))
  const frame = flowFrame(source)
  const context = new Uint8Array(24)
  new DataView(context.buffer).setUint32(4, frame.length, true)
  new DataView(context.buffer).setUint32(12, attacker.device.index, true)
  const arrivals = perCpuReader(sink.maps.get(COUNTS)!)
  const taken = () => readStatistics(router.towardsAttacker.name, router.namespace).get('rx_queue_0_xdp_packets') ?? 0
  const busyNs = () => forwarding.threads.reduce((sum, thread) => sum + cpuTimeNs(thread), 0)
  return {
    router,
    notes: [...forwarding.problems, ...receiving.problems],
    flood(packets) {
      const run = {
        fd: generator.fd,
        data: frame,
        context,
        repeat: packets,
        flags: TEST_XDP_LIVE_FRAMES,
        batchSize: BATCH_FRAMES,
      }
      const [before, earlier, busy, start] = [arrivals()[0]!, taken(), busyNs(), performance.now()]
      const errno = withNamespace(attacker.namespace, () => tryTestRun(run))
      const seconds = (performance.now() - start) / 1000
      if (errno !== 0) throw new Error(`the kernel sent no live frames (errno ${errno}): it needs Linux 5.18 or newer`)
      const arrived = arrivals()[0]! - before
      return { nsPerPacket: (busyNs() - busy) / (taken() - earlier), packetsPerSecond: arrived / seconds }
    },
    close() {
      link.close()
      for (const program of [generator, sink]) program.close()
      network.close()
      setPolicy(0, { policy: 'other', nice: 0 })
      unpin()
    },
  }
}
