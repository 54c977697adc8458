import {
  alu64,
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
  R0,
  R1,
  R2,
  R6,
  R10,
  RULE_ENDS,
  store,
} from '../../../ebpf/index.js'
import { type Parts, type PolicyLayout, SLOT_KEY } from './parts.js'

/** The map of the ends; any program of the same layout can go on with it. */
export function endMap({ slots }: PolicyLayout): MapSpec {
  return { name: RULE_ENDS, kind: 'array', keyBytes: 4, valueBytes: 8, maxEntries: slots }
}

/** Goes to `next` where the time of the rule in SLOT_KEY is over. */
export function checkLifetime(parts: Parts, next: string): Item[] {
  return [
    load('u32', R1, R10, SLOT_KEY),
    callLocal(parts.useFunction('is over', () => isOverFunction(parts))),
    jumpIf(R0, '!=', 0, next),
  ]
}

/** bool isOver(slot). */
function isOverFunction(parts: Parts): Item[] {
  parts.useMap(endMap(parts.layout))
  return [
    store('u32', R10, SLOT_KEY, R1),
    mov64(R2, R10),
    alu64('add', R2, SLOT_KEY),
    loadMap(R1, RULE_ENDS),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, 'not over'),
    load('u64', R6, R0, 0),
    jumpIf(R6, '==', 0, 'not over'),
    call(helperId('bpf_ktime_get_boot_ns')),
    jumpIf(R0, '<', R6, 'not over'),
    mov64(R0, 1),
    exit(),
    label('not over'),
    mov64(R0, 0),
    exit(),
  ]
}
