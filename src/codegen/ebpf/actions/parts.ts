import {
  alu64,
  call,
  helperId,
  type Item,
  label,
  load,
  type MapSpec,
  mov64,
  POLICY_STATE,
  R0,
  R1,
  R6,
  type Register,
  STATE,
} from '../../../ebpf/index.js'
import { PACKET, PACKET_END, WIRE_LENGTH } from '../evaluate.js'

/** The register of `struct xdp_md`, which actions need for their helpers. */
export const CONTEXT = R6

/** Offsets in `struct xdp_md` (include/uapi/linux/bpf.h). */
export const XDP_MD = { data: 0, dataEnd: 4, dataMeta: 8, receiveQueue: 16 } as const

/** Verdicts (enum xdp_action). */
export const XDP_DROP = 1
export const XDP_PASS = 2

/** Where the slot of the rule that matched lies on the stack. */
export const SLOT_KEY = -4

/** Sizes that stay the same while programs are swapped, because maps are kept. */
export interface PolicyLayout {
  /** Rules that the per-rule maps have room for. */
  readonly slots: number
  readonly limitTable: LimitTable
  /** Bytes of the ring buffer for samples: a power of two, and whole pages. */
  readonly sampleBytes: number
  /** CPUs that can be steered to are below this. */
  readonly cpus: number
  /** Receive queues that can be diverted from are below this. */
  readonly queues: number
}

/** Where limits keep a bucket for each key. */
export interface LimitTable {
  /** Buckets, 16 bytes each: a power of two, at least 8. */
  readonly entries: number
  /**
   * What a key without a bucket meets when all that it could have are in use:
   * the rule's one bucket for such keys, the drop, or the bucket of another
   * key, which then has a full burst again when it comes back.
   */
  readonly whenFull: 'share' | 'drop' | 'replace'
}

/** The map of what is one for the whole policy. */
export const STATE_MAP: MapSpec = {
  name: POLICY_STATE,
  kind: 'array',
  keyBytes: 4,
  valueBytes: STATE.size,
  maxEntries: 1,
}

/** A program under construction: what the actions of its rules add beside their own code. */
export interface Parts {
  readonly layout: PolicyLayout
  /** Whether what is diverted carries frame metadata. */
  readonly writesMetadata: boolean
  /** Whether what is diverted is dropped where its receive queue has no socket; else it passes. */
  readonly dropsWithoutSocket: boolean
  /** The map of this name is among the program's. */
  useMap(spec: MapSpec): void
  /** The name of a function that is emitted once, behind the program; it ends with `exit`. */
  useFunction(name: string, body: () => Item[]): string
  /** The label of code that is emitted once, behind the last rule; it ends the program. */
  useEnding(name: string, body: () => Item[]): string
  uniqueLabel(): string
  /** The packet's length on the wire into `register`; may change R0 to R5. */
  lengthInto(register: Register): Item[]
}

/** What emitPolicy knows when it starts. */
export interface PartsNeeds {
  readonly layout: PolicyLayout
  readonly multiBuffer: boolean
  readonly writesMetadata: boolean
  readonly dropsWithoutSocket: boolean
  /** Whether WIRE_LENGTH holds the length already. */
  readonly hasLength: boolean
}

/** Parts, and what was collected in them. */
export function createParts({ layout, multiBuffer, writesMetadata, dropsWithoutSocket, hasLength }: PartsNeeds) {
  const maps = new Map<string, MapSpec>()
  const functions = new Map<string, readonly Item[]>()
  const endings = new Map<string, readonly Item[]>()
  let labels = 0
  const once = (blocks: Map<string, readonly Item[]>, name: string, body: () => Item[]) => {
    if (!blocks.has(name)) blocks.set(name, [label(name), ...body()])
    return name
  }
  const parts: Parts = {
    layout,
    writesMetadata,
    dropsWithoutSocket,
    useMap: (spec) => void maps.set(spec.name, spec),
    useFunction: (name, body) => once(functions, name, () => scoped(body(), name)),
    useEnding: (name, body) => once(endings, name, body),
    uniqueLabel: () => `place ${labels++}`,
    lengthInto(register) {
      if (hasLength) return [mov64(register, WIRE_LENGTH)]
      if (multiBuffer) {
        const ask = [mov64(R1, CONTEXT), call(helperId('bpf_xdp_get_buff_len'))]
        return register === R0 ? ask : [...ask, mov64(register, R0)]
      }
      return [mov64(register, PACKET_END), alu64('sub', register, PACKET)]
    },
  }
  return {
    parts,
    maps: () => [...maps.values()],
    functions: () => [...functions.values()].flat(),
    endings: () => [...endings.values()].flat(),
  }
}

/** Packet pointers from the context, after a helper that moves them. */
export function reloadPacket(): Item[] {
  return [load('u32', PACKET, CONTEXT, XDP_MD.data), load('u32', PACKET_END, CONTEXT, XDP_MD.dataEnd)]
}

/** The same code with labels of its own, so that they can be there more than once in a program. */
export function scoped(items: readonly Item[], scope: string): Item[] {
  return items.map((item) => {
    if (!('kind' in item) || item.kind === 'map') return item
    if (item.kind === 'label') return { ...item, name: `${scope}: ${item.name}` }
    return { ...item, target: `${scope}: ${item.target}` }
  })
}
