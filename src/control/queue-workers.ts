import {
  type NetworkDevice,
  openTapDevice,
  openXdp,
  type TapDevice,
  type TapDeviceOptions,
  type XdpDeviceOptions,
  type XdpQueue,
} from '../device/index.js'
import type { Graph, WorkerDraft, WorkerHost } from '../engine/index.js'
import { divertInto, type LoadedMap } from '../loader/index.js'

/** What workers at the queues of a network device are started with. */
export interface XdpWorkerSettings extends Pick<XdpDeviceOptions, 'title' | 'entries' | 'zeroCopy' | 'needWakeup'> {
  readonly device: NetworkDevice
  /** Where the policy at the device looks for sockets: its `divertMap()`. */
  readonly sockets: LoadedMap
}

/** What workers at the queues of a TAP device are started with. */
export interface TapWorkerSettings {
  readonly tap: Omit<TapDeviceOptions, 'isMultiQueue' | 'queue'> & { readonly name: string }
}

type Drafts<Settings> = Readonly<Record<string, WorkerDraft<Settings>>>

/**
 * A worker for each of the first `count` queues of a network device, `queue 0`
 * and so on, for a plan. Each opens the AF_XDP socket of its queue itself, also
 * when it is started again; packets of further queues pass to the kernel.
 *
 *     export const plan = planWorkers(import.meta.url, xdpWorkers(2, (queue) => draw([receive(queue), reflect(), send(queue)])))
 */
export function xdpWorkers<Settings extends XdpWorkerSettings>(
  count: number,
  graph: (queue: XdpQueue, host: WorkerHost, settings: Settings) => Graph,
): Drafts<Settings> {
  return workersOf(
    count,
    (queue, { space, code, pool, keep }, settings: Settings) => {
      const divert = (number: number, fd: number | null) => divertInto(settings.sockets, number, fd)
      const open = () => openXdp(space, code, pool, settings.device, { ...settings, queues: [queue], divert })
      return keep(`sockets of queue ${queue}`, open).queues[0]!
    },
    graph,
  )
}

/**
 * A worker for each of `count` queues of a TAP device, `queue 0` and so on, for
 * a plan. The device is made by the first that starts, and is there as long as
 * one of them runs; the kernel shares flows out to those that do.
 */
export function tapWorkers<Settings extends TapWorkerSettings>(
  count: number,
  graph: (queue: TapDevice, host: WorkerHost, settings: Settings) => Graph,
): Drafts<Settings> {
  return workersOf(
    count,
    (queue, { space, code, pool, keep }, { tap }: Settings) => {
      return keep(`queue ${queue} of the TAP device`, () =>
        openTapDevice(space, code, pool, { ...tap, isMultiQueue: true, queue }),
      )
    },
    graph,
  )
}

function workersOf<Queue, Settings>(
  count: number,
  open: (queue: number, host: WorkerHost, settings: Settings) => Queue,
  graph: (queue: Queue, host: WorkerHost, settings: Settings) => Graph,
): Drafts<Settings> {
  const draft = (queue: number): WorkerDraft<Settings> => ({
    graph: (host, settings) => graph(open(queue, host, settings), host, settings),
  })
  return Object.fromEntries(Array.from({ length: count }, (_, queue) => [`queue ${queue}`, draft(queue)]))
}
