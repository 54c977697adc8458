import { availableParallelism } from 'node:os'
import {
  cpuTimeNs,
  pinProcess,
  placeNapi,
  readStatistics,
  setPolicy,
  TEST_XDP_LIVE_FRAMES,
  tryTestRun,
  withNamespace,
} from '../src/kernel/index.js'
import { createNetwork, type LabHost, type LabRouter } from '../src/lab/network.js'
import { attachXdp, type LoadedProgram, loadProgram, type XdpLink } from '../src/loader/index.js'
import { type Sources, sourceFloodProgram, sourceFrame } from './source-flood.js'

/**
 * A device that receives as much as one core can send, on a core of its own:
 * the generator in this process on core 0, the device's receive thread on core
 * 1, in namespaces that end with this process.
 */
export interface ReceiveRig {
  /** The device, for whoever receives there, and what sends to it. */
  readonly victim: LabHost
  readonly router: LabRouter
  readonly notes: readonly string[]
  /** Attaches the program, or swaps it for the one before. */
  use(program: LoadedProgram): void
  /** Sends `packets` and tells what the device's end of it cost. */
  flood(generator: SourceGenerator, packets: number): Reception
  close(): void
}

/** A generator's program, loaded. */
export interface SourceGenerator {
  readonly program: LoadedProgram
  readonly frame: Uint8Array
}

/** What arrived; the time is CPU time of the receive thread, for each packet, and the rate that of the wall clock. */
export interface Reception {
  readonly packets: number
  readonly nsPerPacket: number
  readonly packetsPerSecond: number
}

const BATCH_FRAMES = 64
const NAPI_PRIORITY = 10

/** Loads a generator for these sources. */
export function loadGenerator(sources: Sources): SourceGenerator {
  return { program: loadProgram(sourceFloodProgram(sources)), frame: sourceFrame(sources.family) }
}

/**
 * Builds the rig; it needs root and two cores. Where a reader is to have core 1
 * for itself, packets are received on the core that sends them.
 */
export function openReceiveRig(receivesOn: 'own core' | 'sending core' = 'own core'): ReceiveRig {
  const network = createNetwork()
  const { victim, router } = network
  const placement =
    receivesOn === 'sending core'
      ? { threads: [], problems: [] }
      : placeNapi(victim.namespace, victim.device.name, {
          cpus: [Math.min(1, availableParallelism() - 1)],
          scheduling: { policy: 'fifo', priority: NAPI_PRIORITY },
        })
  const unpin = pinProcess(0)
  // A generator that waits for the core lets the receive thread sleep, and waking is charged to the packets.
  setPolicy(0, { policy: 'other', nice: -20 })
  const received = () => readStatistics(router.towardsVictim.name, router.namespace).get('tx_queue_0_xdp_xmit') ?? 0
  const busyNs = () => placement.threads.reduce((sum, thread) => sum + cpuTimeNs(thread), 0)
  let link: XdpLink | null = null
  return {
    victim,
    router,
    notes: placement.problems,
    use(program) {
      if (link !== null) return link.replace(program)
      link = withNamespace(victim.namespace, () => attachXdp(program, victim.device, 'native'))
    },
    flood({ program, frame }, packets) {
      const context = new Uint8Array(24)
      new DataView(context.buffer).setUint32(4, frame.length, true)
      new DataView(context.buffer).setUint32(12, router.towardsVictim.index, true)
      const run = {
        fd: program.fd,
        data: frame,
        context,
        repeat: packets,
        flags: TEST_XDP_LIVE_FRAMES,
        batchSize: BATCH_FRAMES,
      }
      const [before, busy, start] = [received(), busyNs(), performance.now()]
      const errno = withNamespace(router.namespace, () => tryTestRun(run))
      const seconds = (performance.now() - start) / 1000
      if (errno !== 0) throw new Error(`the kernel sent no live frames (errno ${errno}): it needs Linux 5.18 or newer`)
      const count = received() - before
      const nsPerPacket = (busyNs() - busy) / count
      return { packets: count, nsPerPacket, packetsPerSecond: count / seconds }
    },
    close() {
      link?.close()
      network.close()
      setPolicy(0, { policy: 'other', nice: 0 })
      unpin()
    },
  }
}
