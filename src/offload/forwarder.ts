import { type NetworkNamespace, withNamespace } from '../kernel/index.js'
import {
  type Attach,
  attachXdp,
  type LoadedProgram,
  loadProgram,
  perCpuReader,
  type XdpLink,
  type XdpMode,
} from '../loader/index.js'
import type { FlowTable } from './flow-path.js'
import { type DriverFlows, openDriverFlows } from './flow-table.js'
import { COUNT_NAMES, COUNTS, type CountName, PORTS } from './formats.js'
import { type ForwardPort, forwardProgram, MOST_PORTS } from './forward-program.js'
import { allowTarget, checkTarget } from './targets.js'

/** A device that forwards, and is forwarded to. */
export interface ForwardDevice extends ForwardPort {
  readonly name: string
}

/** Devices that forward among each other in their drivers, until it is closed or the process ends. */
export interface Forwarder {
  readonly devices: readonly { readonly name: string; readonly mode: XdpMode }[]
  /** Null where it was opened without one. */
  readonly flows: DriverFlows | null
  /** Packets since it was opened, by what became of them. */
  counts(): Readonly<Record<CountName, number>>
  /** What is known of a device has changed, as its MAC address: packets meet the old program or the new one. */
  change(device: ForwardDevice): void
  /** The device that has gone, or whose program was taken off; null while all is well. */
  lost(): string | null
  close(): void
}

/** Where the devices are, and whether flows have a table of their own. */
export interface ForwarderOptions {
  readonly namespace?: NetworkNamespace
  readonly table?: FlowTable
  /** How programs get to their devices: behind other programs, where it is not `attachXdp`. */
  readonly attach?: Attach
}

interface Attached {
  readonly name: string
  program: LoadedProgram
  readonly link: XdpLink
}

/**
 * Puts the forwarding program at each device and lets them send to each other.
 * Throws LoadError, KernelError, RangeError for more than 64 devices, and
 * RedirectError; nothing is left then.
 */
export function openForwarder(devices: readonly ForwardDevice[], options: ForwarderOptions = {}): Forwarder {
  const { namespace, table, attach = attachXdp } = options
  if (devices.length > MOST_PORTS)
    throw new RangeError(`${devices.length} devices, of which at most ${MOST_PORTS} can forward`)
  const inNamespace = <T>(run: () => T) => (namespace ? withNamespace(namespace, run) : run())
  const attached = new Map<number, Attached>()
  /** The maps of the first program, which the others share; it is kept for them. */
  let first: LoadedProgram | null = null
  const load = (device: ForwardPort): LoadedProgram => {
    const program = loadProgram(forwardProgram(device, table, attach !== attachXdp), first?.maps)
    first ??= program
    return program
  }
  const close = () => {
    for (const { link, program } of attached.values()) {
      link.close()
      if (program !== first) program.close()
    }
    attached.clear()
    first?.close()
  }
  try {
    for (const device of devices) {
      const program = load(device)
      try {
        const link = inNamespace(() => attach(program, device))
        attached.set(device.index, { name: device.name, program, link })
      } catch (error) {
        if (program !== first) program.close()
        throw error
      }
    }
    // A device of a veth pair can be sent to only now that it has a program itself.
    for (const device of devices) checkTarget(device, namespace)
    const maps = first!.maps
    for (const { index } of devices) inNamespace(() => allowTarget(maps.get(PORTS)!, index))
    const read = perCpuReader(maps.get(COUNTS)!)
    return {
      flows: table === undefined ? null : openDriverFlows(maps),
      devices: [...attached.values()].map(({ name, link }) => ({ name, mode: link.mode })),
      counts() {
        const sums = read()
        return Object.fromEntries(COUNT_NAMES.map((name, word) => [name, sums[word]!])) as Record<CountName, number>
      },
      change(device) {
        const at = attached.get(device.index)
        if (at === undefined) throw new RangeError(`${device.name} is none of the devices that forward`)
        const program = load(device)
        at.link.replace(program)
        if (at.program !== first) at.program.close()
        at.program = program
      },
      lost: () => [...attached.values()].find(({ link }) => !link.isAttached())?.name ?? null,
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}
