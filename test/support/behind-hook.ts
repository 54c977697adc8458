import {
  alu64,
  assemble,
  atomic,
  call,
  exit,
  helperId,
  type Item,
  jumpIf,
  label,
  load,
  loadMapValue,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  store,
} from '../../src/ebpf/index.js'
import { withMapMemory } from '../../src/kernel/index.js'
import { attachTcx, loadProgram } from '../../src/loader/index.js'

/** What a program behind a device's XDP program has seen of packets of one length, wherever the kernel ran it. */
export interface BehindHook {
  /** Packets by the CPU that handled them. */
  cpus(): number[]
  /** Packets with metadata and without, and the last that was read there. */
  marks(): { readonly marked: number; readonly unmarked: number; readonly last: number }
  close(): void
}

const MAP = 'seen'
const MMAPABLE = 1 << 10
/** u64 each, then one for each CPU. */
const WORDS = { marked: 0, unmarked: 8, last: 16, cpus: 24 } as const
const MOST_CPUS = 512
const VALUE_BYTES = WORDS.cpus + MOST_CPUS * 8
/** Offsets in `struct __sk_buff` (include/uapi/linux/bpf.h). */
const SKB = { length: 0, data: 76, dataMeta: 140 } as const
const TCX_NEXT = -1

/** Attaches it to a device of the thread's namespace; it looks at frames of `lengthBytes` only. Throws LoadError. */
export function lookBehindHook(device: { name: string; index: number }, lengthBytes: number): BehindHook {
  const loaded = loadProgram(program(lengthBytes))
  const link = attachTcx(loaded, device)
  const read = () =>
    withMapMemory(loaded.maps.get(MAP)!.fd, VALUE_BYTES, (memory) => new BigUint64Array(memory.slice(0)))
  return {
    cpus: () => [...read().subarray(WORDS.cpus / 8)].map(Number),
    marks() {
      const [marked, unmarked, last] = [...read().subarray(0, 3)].map(Number)
      return { marked: marked!, unmarked: unmarked!, last: last! }
    },
    close() {
      link.close()
      loaded.close()
    },
  }
}

function program(lengthBytes: number): Program {
  const items: Item[] = [
    mov64(R6, R1),
    load('u32', R2, R6, SKB.length),
    jumpIf(R2, '!=', lengthBytes, 'end'),
    call(helperId('bpf_get_smp_processor_id')),
    jumpIf(R0, '>=', MOST_CPUS, 'end'),
    alu64('lsh', R0, 3),
    loadMapValue(R4, MAP),
    mov64(R3, R4),
    alu64('add', R3, R0),
    mov64(R1, 1),
    atomic('add', 'u64', R3, WORDS.cpus, R1),
    load('u32', R2, R6, SKB.dataMeta),
    load('u32', R3, R6, SKB.data),
    mov64(R0, R2),
    alu64('add', R0, 4),
    jumpIf(R0, '>', R3, 'unmarked'),
    load('u32', R2, R2, 0),
    store('u64', R4, WORDS.last, R2),
    atomic('add', 'u64', R4, WORDS.marked, R1),
    mov64(R0, TCX_NEXT),
    exit(),
    label('unmarked'),
    atomic('add', 'u64', R4, WORDS.unmarked, R1),
    label('end'),
    mov64(R0, TCX_NEXT),
    exit(),
  ]
  return {
    name: 'behind_hook',
    type: 'tcx',
    license: 'GPL',
    multiBuffer: false,
    maps: [{ name: MAP, kind: 'array', keyBytes: 4, valueBytes: VALUE_BYTES, maxEntries: 1, flags: MMAPABLE }],
    ...assemble(items),
  }
}
