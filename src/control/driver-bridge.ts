import { openPacketSocket, withNamespace } from '../kernel/index.js'
import { loadPolicy, type XdpMode } from '../loader/index.js'
import { checkTarget } from '../offload/index.js'
import { forward, policy } from '../policy/index.js'
import { createMemory } from '../wasm/index.js'
import { checkEnds, endName } from './bridge.js'
import { createClosers } from './closers.js'
import { LostDeviceError, programGone } from './device.js'
import { policySource } from './policy-source.js'
import { findEnd, type TrafficEnd } from './traffic-end.js'
import { TrafficError } from './traffic-error.js'

/** A wire that is nothing but a program in the driver of each of its devices. */
export interface DriverBridge {
  readonly devices: readonly string[]
  /** What the operator should know of the devices, a sentence each. */
  readonly notes: readonly string[]
  /** Of each end, in the order they were named: what has come in there and was handed to the other's driver. */
  statistics(): readonly DriverWireEnd[]
  /** Resolves when it is closed, rejects with a LostDeviceError where a device has gone or lost its program. */
  readonly done: Promise<void>
  close(): void
}

interface DriverWireEnd {
  readonly name: string
  readonly mode: XdpMode
  readonly handedPackets: number
  readonly handedBytes: number
}

const LOOK_MS = 500

/**
 * Joins two devices of one namespace in their drivers: each frame goes to the
 * other's transmit ring as it came, copied by nobody where the drivers can.
 * Throws TrafficError, DeviceError, LoadError, KernelError and RedirectError; nothing is left then.
 */
export function startDriverBridge(one: string, other: string): DriverBridge {
  const { later, add, close } = createClosers()
  try {
    const found = [one, other].map((text) => later(findEnd(endName(text))))
    checkEnds(found)
    checkDrivers(found)
    const ends = found.map((end, at) => later(openDriverEnd(end, found[1 - at]!)))
    // A device of a veth pair can be sent to only now that it has a program itself.
    found.forEach(({ link, place }, at) => {
      if (ends[at]!.mode === 'native') checkTarget(link!, place!.namespace)
    })
    let last: readonly DriverWireEnd[] | null = null
    const statistics = () => last ?? ends.map((end) => end.statistics())
    let finish = () => {}
    const done = new Promise<void>((resolve, reject) => {
      finish = resolve
      const timer = setInterval(() => {
        const lost = ends.find((end) => !end.isAttached())
        if (lost) reject(new LostDeviceError(programGone(lost.name)))
      }, LOOK_MS)
      add(() => clearInterval(timer))
    })
    return {
      devices: ends.map(({ name }) => name),
      notes: notesOf(found),
      statistics,
      done: done.finally(() => {
        last = statistics()
        close()
      }),
      close: () => finish(),
    }
  } catch (error) {
    close()
    throw error
  }
}

/** Throws TrafficError where the two cannot hand each other frames inside the kernel. */
function checkDrivers(ends: readonly TrafficEnd[]): void {
  const own = ends.find(({ name }) => name.way !== 'xdp')
  if (own)
    throw new TrafficError(`packets of ${own.name.way}:${own.name.name} come to user space; leave out --in-driver`)
  const [one, other] = ends.map(({ name }) => name)
  if (one!.namespacePath !== other!.namespacePath)
    throw new TrafficError(
      `${one!.name} and ${other!.name} are in two namespaces, and drivers send only within one; leave out --in-driver`,
    )
}

function openDriverEnd({ link, place }: TrafficEnd, other: TrafficEnd) {
  const { name, index } = link!
  const { namespace } = place!
  const inNamespace = <T>(run: () => T) => (namespace ? withNamespace(namespace, run) : run())
  const rule = forward('', { device: other.link!.name })
  const surroundings = { sets: new Map(), interfaceIndex: () => other.link!.index }
  const { later, close } = createClosers()
  const loaded = later(inNamespace(() => loadPolicy(policySource(policy(rule), surroundings))))
  try {
    // A card leaves out what is for others, unless somebody asks for it.
    const socket = { memory: createMemory(1, 1, true), interfaceIndex: index, isPromiscuous: true }
    later(openPacketSocket({ ...socket, ...(namespace && { namespace }) }))
    const attached = later(inNamespace(() => loaded.attach({ name, index })))
    return {
      name,
      mode: attached.mode,
      isAttached: attached.isAttached,
      statistics(): DriverWireEnd {
        const [{ packets, bytes }] = loaded.counts() as [ReturnType<typeof loaded.counts>[number]]
        return { name, mode: attached.mode, handedPackets: packets, handedBytes: bytes }
      },
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

function notesOf(ends: readonly TrafficEnd[]): string[] {
  const [one, other] = ends.map(({ link }) => link!)
  if (one!.mtuBytes === other!.mtuBytes) return []
  const small = one!.mtuBytes < other!.mtuBytes ? one! : other!
  return [`${small.name} has an MTU of ${small.mtuBytes}, and drops what is longer; give both the same`]
}
