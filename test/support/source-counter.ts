import {
  alu32,
  alu64,
  assemble,
  atomic,
  call,
  exit,
  helperId,
  type Item,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMapValue,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R6,
  R7,
  store,
  toBigEndian,
} from '../../src/ebpf/index.js'
import { withMapMemory } from '../../src/kernel/index.js'
import { attachTcx, loadProgram } from '../../src/loader/index.js'

/**
 * What a device's XDP program has passed, counted by source in a program of its
 * own behind it, with the kernel's time of the first and the last packet. It
 * ends there. Nothing of it knows of limits.
 */
export interface SourceCounter {
  attach(device: { name: string; index: number }): { close(): void }
  /** By source, from the first address on; times in nanoseconds since boot, 0 where none came. */
  read(): { readonly packets: Float64Array; readonly firstNs: Float64Array; readonly lastNs: Float64Array }
  close(): void
}

const MAP = 'passed'
/** u64 each: packets, first, last. */
const ENTRY = { packets: 0, first: 8, last: 16, shift: 5 } as const
/** Offsets in `struct __sk_buff` (include/uapi/linux/bpf.h). */
const SKB = { data: 76, dataEnd: 80 } as const
/** enum tcx_action_base. */
const TCX = { pass: 0, drop: 2 } as const
const SOURCE_END = 30
const MMAPABLE = 1 << 10

/** Loads a counter for `sources` addresses from `firstAddress` on, a number in host order. Throws LoadError. */
export function loadSourceCounter(firstAddress: number, sources: number): SourceCounter {
  const loaded = loadProgram(counterProgram(firstAddress, sources))
  const map = loaded.maps.get(MAP)!
  return {
    attach: (device) => attachTcx(loaded, device),
    read: () =>
      withMapMemory(map.fd, map.spec.valueBytes, (memory) => {
        const words = new BigUint64Array(memory)
        const column = (offset: number) =>
          Float64Array.from({ length: sources }, (_, source) => Number(words[((source << ENTRY.shift) + offset) / 8]))
        return { packets: column(ENTRY.packets), firstNs: column(ENTRY.first), lastNs: column(ENTRY.last) }
      }),
    close: () => loaded.close(),
  }
}

function counterProgram(firstAddress: number, sources: number): Program {
  const items: Item[] = [
    load('u32', R6, R1, SKB.data),
    load('u32', R2, R1, SKB.dataEnd),
    mov64(R0, R6),
    alu64('add', R0, SOURCE_END),
    jumpIf(R0, '>', R2, 'other'),
    load('u16', R0, R6, 12),
    // EtherType 0x0800 as a little-endian machine reads it.
    jumpIf32(R0, '!=', 0x0008, 'other'),
    load('u32', R6, R6, 26),
    toBigEndian(32, R6),
    alu32('sub', R6, firstAddress),
    jumpIf(R6, '>=', sources, 'other'),
    alu64('lsh', R6, ENTRY.shift),
    loadMapValue(R7, MAP),
    alu64('add', R7, R6),
    call(helperId('bpf_ktime_get_ns')),
    store('u64', R7, ENTRY.last, R0),
    mov64(R1, 1),
    atomic('fetch add', 'u64', R7, ENTRY.packets, R1),
    jumpIf(R1, '!=', 0, 'counted'),
    store('u64', R7, ENTRY.first, R0),
    label('counted'),
    mov64(R0, TCX.drop),
    exit(),
    label('other'),
    mov64(R0, TCX.pass),
    exit(),
  ]
  const valueBytes = sources << ENTRY.shift
  return {
    name: 'sluice_passed',
    type: 'tcx',
    license: 'GPL',
    multiBuffer: false,
    maps: [{ name: MAP, kind: 'array', keyBytes: 4, valueBytes, maxEntries: 1, flags: MMAPABLE }],
    ...assemble(items),
  }
}
