import {
  alu64,
  BEHIND_PROGRAMS,
  call,
  exit,
  helperId,
  type Item,
  jump,
  jumpIf32,
  label,
  load,
  loadMap,
  type MapSpec,
  mov64,
  POLICY_STATE,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  type Register,
  STATE,
} from '../../../ebpf/index.js'
import { PACKET, PACKET_END, WIRE_LENGTH } from '../evaluate.js'

/** The register of `struct xdp_md`, which actions need for their helpers. */
export const CONTEXT = R6

/** Offsets in `struct xdp_md` (include/uapi/linux/bpf.h). */
export const XDP_MD = { data: 0, dataEnd: 4, dataMeta: 8, device: 12, receiveQueue: 16 } as const

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
  /** Ends the program for a packet that passes. */
  pass(): Item[]
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
  /** Interface indices of devices whose packets go on to a program of their own where they pass; null: all pass to the kernel. */
  readonly behind: readonly number[] | null
}

/** Parts, and what was collected in them. */
export function createParts({
  layout,
  multiBuffer,
  writesMetadata,
  dropsWithoutSocket,
  hasLength,
  behind,
}: PartsNeeds) {
  const maps = new Map<string, MapSpec>()
  const functions = new Map<string, readonly Item[]>()
  const endings = new Map<string, readonly Item[]>()
  let labels = 0
  const once = (blocks: Map<string, readonly Item[]>, name: string, body: () => Item[]) => {
    if (!blocks.has(name)) blocks.set(name, [label(name), ...body()])
    return name
  }
  // It is there also where no packet passes today: who swaps the program goes on with the map.
  if (behind !== null) maps.set(BEHIND_PROGRAMS, behindMap(behind))
  const parts: Parts = {
    layout,
    writesMetadata,
    dropsWithoutSocket,
    useMap: (spec) => void maps.set(spec.name, spec),
    useFunction: (name, body) => once(functions, name, () => scoped(body(), name)),
    useEnding: (name, body) => once(endings, name, body),
    uniqueLabel: () => `place ${labels++}`,
    pass: () => (behind === null ? [...PASS] : [jump(once(endings, 'behind', () => [...goBehind(behind), ...PASS]))]),
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

const PASS: readonly Item[] = [mov64(R0, XDP_PASS), exit()]

function behindMap({ length }: readonly number[]): MapSpec {
  return { name: BEHIND_PROGRAMS, kind: 'program-array', keyBytes: 4, valueBytes: 4, maxEntries: length }
}

/**
 * Ends in the program behind this one at the packet's device; goes on where there is none. Each call has its place as a
 * constant, which the kernel's compiler turns into a jump to that program.
 */
function goBehind(devices: readonly number[]): Item[] {
  return [
    load('u32', R4, CONTEXT, XDP_MD.device),
    ...devices.flatMap((index, place) => {
      const other = `not device ${index}`
      return [
        jumpIf32(R4, '!=', index, other),
        mov64(R1, CONTEXT),
        loadMap(R2, BEHIND_PROGRAMS),
        mov64(R3, place),
        call(helperId('bpf_tail_call')),
        jump('no program'),
        label(other),
      ]
    }),
    label('no program'),
  ]
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
