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
  cpuTimeNs,
  type NetworkNamespace,
  parseAddress,
  parseMac,
  pinProcess,
  placeNapi,
  setFeatures,
  setPolicy,
  TEST_XDP_LIVE_FRAMES,
  tryTestRun,
  withNamespace,
} from '../src/kernel/index.js'
import { createNetwork, type LabRouter } from '../src/lab/network.js'
import { attachXdp, loadProgram, perCpuReader } from '../src/loader/index.js'
import { flowFrame, flowProgram } from './forward-source.js'

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

/** What reached the sink; the time is CPU time of the router's thread for each packet that it took. */
export interface Forwarding {
  readonly sent: number
  readonly arrived: number
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

/** Builds the rig; it needs root and two cores. */
export function openForwardRig(flows: number): ForwardRig {
  const network = createNetwork()
  const { attacker, victim, router } = network
  setFeatures(router.towardsAttacker.name, { 'rx-gro': true }, router.namespace)
  const place = (namespace: NetworkNamespace, device: string, cpu: number) =>
    placeNapi(namespace, device, { cpus: [cpu], scheduling: { policy: 'fifo', priority: NAPI_PRIORITY } })
  const forwarding = place(router.namespace, router.towardsAttacker.name, Math.min(1, availableParallelism() - 1))
  const receiving = place(victim.namespace, victim.device.name, 0)
  const sink = loadProgram(SINK)
  const link = withNamespace(victim.namespace, () => attachXdp(sink, victim.device, 'native'))
  const unpin = pinProcess(0)
  setPolicy(0, { policy: 'other', nice: -20 })
  const source = {
    destinationMac: parseMac(router.towardsAttacker.mac),
    sourceMac: parseMac(attacker.device.mac),
    destination: parseAddress(victim.device.ipv4),
    flows,
  }
  const generator = loadProgram(flowProgram(source))
  const frame = flowFrame(source)
  const context = new Uint8Array(24)
  new DataView(context.buffer).setUint32(4, frame.length, true)
  new DataView(context.buffer).setUint32(12, attacker.device.index, true)
  const arrivals = perCpuReader(sink.maps.get(COUNTS)!)
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
      const [before, busy, start] = [arrivals()[0]!, busyNs(), performance.now()]
      const errno = withNamespace(attacker.namespace, () => tryTestRun(run))
      const seconds = (performance.now() - start) / 1000
      if (errno !== 0) throw new Error(`the kernel sent no live frames (errno ${errno}): it needs Linux 5.18 or newer`)
      const arrived = arrivals()[0]! - before
      return { sent: packets, arrived, nsPerPacket: (busyNs() - busy) / arrived, packetsPerSecond: arrived / seconds }
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
