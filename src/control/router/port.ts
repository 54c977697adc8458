import { type NetworkDevice, openXdp, receiveQueues, type XdpDevice } from '../../device/index.js'
import { type Link, type NetworkNamespace, withNamespace } from '../../kernel/index.js'
import {
  type Attach,
  divertInto,
  type LoadedMap,
  type LoadedPolicy,
  type LoadedProgram,
  loadPolicy,
  loadProgram,
  type XdpMode,
} from '../../loader/index.js'
import type { Code, Space, WorkerPool } from '../../memory/index.js'
import type { Prefix } from '../../route/index.js'
import { policySource } from '../policy-source.js'
import { PASS_PROGRAM } from './hand-over.js'
import type { PortPlace } from './port-counters.js'
import { KERNELS, OWN_ADDRESSES, portPolicy, prefixSet, type TranslatedPorts } from './port-policy.js'

/** What is needed to open AF_XDP sockets on the queues of a port, as plain data. */
export interface PortSockets {
  readonly device: NetworkDevice
  readonly queues: readonly number[]
  /** Entries of each ring. */
  readonly entries: number
  /** Where the port's policy looks for sockets. */
  readonly sockets: LoadedMap
  /** Descriptor of the program by which the kernel gets packets back, where some are to; null for none. */
  readonly handOver: number | null
}

/** The same, and where its counters lie. */
export interface CountedSockets extends PortSockets {
  readonly counters: PortPlace
}

/** A network device of the router, and the policy that hands its packets to sockets. */
export interface RouterPort {
  readonly name: string
  readonly index: number
  readonly sockets: PortSockets
  /** Puts the policy in place, by `how`. Packets of queues without a socket pass to the kernel, unless `keepsAll`. */
  attach(how?: Attach): XdpMode
  /** From now on what is to be routed is dropped, and counted, where its queue has no socket, or passes to the kernel again. Throws LoadError. */
  keepAll(keeps: boolean): void
  /** Packets that have been dropped so. */
  withoutSocket(): number
  /** The policy's program as it is now. */
  program(): LoadedProgram
  /** Packets to these, and from these, go to the kernel from now on. */
  setOwnAddresses(addresses: readonly Uint8Array[]): void
  /** Beside these, packets to these go to the kernel from now on. */
  setKernels(prefixes: readonly Prefix[]): void
  /** From now on the port takes what is sent to this Ethernet address. Throws LoadError. */
  setMac(mac: string): void
  close(): void
}

export interface PortOptions {
  readonly namespace?: NetworkNamespace
  /** Of each ring. */
  readonly entries: number
  /** What is addressed to the machine and yet the router's. */
  readonly translated: readonly TranslatedPorts[]
  /** Whether what is to be routed is the router's alone: while a worker is started again, the kernel does not have its packets. */
  readonly keepsAll: boolean
}

/** Loads the policy of a port, which is not attached yet. Throws LoadError and KernelError. */
export function openPort(
  link: Link,
  addresses: readonly Uint8Array[],
  { namespace, entries, translated, ...options }: PortOptions,
): RouterPort {
  const inNamespace = <T>(run: () => T) => (namespace ? withNamespace(namespace, run) : run())
  const device = { name: link.name, index: link.index, ...(namespace ? { namespace } : {}) }
  let own = addresses.map(alone)
  let kernels: readonly Prefix[] = []
  const sets = new Map([OWN_ADDRESSES, KERNELS].map((name) => [name, prefixSet(own)]))
  const sourceFor = (mac: string, dropWithoutSocket: boolean) =>
    policySource(portPolicy(mac, translated), { sets, interfaceIndex: () => 0, metadata: true, dropWithoutSocket })
  let { mac: present } = link
  let { keepsAll } = options
  const loaded: LoadedPolicy = loadPolicy(sourceFor(present, keepsAll))
  let last: number | null = null
  const passing = translated.length > 0 ? inNamespace(() => loadProgram(PASS_PROGRAM)) : null
  const opened: { close(): void }[] = [loaded, ...(passing ? [passing] : [])]
  const change = (name: string, prefixes: readonly Prefix[]) => {
    sets.set(name, prefixSet(prefixes))
    loaded.replaceSet(name, sets.get(name)!)
  }
  return {
    name: link.name,
    index: link.index,
    sockets: {
      ...{ device, queues: receiveQueues(device), entries, sockets: loaded.divertMap() },
      handOver: passing?.fd ?? null,
    },
    attach(how) {
      const attached = inNamespace(() => loaded.attach(device, undefined, how))
      opened.push(attached)
      return attached.mode
    },
    keepAll(keeps) {
      // A listener may be taken away when the router has ended.
      if (keeps === keepsAll || last !== null) return
      loaded.replace(sourceFor(present, keeps))
      keepsAll = keeps
    },
    withoutSocket: () => last ?? loaded.losses().withoutSocket,
    program: () => loaded.program,
    setOwnAddresses(addresses) {
      own = addresses.map(alone)
      change(OWN_ADDRESSES, own)
      change(KERNELS, [...own, ...kernels])
    },
    setKernels(prefixes) {
      kernels = prefixes
      change(KERNELS, [...own, ...kernels])
    },
    setMac(mac) {
      if (mac === present) return
      loaded.replace(sourceFor(mac, keepsAll))
      present = mac
    },
    close() {
      last ??= loaded.losses().withoutSocket
      for (const each of opened.toReversed()) each.close()
      opened.length = 0
    },
  }
}

function alone(address: Uint8Array): Prefix {
  return { address, length: address.length * 8 }
}

/** Opens sockets on these queues of a port, from any thread. Throws KernelError. */
export function openQueues(
  space: Space,
  code: Code,
  pool: WorkerPool,
  { device, queues, entries, sockets, counters }: CountedSockets,
): XdpDevice {
  return openXdp(space, code, pool, device, {
    queues,
    entries,
    counters: (queue) => counters.queues[queue]!,
    divert: (queue, fd) => divertInto(sockets, queue, fd),
  })
}
