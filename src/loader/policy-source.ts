import { randomFillSync } from 'node:crypto'
import { COUNTER_BYTES, type MapEntry, type PolicyProgram, STATE } from '../ebpf/index.js'
import { bootTimeNs, deleteElement, lookupElement, updateElement } from '../kernel/index.js'
import type { SetContents } from '../policy/index.js'
import { perCpuReader } from './counters.js'
import { describePolicyFailure, LoadError } from './errors.js'
import { type LoadedMap, type LoadedProgram, loadProgram } from './load.js'

/** A rule as far as loading it goes. */
export interface PolicyRule {
  /** For messages. */
  readonly name: string
  /** What has to be the same for its counters to go on: its name and what it says, no two rules alike. */
  readonly identity: string
  /** Milliseconds from when it is first loaded; null for a rule that is compiled without an end. */
  readonly endsInMs: number | null
}

/** A policy that can be compiled for slots that the loader chooses. */
export interface PolicySource {
  /** So many rules in front are not the operator's own: messages count from behind them. */
  readonly inFront: number
  readonly rules: readonly PolicyRule[]
  /**
   * The program of the first `slots.length` rules, rule `i` with `slots[i]`,
   * for per-rule maps of `capacity` entries. Fewer are asked for only to find
   * out which rule the kernel refuses.
   */
  compile(slots: readonly number[], capacity: number): PolicyProgram
  /** What each of the policy's sets holds. */
  readonly sets: ReadonlyMap<string, SetContents>
  /** This policy where one of its sets holds something else. Throws RangeError for a name that no set of it has. */
  withSet(name: string, contents: SetContents): PolicySource
  /** The maps that the set is looked up in, where a rule asks for it, and what half of each has to hold. */
  setImages(name: string): readonly { readonly map: string; image(): Uint8Array }[]
}

/** What a rule has counted; `over` is what its limit did not let through. */
export interface PolicyCount {
  readonly packets: number
  readonly bytes: number
  readonly overPackets: number
  readonly overBytes: number
}

const COUNTER_WORDS = COUNTER_BYTES / 8

/** A reader of all counters of a map, as rows of four sums by slot. */
export function policyCountReader(map: LoadedMap): () => (slot: number) => PolicyCount {
  const read = perCpuReader(map)
  return () => {
    const sums = read()
    return (slot) => {
      const [packets, bytes, overPackets, overBytes] = sums.subarray(slot * COUNTER_WORDS, (slot + 1) * COUNTER_WORDS)
      return { packets: packets!, bytes: bytes!, overPackets: overPackets!, overBytes: overBytes! }
    }
  }
}

/** Two counts of the same rule, from maps that followed each other. */
export function addCounts(one: PolicyCount, other: PolicyCount): PolicyCount {
  return {
    packets: one.packets + other.packets,
    bytes: one.bytes + other.bytes,
    overPackets: one.overPackets + other.overPackets,
    overBytes: one.overBytes + other.overBytes,
  }
}

/** Writes when a rule ends, on the kernel's clock; null: never. Programs that run see it with their next packet. */
export function writeEnd(map: LoadedMap, slot: number, endsInMs: number | null): void {
  const end = endsInMs === null ? 0n : BigInt(Math.max(1, Math.round(bootTimeNs() + endsInMs * 1e6)))
  updateElement(map.fd, u32(slot), new Uint8Array(BigUint64Array.of(end).buffer))
}

/** Milliseconds from `nowNs`, on the kernel's clock, until a rule ends, 0 where it has; null: never. */
export function readEnd({ fd }: LoadedMap, slot: number, nowNs: number): number | null {
  const value = new Uint8Array(8)
  lookupElement(fd, u32(slot), value)
  const end = Number(new DataView(value.buffer).getBigUint64(0, true))
  return end === 0 ? null : Math.max(0, (end - nowNs) / 1e6)
}

/** The same end in another map. */
export function copyEnd(from: LoadedMap, to: LoadedMap, slot: number): void {
  const end = new Uint8Array(8)
  if (lookupElement(from.fd, u32(slot), end)) updateElement(to.fd, u32(slot), end)
}

/** As `LoadedPolicy.divertTo`, with the map of `LoadedPolicy.divertMap`, from any thread. */
export function divertInto({ fd, spec }: LoadedMap, queue: number, socketFd: number | null): void {
  if (!(Number.isInteger(queue) && queue >= 0 && queue < spec.maxEntries))
    throw new RangeError(`there is no receive queue ${queue} to divert from: they are 0 to ${spec.maxEntries - 1}`)
  if (socketFd === null) deleteElement(fd, u32(queue))
  else updateElement(fd, u32(queue), u32(socketFd))
}

/** As `LoadedPolicy.putBehind`, with the map of programs, where the policy has one. */
export function programInto(programs: LoadedMap | undefined, place: number, { fd }: LoadedProgram): void {
  if (programs === undefined || !(Number.isInteger(place) && place >= 0 && place < programs.spec.maxEntries))
    throw new RangeError(`the policy has no device ${place} with a program behind it; name it in "behind"`)
  updateElement(programs.fd, u32(place), u32(fd))
}

/** Makes a new state with a secret that nobody can choose limit keys by. */
export function seedState(map: LoadedMap): void {
  const state = new Uint8Array(map.spec.valueBytes)
  randomFillSync(state, STATE.seed, 8)
  updateElement(map.fd, u32(0), state)
}

/** Writes what the program's maps have to hold. An element that is there already stays: a CPU's queue is not emptied. */
export function writeEntries(maps: ReadonlyMap<string, LoadedMap>, entries: readonly MapEntry[]): void {
  for (const { map, key, value } of entries) {
    const { fd, spec } = maps.get(map)!
    const before = new Uint8Array(spec.valueBytes)
    if (lookupElement(fd, u32(key), before) && new DataView(before.buffer).getUint32(0, true) === value) continue
    updateElement(fd, u32(key), u32(value))
  }
}

/**
 * The error to throw for a policy that the kernel's verifier refused: it names
 * the first rule without which the rules before it load. Other errors stay.
 */
export function nameRefusedRule({ rules, inFront, compile }: PolicySource, capacity: number, error: unknown): unknown {
  if (!(error instanceof LoadError) || (error.log === '' && error.code !== 'E2BIG')) return error
  const loads = (count: number) => {
    try {
      const slots = rules.slice(0, count).map((_, index) => index)
      loadProgram(compile(slots, capacity)).close()
      return true
    } catch (refusal) {
      if (refusal instanceof LoadError) return false
      throw refusal
    }
  }
  let [good, bad] = [0, rules.length]
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (loads(middle)) good = middle
    else bad = middle
  }
  return describePolicyFailure(bad - inFront, rules[bad - 1]!.name, error)
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}
