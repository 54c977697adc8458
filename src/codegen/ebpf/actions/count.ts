import {
  alu64,
  COUNTER_BYTES,
  call,
  callLocal,
  exit,
  helperId,
  type Item,
  jumpIf,
  label,
  load,
  loadMap,
  type MapSpec,
  mov64,
  POLICY_COUNTERS,
  R0,
  R1,
  R2,
  R3,
  R6,
  R7,
  R10,
  type Register,
  store,
} from '../../../ebpf/index.js'
import { type Parts, type PolicyLayout, SLOT_KEY } from './parts.js'

const OVER = 16

/** The counters' map; any program of the same layout can go on with it. */
export function counterMap({ slots }: PolicyLayout): MapSpec {
  return { name: POLICY_COUNTERS, kind: 'percpu-array', keyBytes: 4, valueBytes: COUNTER_BYTES, maxEntries: slots }
}

/** Counts the packet for the rule in SLOT_KEY, by a call, for rules after which the list goes on. */
export function countAndGoOn(parts: Parts, over: Register | null): Item[] {
  return [
    ...(over === null ? [] : [store('u64', R10, OVER_FLAG, over)]),
    ...parts.lengthInto(R2),
    load('u32', R1, R10, SLOT_KEY),
    over === null ? mov64(R3, 0) : load('u64', R3, R10, OVER_FLAG),
    callLocal(parts.useFunction('count', () => countFunction(parts))),
  ]
}

/** On the stack while the length is asked for. */
const OVER_FLAG = -16

/** void count(slot, bytes, over). */
function countFunction(parts: Parts): Item[] {
  return [
    store('u32', R10, SLOT_KEY, R1),
    mov64(R6, R2),
    mov64(R7, R3),
    ...findCounters(parts, 'count end'),
    ...addTo(R0, 0, R6),
    jumpIf(R7, '==', 0, 'count end'),
    ...addTo(R0, OVER, R6),
    label('count end'),
    mov64(R0, 0),
    exit(),
  ]
}

/** Counts the packet for the rule in SLOT_KEY where the program ends, without a call. Changes R0 to R5 and PACKET. */
export function countAtEnd(parts: Parts): Item[] {
  const end = parts.uniqueLabel()
  return [...parts.lengthInto(R0), mov64(R7, R0), ...findCounters(parts, end), ...addTo(R0, 0, R7), label(end)]
}

function findCounters(parts: Parts, missing: string): Item[] {
  parts.useMap(counterMap(parts.layout))
  return [
    mov64(R2, R10),
    alu64('add', R2, SLOT_KEY),
    loadMap(R1, POLICY_COUNTERS),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, missing),
  ]
}

function addTo(counters: Register, offset: number, bytes: Register): Item[] {
  return [
    load('u64', R1, counters, offset),
    alu64('add', R1, 1),
    store('u64', counters, offset, R1),
    load('u64', R1, counters, offset + 8),
    alu64('add', R1, bytes),
    store('u64', counters, offset + 8, R1),
  ]
}
