import { type NetworkNamespace, updateElement, withNamespace } from '../kernel/index.js'
import {
  type Attach,
  attachXdp,
  type LoadedProgram,
  loadProgram,
  perCpuReader,
  type XdpLink,
  type XdpMode,
} from '../loader/index.js'
import { type DriverFlows, openDriverFlows } from './flow-table.js'
import { BEHIND, COUNT, COUNTS, PORTS } from './formats.js'
import type { ForwardPort } from './forward-program.js'
import { frontProgram } from './front-program.js'
import { allowTarget, checkTarget } from './targets.js'

/** A device with a flow table in front of a program of somebody else's. */
export interface FrontDevice extends Omit<ForwardPort, 'reversePath'> {
  readonly name: string
}

/** One flow table in front of the programs of several devices. */
export interface Front {
  readonly flows: DriverFlows
  /** What is no flow's goes to this program, at device `place` in the order of the devices. */
  follow(place: number, program: LoadedProgram): void
  /** Puts the table in front of device `place`. Throws LoadError. */
  attach(place: number): XdpMode
  /** After all are attached. Throws RedirectError where the others could not send to one. */
  open(): void
  /** The Ethernet address of device `place` has changed. */
  setMac(place: number, mac: Uint8Array): void
  /** Packets that were forwarded by flow. */
  packets(): number
  close(): void
}

/** Where the devices are, and how programs get there. */
export interface FrontOptions {
  readonly namespace?: NetworkNamespace
  /** `attachXdp` where nothing is said. */
  readonly attach?: Attach
}

/** Loads a flow table of `capacity` entries for each family; nothing is attached yet. Throws LoadError. */
export function openFront(
  devices: readonly FrontDevice[],
  capacity: number,
  { namespace, attach = attachXdp }: FrontOptions = {},
): Front {
  const inNamespace = <T>(run: () => T) => (namespace ? withNamespace(namespace, run) : run())
  const links = new Map<number, XdpLink>()
  /** Of each device; the maps are those of the first that was loaded, which is kept for them. */
  const programs: LoadedProgram[] = []
  let first: LoadedProgram | null = null
  const load = (device: FrontDevice, place: number) => {
    const program = loadProgram(frontProgram(device, place, capacity), first?.maps)
    first ??= program
    return program
  }
  const close = () => {
    for (const link of links.values()) link.close()
    links.clear()
    for (const program of programs.splice(0)) if (program !== first) program.close()
    first?.close()
  }
  try {
    for (const [place, device] of devices.entries()) programs.push(load(device, place))
  } catch (error) {
    close()
    throw error
  }
  const { maps } = first!
  const read = perCpuReader(maps.get(COUNTS)!)
  return {
    flows: openDriverFlows(maps),
    follow: (place, { fd }) => updateElement(maps.get(BEHIND)!.fd, word(place), word(fd)),
    attach(place) {
      const link = inNamespace(() => attach(programs[place]!, devices[place]!))
      links.set(place, link)
      return link.mode
    },
    open() {
      for (const device of devices) checkTarget(device, namespace)
      for (const { index } of devices) inNamespace(() => allowTarget(maps.get(PORTS)!, index))
    },
    setMac(place, mac) {
      const [before, next] = [programs[place]!, load({ ...devices[place]!, mac }, place)]
      links.get(place)?.replace(next)
      programs[place] = next
      if (before !== first) before.close()
    },
    packets: () => read()[COUNT['forwarded by flow'] / 8]!,
    close,
  }
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}
