import type { Instruction } from './instruction.js'

export type MapKind =
  | 'array'
  | 'percpu-array'
  | 'hash'
  | 'percpu-hash'
  | 'lpm-trie'
  | 'ring-buffer'
  | 'devmap'
  | 'devmap-hash'
  | 'cpumap'
  | 'xskmap'
  | 'program-array'

/** A map as it should be; the loader makes the kernel object. Sizes in bytes. */
export interface MapSpec {
  readonly name: string
  readonly kind: MapKind
  readonly keyBytes: number
  readonly valueBytes: number
  readonly maxEntries: number
  readonly flags?: number
  /** What the first value holds from byte `at` on when the program starts; the rest is zero. */
  readonly contents?: { readonly at: number; readonly bytes: Uint8Array }
}

/** The `lddw` at slot `slot` takes the address of the map named `map`. */
export interface Relocation {
  readonly slot: number
  readonly map: string
}

/** Compiled code and the maps it needs, as a plain value: pure, comparable. */
export interface Program {
  readonly name: string
  /** `xdp` runs in the driver; `tcx` behind it, on the socket buffers that a device receives. */
  readonly type: 'xdp' | 'tcx'
  readonly license: string
  readonly instructions: readonly Instruction[]
  readonly relocations: readonly Relocation[]
  readonly maps: readonly MapSpec[]
  /** Accept multi-buffer frames (BPF_F_XDP_HAS_FRAGS), so jumbo MTUs attach. */
  readonly multiBuffer: boolean
}
