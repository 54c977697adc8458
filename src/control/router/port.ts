import { openXdp, receiveQueues, type XdpDevice } from '../../device/index.js'
import { type Link, type NetworkNamespace, withNamespace } from '../../kernel/index.js'
import { type LoadedPolicy, loadPolicy, type XdpMode } from '../../loader/index.js'
import type { Code, Space, WorkerPool } from '../../memory/index.js'
import { policySource } from '../policy-source.js'
import { addressSet, OWN_ADDRESSES, portPolicy } from './port-policy.js'

/** A network device of the router: AF_XDP sockets on its queues, and the policy that fills them. */
export interface RouterPort {
  readonly name: string
  readonly index: number
  readonly mode: XdpMode
  readonly xdp: XdpDevice
  /** Packets to these go to the kernel from now on. */
  setOwnAddresses(addresses: readonly Uint8Array[]): void
  close(): void
}

export interface PortOptions {
  readonly namespace?: NetworkNamespace
  /** Of each ring. */
  readonly entries: number
}

/** Opens the sockets first, so that no packet is diverted before somebody takes it. Throws LoadError and KernelError. */
export function openPort(
  space: Space,
  code: Code,
  pool: WorkerPool,
  link: Link,
  addresses: readonly Uint8Array[],
  options: PortOptions,
): RouterPort {
  const { namespace, entries } = options
  const inNamespace = <T>(run: () => T) => (namespace ? withNamespace(namespace, run) : run())
  const device = { name: link.name, index: link.index, ...(namespace ? { namespace } : {}) }
  const sets = new Map([[OWN_ADDRESSES, addressSet(addresses)]])
  const surroundings = { sets, interfaceIndex: () => 0, metadata: true }
  const loaded: LoadedPolicy = loadPolicy(policySource(portPolicy(link.mac), surroundings))
  const opened: { close(): void }[] = [loaded]
  const close = () => {
    for (const each of opened.toReversed()) each.close()
    opened.length = 0
  }
  try {
    const queues = receiveQueues(device)
    const xdp = openXdp(space, code, pool, device, { queues, entries, divert: loaded.divertTo })
    opened.push(xdp)
    const attached = inNamespace(() => loaded.attach(device))
    opened.push(attached)
    return {
      name: link.name,
      index: link.index,
      mode: attached.mode,
      xdp,
      setOwnAddresses: (own) => loaded.replaceSet(OWN_ADDRESSES, addressSet(own)),
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}
