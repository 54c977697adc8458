import { AssemblerError } from './assembler-error.js'
import { execute, type Helper, type Machine } from './execute.js'
import { HELPER_NAMES } from './helper-names.js'
import { commonHelpers, mapHandle } from './helpers.js'
import type { Instruction } from './instruction.js'
import { createMapStore, type MapStore, valuesBytes } from './map-store.js'
import { allocateMemory, MAX_FRAMES, openRegion, REGION, REGION_SHIFT, regionsFor, STACK_BYTES } from './memory.js'
import { WIDE } from './opcodes.js'
import type { MapSpec, Program, Relocation } from './program.js'
import { translate } from './translate.js'
import { validate } from './validate.js'

/** What a run gave. The object belongs to the machine and is overwritten by its next run. */
export type Outcome =
  /** `value` and `high` are the low and the high word of R0, unsigned. */
  | { readonly kind: 'return'; readonly value: number; readonly high: number; readonly steps: number }
  /** What the verifier would have refused, in one sentence; `slot` is the instruction's. */
  | { readonly kind: 'fault'; readonly reason: string; readonly slot: number; readonly steps: number }

/** Settings of the interpreter. */
export interface InterpreterOptions {
  /** Instructions after which a run is a fault; 1,000,000 unless told, as many as the verifier looks at. */
  readonly stepLimit?: number
  /** Helpers by number, added to those that are there or in their place. */
  readonly helpers?: Readonly<Record<number, Helper>>
  /** Nanoseconds since boot, for bpf_ktime_get_ns. */
  readonly clock?: () => number
  /** 32-bit numbers, for bpf_get_prandom_u32. */
  readonly random?: () => number
}

/** A map of the machine as its user sees it: keys and values are bytes of the sizes of its spec. */
export interface InterpreterMap {
  readonly spec: MapSpec
  /** The value in place, to be read or changed; undefined where there is none. */
  lookup(key: Uint8Array): Uint8Array | undefined
  /** Throws a RangeError when the map refuses the entry. */
  update(key: Uint8Array, value: Uint8Array): void
  /** Whether there was an entry. */
  delete(key: Uint8Array): boolean
  entries(): Iterable<readonly [key: Uint8Array, value: Uint8Array]>
}

/** The parts that the interpreters of the program types share. */
export interface Base {
  readonly machine: Machine
  readonly maps: ReadonlyMap<string, InterpreterMap>
  /** Index in memory of the bytes that the program type asked for. */
  readonly ownAt: number
}

type Code = Pick<Program, 'instructions' | 'relocations' | 'maps'>

const CLEAR_OF_THE_STACK = MAX_FRAMES * STACK_BYTES

/**
 * Memory, maps and helpers for a program, with `ownBytes` for the program type.
 * Throws an AssemblerError for a program that `validate` or `translate` refuses.
 */
export function createBase(
  program: Code,
  ownBytes: number,
  typeHelpers: Readonly<Record<number, Helper>>,
  options: InterpreterOptions,
): Base {
  validate(program.instructions)
  const scratchBytes = Math.max(16, ...program.maps.map((map) => round8(map.keyBytes) + map.valueBytes))
  const scratchAt = CLEAR_OF_THE_STACK
  const ownAt = scratchAt + round8(scratchBytes)
  const mapsAt = ownAt + round8(ownBytes)
  const total = program.maps.reduce((sum, map) => sum + valuesBytes(map), mapsAt)
  // Room for accesses of the host that end with the last byte.
  const memory = allocateMemory(total + 8)
  for (let frame = 0; frame < MAX_FRAMES; frame++) memory.base[REGION.stack + frame] = frame * STACK_BYTES
  memory.base[REGION.scratch] = scratchAt
  const stores = placeMaps(program.maps, memory, mapsAt)
  const { clock = () => performance.now() * 1e6, random = () => Math.random() * 2 ** 32 } = options
  const stepLimit = options.stepLimit ?? 1_000_000
  const machine: Machine = {
    ...translate(program.instructions, mapResolver(program, stores)),
    memory,
    helpers: helperTable({ ...commonHelpers({ maps: stores, clock, random }), ...typeHelpers, ...options.helpers }),
    helperName: (id) => `${HELPER_NAMES[id] ?? 'helper'}#${id}`,
    stepLimit,
    saved: new Int32Array(MAX_FRAMES * 9),
    returned: { kind: 'return', value: 0, high: 0, steps: 0 },
    faulted: { kind: 'fault', reason: '', slot: 0, steps: 0 },
  }
  const maps = new Map(stores.map((store) => [store.spec.name, createMapView(store, machine, scratchAt)]))
  return { machine, maps, ownAt }
}

/**
 * Runs plain code over plain memory, as the public conformance suite does: R1 is
 * the address of the memory, R2 its length in bytes; what the program stores is
 * written back to it. Throws as `createBase` does.
 */
export function runCode(
  instructions: readonly Instruction[],
  memory: Uint8Array = new Uint8Array(0),
  options: InterpreterOptions = {},
): Outcome {
  const { machine, ownAt } = createBase({ instructions, relocations: [], maps: [] }, memory.length, {}, options)
  openRegion(machine.memory, REGION.packet, ownAt, memory.length)
  machine.memory.bytes.set(memory, ownAt)
  machine.lo[1] = memory.length === 0 ? 0 : REGION.packet << REGION_SHIFT
  machine.lo[2] = memory.length
  const outcome = execute(machine)
  memory.set(machine.memory.bytes.subarray(ownAt, ownAt + memory.length))
  return outcome
}

function placeMaps(specs: readonly MapSpec[], memory: Machine['memory'], at: number): MapStore[] {
  let next = at
  let region: number = REGION.values
  return specs.map((spec) => {
    if (region + regionsFor(valuesBytes(spec)) > REGION.handles)
      throw new AssemblerError(`map '${spec.name}' is too large for the interpreter; give it fewer entries there`)
    const store = createMapStore(spec, memory, next, region)
    next += valuesBytes(spec)
    region += regionsFor(valuesBytes(spec))
    return store
  })
}

function mapResolver(program: Code, stores: readonly MapStore[]) {
  const names = new Map(program.relocations.map(({ slot, map }: Relocation) => [slot, map]))
  return (instruction: Instruction, slot: number): number => {
    const index = stores.findIndex((store) => store.spec.name === names.get(slot))
    if (index < 0)
      throw new AssemblerError(
        `slot ${slot}: the map '${names.get(slot) ?? 'without a name'}' is not among the program's maps`,
      )
    if (instruction.src === WIDE.mapFd) return mapHandle(index)
    return (stores[index].valuesAddress + (instruction.immHigh ?? 0)) | 0
  }
}

function helperTable(helpers: Readonly<Record<number, Helper>>): (Helper | undefined)[] {
  const table: (Helper | undefined)[] = new Array(HELPER_NAMES.length).fill(undefined)
  for (const [id, helper] of Object.entries(helpers)) table[Number(id)] = helper
  return table
}

function createMapView(store: MapStore, { memory }: Machine, keyAt: number): InterpreterMap {
  const { spec } = store
  const valueAt = keyAt + round8(spec.keyBytes)
  const valueIn = (entry: number) => memory.bytes.subarray(store.valueAt(entry), store.valueAt(entry) + spec.valueBytes)
  const put = (bytes: Uint8Array, at: number, length: number, what: string) => {
    if (bytes.length !== length)
      throw new RangeError(`a ${what} of map '${spec.name}' has ${length} bytes, not ${bytes.length}`)
    memory.bytes.set(bytes, at)
  }
  return {
    spec,
    lookup(key) {
      put(key, keyAt, spec.keyBytes, 'key')
      const entry = store.find(keyAt)
      return entry < 0 ? undefined : valueIn(entry)
    },
    update(key, value) {
      put(key, keyAt, spec.keyBytes, 'key')
      put(value, valueAt, spec.valueBytes, 'value')
      const error = store.put(keyAt, valueAt, 0)
      if (error < 0)
        throw new RangeError(
          `map '${spec.name}' refuses the entry with error ${error}; it has ${spec.maxEntries} at most`,
        )
    },
    delete(key) {
      put(key, keyAt, spec.keyBytes, 'key')
      return store.remove(keyAt) === 0
    },
    *entries() {
      for (const [key, entry] of store.entries()) yield [key, valueIn(entry)] as const
    },
  }
}

function round8(bytes: number): number {
  return (bytes + 7) & ~7
}
