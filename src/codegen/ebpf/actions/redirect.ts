import {
  atomic,
  call,
  DIVERT_SOCKETS,
  exit,
  helperId,
  type Item,
  jump,
  jumpIf,
  label,
  load,
  loadMap,
  loadMapValue,
  type MapSpec,
  mov64,
  POLICY_STATE,
  R0,
  R1,
  R2,
  R3,
  R10,
  STATE,
  store,
} from '../../../ebpf/index.js'
import type { RuleAction } from './action.js'
import { countAtEnd } from './count.js'
import { writeMetadata } from './metadata.js'
import { CONTEXT, type Parts, type PolicyLayout, STATE_MAP, XDP_DROP, XDP_MD, XDP_PASS } from './parts.js'

/** CPUMAP: key u32 CPU, value u32 length of its queue. */
export const STEER_CPUS = 'steer_cpus'
/** DEVMAP: key u32 index among the program's devices, value u32 interface index. */
export const FORWARD_DEVICES = 'forward_devices'

/** Where the map's key lies on the stack while the packet is counted. */
const TARGET = -16

/** The AF_XDP sockets' map; it is kept while programs are swapped. */
export function socketMap({ queues }: PolicyLayout): MapSpec {
  return { name: DIVERT_SOCKETS, kind: 'xskmap', keyBytes: 4, valueBytes: 4, maxEntries: queues }
}

/** The CPUs' map; it is kept while programs are swapped, because each entry is a kernel thread with a queue. */
export function cpuMap({ cpus }: PolicyLayout): MapSpec {
  return { name: STEER_CPUS, kind: 'cpumap', keyBytes: 4, valueBytes: 4, maxEntries: cpus }
}

type Redirect = Extract<RuleAction, { kind: 'divert' | 'steer' | 'forward' }>

/**
 * Hands the packet over, and passes it where the map has no such target: a socket that is gone stops nothing. Only
 * where the policy says so, what is diverted is dropped and counted then.
 */
export function redirect(parts: Parts, action: Redirect, devices: readonly number[]): Item[] {
  switch (action.kind) {
    case 'divert':
      parts.useMap(socketMap(parts.layout))
      return [
        ...(parts.writesMetadata ? writeMetadata(parts) : []),
        load('u32', R1, CONTEXT, XDP_MD.receiveQueue),
        store('u64', R10, TARGET, R1),
        jump(parts.dropsWithoutSocket ? toSocketAlone(parts) : endingFor(parts, DIVERT_SOCKETS)),
      ]
    case 'steer':
      parts.useMap(cpuMap(parts.layout))
      return [store('u64', R10, TARGET, action.cpu), jump(endingFor(parts, STEER_CPUS))]
    case 'forward':
      parts.useMap({
        name: FORWARD_DEVICES,
        kind: 'devmap',
        keyBytes: 4,
        valueBytes: 4,
        maxEntries: devices.length,
      })
      return [
        store('u64', R10, TARGET, devices.indexOf(action.interfaceIndex)),
        jump(endingFor(parts, FORWARD_DEVICES)),
      ]
  }
}

function endingFor(parts: Parts, map: string): string {
  return parts.useEnding(`to ${map}`, () => [...countAtEnd(parts), ...redirectTo(map, XDP_PASS), exit()])
}

/** The verdict in R0, `otherwise` where the map has no such target. */
function redirectTo(map: string, otherwise: number): Item[] {
  return [loadMap(R1, map), load('u64', R2, R10, TARGET), mov64(R3, otherwise), call(helperId('bpf_redirect_map'))]
}

function toSocketAlone(parts: Parts): string {
  parts.useMap(STATE_MAP)
  const done = parts.uniqueLabel()
  return parts.useEnding(`to ${DIVERT_SOCKETS}`, () => [
    ...countAtEnd(parts),
    ...redirectTo(DIVERT_SOCKETS, XDP_DROP),
    jumpIf(R0, '!=', XDP_DROP, done),
    loadMapValue(R1, POLICY_STATE),
    mov64(R2, 1),
    atomic('add', 'u64', R1, STATE.withoutSocket, R2),
    label(done),
    exit(),
  ])
}
