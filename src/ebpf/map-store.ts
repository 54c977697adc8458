import { type Memory, openRegion, REGION_SHIFT } from './memory.js'
import type { MapSpec } from './program.js'

/** Error numbers that map operations return, negated (include/uapi/asm-generic/errno-base.h). */
const ENOENT = -2
const E2BIG = -7
const EEXIST = -17
const EINVAL = -22
const ENOSPC = -28

/** Flags of an update (include/uapi/linux/bpf.h). */
const NO_EXIST = 1
const EXIST = 2

/**
 * A map inside the interpreter. A per-CPU map has the one value of the one CPU.
 * The values of a map lie side by side in one region, so an access that leaves
 * its value for the next one is no fault here, only in the verifier.
 */
export interface MapStore {
  readonly spec: MapSpec
  /** Address of the first value, for programs that read an array without a call. */
  readonly valuesAddress: number
  /** Number of the entry whose key lies at `keyAt`, or -1. */
  find(keyAt: number): number
  /** 0, or a negative error number; copies the value that lies at `valueAt`. */
  put(keyAt: number, valueAt: number, flags: number): number
  /** 0, or a negative error number. */
  remove(keyAt: number): number
  /** Index in memory of an entry's value. */
  valueAt(entry: number): number
  /** Address of an entry's value. */
  addressOf(entry: number): number
  /** Entries with their keys. */
  entries(): Iterable<readonly [key: Uint8Array, entry: number]>
}

/** Bytes that the values take: each is rounded up to 8, as in the kernel. */
export function valuesBytes(spec: MapSpec): number {
  return strideOf(spec) * spec.maxEntries
}

/** Puts a map's values at `at` in memory, behind the region number `region`. */
export function createMapStore(spec: MapSpec, memory: Memory, at: number, region: number): MapStore {
  openRegion(memory, region, at, valuesBytes(spec))
  if (spec.contents !== undefined) memory.bytes.set(spec.contents.bytes, at + spec.contents.at)
  const stride = strideOf(spec)
  const valuesAddress = (region << REGION_SHIFT) | 0
  const shared = {
    spec,
    valuesAddress,
    valueAt: (entry: number) => at + entry * stride,
    addressOf: (entry: number) => (valuesAddress + entry * stride) | 0,
  }
  const copy = (entry: number, valueAt: number) =>
    memory.bytes.copyWithin(at + entry * stride, valueAt, valueAt + spec.valueBytes)
  switch (spec.kind) {
    case 'array':
    case 'percpu-array':
      return { ...shared, ...arrayEntries(spec, memory, copy) }
    case 'devmap':
    case 'cpumap':
    case 'xskmap':
      return { ...shared, ...tableEntries(spec, memory, copy, indexKey(spec, memory)) }
    case 'lpm-trie':
      return { ...shared, ...prefixEntries(spec, memory, copy) }
    default:
      return { ...shared, ...tableEntries(spec, memory, copy, (keyAt) => keyOf(memory.bytes, keyAt, spec.keyBytes)) }
  }
}

type Entries = Pick<MapStore, 'find' | 'put' | 'remove' | 'entries'>
type Copy = (entry: number, valueAt: number) => void
type Key = string | number

function strideOf(spec: MapSpec): number {
  return (spec.valueBytes + 7) & ~7
}

function arrayEntries(spec: MapSpec, memory: Memory, copy: Copy): Entries {
  const indexAt = (keyAt: number) => memory.view.getUint32(keyAt, true)
  return {
    find: (keyAt) => (indexAt(keyAt) < spec.maxEntries ? indexAt(keyAt) : -1),
    put(keyAt, valueAt, flags) {
      if (flags > EXIST) return EINVAL
      if (indexAt(keyAt) >= spec.maxEntries) return E2BIG
      if (flags === NO_EXIST) return EEXIST
      copy(indexAt(keyAt), valueAt)
      return 0
    },
    remove: () => EINVAL,
    *entries() {
      for (let entry = 0; entry < spec.maxEntries; entry++) {
        yield [new Uint8Array(Uint32Array.of(entry).buffer), entry] as const
      }
    },
  }
}

/** Keys in a table, values wherever there is room. A key that `readKey` refuses is too large. */
function tableEntries(
  spec: MapSpec,
  memory: Memory,
  copy: Copy,
  readKey: (keyAt: number) => Key | undefined,
  full = E2BIG,
): Entries {
  const table = new Map<Key, number>()
  const keys: Uint8Array[] = []
  const free: number[] = []
  return {
    find(keyAt) {
      const key = readKey(keyAt)
      return key === undefined ? -1 : (table.get(key) ?? -1)
    },
    put(keyAt, valueAt, flags) {
      const key = readKey(keyAt)
      if (flags > EXIST) return EINVAL
      if (key === undefined) return E2BIG
      let entry = table.get(key)
      if (entry !== undefined && flags === NO_EXIST) return EEXIST
      if (entry === undefined) {
        if (flags === EXIST) return ENOENT
        if (table.size === spec.maxEntries) return full
        entry = free.pop() ?? table.size
        table.set(key, entry)
        keys[entry] = memory.bytes.slice(keyAt, keyAt + spec.keyBytes)
      }
      copy(entry, valueAt)
      return 0
    },
    remove(keyAt) {
      const key = readKey(keyAt)
      const entry = key === undefined ? undefined : table.get(key)
      if (entry === undefined) return ENOENT
      table.delete(key!)
      free.push(entry)
      return 0
    },
    *entries() {
      for (const entry of table.values()) yield [keys[entry], entry] as const
    },
  }
}

/**
 * Longest prefix match, the plain way: one table of prefixes, asked from the
 * longest length to the shortest. Key: 32-bit prefix length, then the address.
 */
function prefixEntries(spec: MapSpec, memory: Memory, copy: Copy): Entries {
  const bits = (spec.keyBytes - 4) * 8
  const masked = new Uint8Array(spec.keyBytes)
  const readPrefix = (keyAt: number, length: number): Key => {
    masked.fill(0)
    new DataView(masked.buffer).setUint32(0, length, true)
    for (let bit = 0; bit < length; bit += 8) {
      const mask = length - bit >= 8 ? 0xff : (0xff00 >> (length - bit)) & 0xff
      masked[4 + bit / 8] = memory.bytes[keyAt + 4 + bit / 8] & mask
    }
    return keyOf(masked, 0, spec.keyBytes)
  }
  const lengthAt = (keyAt: number) => memory.view.getUint32(keyAt, true)
  let asked = 0
  const readKey = (keyAt: number) => (lengthAt(keyAt) > bits ? undefined : readPrefix(keyAt, asked))
  const table = tableEntries(spec, memory, copy, readKey, ENOSPC)
  return {
    entries: table.entries,
    find(keyAt) {
      for (asked = Math.min(lengthAt(keyAt), bits); asked >= 0; asked--) {
        const entry = table.find(keyAt)
        if (entry >= 0) return entry
      }
      return -1
    },
    put(keyAt, valueAt, flags) {
      asked = lengthAt(keyAt)
      return asked > bits ? EINVAL : table.put(keyAt, valueAt, flags)
    },
    remove(keyAt) {
      asked = lengthAt(keyAt)
      return asked > bits ? EINVAL : table.remove(keyAt)
    },
  }
}

function indexKey(spec: MapSpec, memory: Memory): (keyAt: number) => Key | undefined {
  return (keyAt) => {
    const index = memory.view.getUint32(keyAt, true)
    return index < spec.maxEntries ? index : undefined
  }
}

/** A key as a value that a Map compares by content: a number where it fits, else one character a byte. */
function keyOf(bytes: Uint8Array, at: number, length: number): Key {
  if (length === 4) return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
  let key = ''
  for (let index = at; index < at + length; index++) key += String.fromCharCode(bytes[index])
  return key
}
