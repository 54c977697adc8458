import { RULE_COUNTERS } from '../src/codegen/index.js'
import {
  alu64,
  assemble,
  call,
  exit,
  helperId,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMap,
  type MapSpec,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R7,
  R8,
  R10,
  store,
} from '../src/ebpf/index.js'

/** The map of the program below; a key is the address, in the trie with its length before it. */
export const PEER_MAP = 'peer'

const NO_PREALLOCATION = 1
const SOURCE_AT = 26
const IPV4 = 0x0008
const [XDP_DROP, XDP_PASS] = [1, 2]
/** Stack: the counter's key, and the map's. */
const [COUNTER_KEY, KEY] = [-4, -16]

/** Drops and counts, as a compiled rule does, what comes from an IPv4 address in one of the kernel's own maps. */
export function kernelMapProgram(kind: 'hash' | 'lpm-trie', entries: number): Program {
  const counters: MapSpec = { name: RULE_COUNTERS, kind: 'percpu-array', keyBytes: 4, valueBytes: 16, maxEntries: 1 }
  const shape =
    kind === 'hash' ? ({ keyBytes: 4, flags: 0 } as const) : ({ keyBytes: 8, flags: NO_PREALLOCATION } as const)
  const items = [
    load('u32', R7, R1, 0),
    load('u32', R8, R1, 4),
    mov64(R0, R7),
    alu64('add', R0, SOURCE_AT + 4),
    jumpIf(R0, '>', R8, 'pass'),
    load('u16', R0, R7, 12),
    jumpIf32(R0, '!=', IPV4, 'pass'),
    load('u32', R0, R7, SOURCE_AT),
    ...(kind === 'hash' ? [store('u32', R10, KEY, R0)] : [store('u32', R10, KEY, 32), store('u32', R10, KEY + 4, R0)]),
    mov64(R2, R10),
    alu64('add', R2, KEY),
    loadMap(R1, PEER_MAP),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, 'pass'),
    store('u32', R10, COUNTER_KEY, 0),
    mov64(R2, R10),
    alu64('add', R2, COUNTER_KEY),
    loadMap(R1, RULE_COUNTERS),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, 'drop'),
    load('u64', R1, R0, 0),
    alu64('add', R1, 1),
    store('u64', R0, 0, R1),
    alu64('sub', R8, R7),
    load('u64', R1, R0, 8),
    alu64('add', R1, R8),
    store('u64', R0, 8, R1),
    label('drop'),
    mov64(R0, XDP_DROP),
    exit(),
    label('pass'),
    mov64(R0, XDP_PASS),
    exit(),
  ]
  const peer: MapSpec = { name: PEER_MAP, kind, valueBytes: 1, maxEntries: entries, ...shape }
  return { name: 'peer', type: 'xdp', license: 'GPL', multiBuffer: false, maps: [counters, peer], ...assemble(items) }
}
