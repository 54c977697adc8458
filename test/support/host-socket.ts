import { openPacketDevice } from '../../src/device/index.js'
import {
  closeNetlink,
  findLink,
  getAffinity,
  type NetworkNamespace,
  openRoute,
  withAffinity,
} from '../../src/kernel/index.js'
import { openBench } from './engine.js'

/** A host's device by hand. */
export interface HostSocket {
  send(frames: readonly Uint8Array[]): void
  /** What has come since the last time. */
  take(): Uint8Array[]
  close(): void
}

/** Sends and receives whole frames at a device of a namespace, beside its kernel, which hands them over after `retireMs` at most. */
export function openHostSocket(namespace: NetworkNamespace, name: string, retireMs = 8): HostSocket {
  const bench = openBench({ 2048: 512 })
  const route = openRoute(namespace)
  const { index: interfaceIndex } = findLink(route, name)
  closeNetlink(route)
  const device = openPacketDevice(bench.space, bench.code, bench.worker, {
    ...{ name, namespace, interfaceIndex, retireMs },
  })
  // A veth pair has a queue for each core, and what another core has sent may overtake.
  const cpu = getAffinity(0)[0]!
  const [sent, received] = [bench.bundle('sent'), bench.bundle('received')]
  return {
    send(frames) {
      bench.fill(sent, frames)
      withAffinity([cpu], () => {
        device.send(sent)
        device.flush()
      })
    },
    take() {
      const frames: Uint8Array[] = []
      while (device.receive(received, 64) > 0) {
        frames.push(...bench.read(received))
        bench.empty(received)
      }
      return frames
    },
    close: () => device.close(),
  }
}
