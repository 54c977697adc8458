import {
  BEHIND_PROGRAMS,
  DIVERT_SOCKETS,
  type MapSpec,
  POLICY_COUNTERS,
  POLICY_STATE,
  type PolicyProgram,
  RULE_BUCKETS,
  RULE_ENDS,
  SAMPLES,
  STATE,
} from '../ebpf/index.js'
import { bootTimeNs, closeBpf, lookupElement, waitForRunningPrograms } from '../kernel/index.js'
import { changeContents, type PrefixList, type SetChange, type SetContents } from '../policy/index.js'
import { type Attach, attachXdp, type XdpLink, type XdpMode } from './attach.js'
import { fitsInto, type Replacement, replaceAllContents } from './contents.js'
import { type LoadedMap, type LoadedProgram, loadProgram, makeMap } from './load.js'
import { assignSlots, type Slots, startSlots } from './policy-slots.js'
import {
  addCounts,
  copyEnd,
  divertInto,
  nameRefusedRule,
  type PolicyCount,
  type PolicySource,
  policyCountReader,
  programInto,
  readEnd,
  seedState,
  writeEnd,
  writeEntries,
} from './policy-source.js'
import { createSampleReader, type Sample } from './samples.js'

/**
 * A policy in the kernel. It owns the maps that outlive a program: counters,
 * ends, buckets, samples. All of it is given back by `close`.
 */
export interface LoadedPolicy {
  /** The program that is in force. */
  readonly program: LoadedProgram
  /** Puts the policy before a device, by `how`; `replace` then changes it there too. Throws LoadError. */
  attach(
    device: { readonly name: string; readonly index: number },
    mode?: XdpMode,
    how?: Attach,
  ): Pick<XdpLink, 'mode' | 'isAttached' | 'close'>
  /**
   * What passes at the device of this place in the source's `behind` goes on to
   * `program` from now on, in one step. Stays over `replace`. Throws RangeError
   * for any other place, KernelError for a program that does not fit.
   */
  putBehind(place: number, program: LoadedProgram): void
  /**
   * Changes the policy in one step for each device: a packet meets the old one
   * or the new one. Rules that stay keep their counters, ends and buckets.
   * Whatever it throws, the old policy stays as it was; only where the counters
   * that it leaves cannot be read, the new one is in force without those counts.
   */
  replace(source: PolicySource): void
  /**
   * Changes what a set holds, in one step for all packets, and nothing else.
   * Where the set's maps have room, only they are written; otherwise the program
   * is swapped for one with larger maps. Throws RangeError for a set that the
   * policy has not, and what `replace` throws; the set then stays as it was.
   */
  replaceSet(name: string, contents: SetContents): void
  /** The same for what comes and goes beside what stays. */
  changeSet(name: string, change: SetChange): void
  /** What each rule has counted since it is part of the policy, in the order of the rules. */
  counts(): PolicyCount[]
  /** Milliseconds until each rule ends, 0 for one that has; null: it does not end. In the order of the rules. */
  lifetimesLeft(): (number | null)[]
  /** Moves the end of a rule that was loaded with one; null: no end. Throws RangeError for any other rule. */
  setEnd(name: string, endsInMs: number | null): void
  /**
   * Hands what `divert` rules match at a receive queue to the AF_XDP socket
   * `socketFd`, which is bound to that queue; null: it passes again, as it does
   * when the socket is closed. Stays over `replace`. What comes to such a queue
   * of another device than the socket's is lost. Throws RangeError where no rule
   * has diverted yet and for queue 256 and above, KernelError for what is no such socket.
   */
  divertTo(queue: number, socketFd: number | null): void
  /**
   * The map that `divertTo` writes, as plain data: another thread, which has
   * opened the socket, hands it to `divertInto`. Stays over `replace`. Throws
   * RangeError where no rule has diverted yet.
   */
  divertMap(): LoadedMap
  /** Takes at most `most` samples, oldest first; `rule` is undefined for a rule that has gone. */
  readSamples(most: number): (Sample & { readonly rule: string | undefined })[]
  /**
   * Samples that found the ring buffer full, packets whose key found the limit table full, and, where the policy drops
   * these, packets that were to be diverted while their receive queue had no socket.
   */
  losses(): PolicyLosses
  close(): void
}

interface PolicyLosses {
  readonly samples: number
  readonly tableFull: number
  readonly withoutSocket: number
}

/** Maps that are indexed by slot, so that they are made anew when slots run out. */
const BY_SLOT: ReadonlySet<string> = new Set([POLICY_COUNTERS, RULE_ENDS, RULE_BUCKETS])
const LEAST_SLOTS = 64

/** What is in force: replaced as a whole. */
interface Version {
  readonly source: PolicySource
  readonly slots: Slots
  readonly loaded: LoadedProgram
  /** The maps that outlive the program. */
  readonly kept: ReadonlyMap<string, LoadedMap>
}

/**
 * Compiles and loads a policy. Where it forwards, this and `replace` are called
 * in the network namespace of the devices, because the kernel looks them up in
 * the thread's. Throws LoadError, which names the rule where the verifier
 * refuses, and what `compile` throws.
 */
export function loadPolicy(first: PolicySource): LoadedPolicy {
  let version = load(first, null)
  /** What rules had counted in maps that are gone. */
  let earlier = new Map<string, PolicyCount>()
  const links = new Set<XdpLink>()
  const samples = createSampleReader()
  let isOpen = true

  const slotOf = (identity: string) => version.slots.byIdentity.get(identity)!

  const divertMap = () => {
    const sockets = version.kept.get(DIVERT_SOCKETS)
    if (sockets !== undefined) return sockets
    throw new RangeError('no rule of the policy diverts packets: give it one with the action "divert" first')
  }

  const replace = (source: PolicySource) => {
    const old = version
    const next = load(source, old)
    try {
      swapLinks(links, old.loaded, next.loaded)
    } catch (error) {
      release(next, old.kept)
      throw error
    }
    version = next
    let moved: ReadonlyMap<string, PolicyCount> = new Map()
    try {
      if (next.kept.get(POLICY_COUNTERS) !== old.kept.get(POLICY_COUNTERS)) moved = finalCounts(old)
    } finally {
      // The new one is in force, whatever could not be read of the old one.
      earlier = carry(source, earlier, moved)
      release(old, next.kept)
    }
  }

  const replaceSet = (name: string, contents: SetContents) => {
    const source = version.source.withSet(name, contents)
    if (writeSet(source, name, version.loaded)) version = { ...version, source }
    else replace(source)
  }

  return {
    get program() {
      return version.loaded
    },
    attach(device, mode, how = attachXdp) {
      const link = how(version.loaded, device, mode)
      links.add(link)
      return {
        mode: link.mode,
        isAttached: link.isAttached,
        close() {
          links.delete(link)
          link.close()
        },
      }
    },
    putBehind: (place, program) => programInto(version.kept.get(BEHIND_PROGRAMS), place, program),
    replace,
    replaceSet,
    changeSet: (name, change) =>
      replaceSet(name, changeContents(version.source.sets.get(name) ?? NO_ADDRESSES, change)),
    counts() {
      const now = countsOf(version)
      return version.source.rules.map(({ identity }) => {
        const before = earlier.get(identity)
        return before === undefined ? now.get(identity)! : addCounts(before, now.get(identity)!)
      })
    },
    lifetimesLeft() {
      const ends = version.kept.get(RULE_ENDS)
      const nowNs = bootTimeNs()
      return version.source.rules.map(({ identity, endsInMs }) =>
        endsInMs === null || ends === undefined ? null : readEnd(ends, slotOf(identity), nowNs),
      )
    },
    setEnd(name, endsInMs) {
      const rule = version.source.rules.find((candidate) => candidate.name === name)
      const ends = version.kept.get(RULE_ENDS)
      if (rule === undefined || rule.endsInMs === null || ends === undefined)
        throw new RangeError(`no rule "${name}" was loaded with a lifetime: give it one in the policy`)
      writeEnd(ends, slotOf(rule.identity), endsInMs)
    },
    divertTo: (queue, socketFd) => divertInto(divertMap(), queue, socketFd),
    divertMap,
    readSamples(most) {
      const names = new Map(version.source.rules.map(({ identity, name }) => [slotOf(identity), name]))
      return samples
        .read(version.kept.get(SAMPLES) ?? null, most)
        .map((sample) => ({ ...sample, rule: names.get(sample.slot) }))
    },
    losses: () => readLosses(version.kept.get(POLICY_STATE)),
    close() {
      if (!isOpen) return
      isOpen = false
      for (const link of links) link.close()
      samples.close()
      release(version, new Map())
    },
  }
}

/** Loads `source` with what can be kept of the version before it. Leaves that one alone, and nothing behind when it throws. */
function load(source: PolicySource, before: Version | null): Version {
  const identities = source.rules.map(({ identity }) => identity)
  if (new Set(identities).size !== identities.length)
    throw new RangeError('two rules of the policy have the same name and text: give each its own name')
  const continued = before === null ? null : assignSlots(before.slots, identities)
  const slots = continued ?? startAnew(before, identities)
  const program = source.compile(
    identities.map((identity) => slots.byIdentity.get(identity)!),
    slots.capacity,
  )
  const kept = new Map<string, LoadedMap>()
  const made: LoadedMap[] = []
  try {
    for (const spec of program.maps) {
      if (!program.kept.includes(spec.name)) continue
      const old = before?.kept.get(spec.name)
      const goesOn = old !== undefined && isSameShape(old.spec, spec) && !(continued === null && BY_SLOT.has(spec.name))
      const map = goesOn ? old : makeMap(spec)
      if (!goesOn) made.push(map)
      kept.set(spec.name, map)
    }
    // Sockets stay where they were put, also while no rule diverts, and what was lost stays counted.
    for (const name of [DIVERT_SOCKETS, POLICY_STATE]) {
      const old = before?.kept.get(name)
      if (old !== undefined && !kept.has(name)) kept.set(name, old)
    }
    for (const map of made) if (map.spec.name === POLICY_STATE) seedState(map)
    writeEnds(source, slots, kept.get(RULE_ENDS), before)
    return { source, slots, kept, loaded: loadOver(source, program, kept, slots.capacity) }
  } catch (error) {
    for (const map of made) closeBpf(map.fd)
    throw error
  }
}

/** Writes the set into its maps; false, and nothing written, where one has too little room. */
function writeSet(source: PolicySource, name: string, { maps }: LoadedProgram): boolean {
  const replacements: Replacement[] = []
  for (const { map: mapName, image } of source.setImages(name)) {
    const map = maps.get(mapName)
    if (map !== undefined) replacements.push({ map, image: image() })
  }
  if (!replacements.every(({ map, image }) => fitsInto(map, image))) return false
  if (replacements.length > 0) replaceAllContents(replacements)
  return true
}

function loadOver(
  source: PolicySource,
  program: PolicyProgram,
  kept: ReadonlyMap<string, LoadedMap>,
  capacity: number,
): LoadedProgram {
  let loaded: LoadedProgram
  try {
    loaded = loadProgram(program, kept)
  } catch (error) {
    throw nameRefusedRule(source, capacity, error)
  }
  try {
    writeEntries(loaded.maps, program.entries)
  } catch (error) {
    loaded.close()
    throw error
  }
  return loaded
}

/** Larger maps, or as large ones in which the places of rules that went are free again. */
function startAnew(before: Version | null, identities: readonly string[]): Slots {
  const wanted = new Set(identities)
  const staying = new Map([...(before?.slots.byIdentity ?? [])].filter(([identity]) => wanted.has(identity)))
  let capacity = before?.slots.capacity ?? LEAST_SLOTS
  // Half of them free, so that many changes fit before the next time.
  while (capacity < 2 * identities.length) capacity *= 2
  return assignSlots(startSlots(capacity, staying), identities)!
}

function isSameShape(one: MapSpec, other: MapSpec): boolean {
  return (
    one.kind === other.kind &&
    one.keyBytes === other.keyBytes &&
    one.valueBytes === other.valueBytes &&
    one.maxEntries === other.maxEntries
  )
}

/** A rule that stays ends when it did; for a new one the time begins now. */
function writeEnds(source: PolicySource, slots: Slots, ends: LoadedMap | undefined, before: Version | null): void {
  if (ends === undefined) return
  const old = before?.kept.get(RULE_ENDS)
  for (const { identity, endsInMs } of source.rules) {
    const slot = slots.byIdentity.get(identity)!
    const isStaying = before?.slots.byIdentity.has(identity) ?? false
    if (isStaying && old !== undefined) {
      if (old !== ends) copyEnd(old, ends, slot)
    } else if (endsInMs !== null) writeEnd(ends, slot, endsInMs)
  }
}

/** All links or none: where one refuses, those before it get the old program back. */
function swapLinks(links: ReadonlySet<XdpLink>, old: LoadedProgram, next: LoadedProgram): void {
  const swapped: XdpLink[] = []
  try {
    for (const link of links) {
      link.replace(next)
      swapped.push(link)
    }
  } catch (error) {
    for (const link of swapped) link.replace(old)
    throw error
  }
}

function countsOf({ source, slots, kept }: Version): Map<string, PolicyCount> {
  const counters = kept.get(POLICY_COUNTERS)
  const countAt = counters === undefined ? () => NOTHING : policyCountReader(counters)()
  return new Map(source.rules.map(({ identity }) => [identity, countAt(slots.byIdentity.get(identity)!)]))
}

const NO_PREFIXES: PrefixList = { words: new Uint32Array(0), lengths: new Uint8Array(0) }
const NO_ADDRESSES: SetContents = { v4: NO_PREFIXES, v6: NO_PREFIXES }

const NOTHING: PolicyCount = { packets: 0, bytes: 0, overPackets: 0, overBytes: 0 }

/** The counts of a version that no new packet meets, once those that it still works on are done. */
function finalCounts(version: Version): Map<string, PolicyCount> {
  waitForRunningPrograms()
  return countsOf(version)
}

/** What rules that stay have counted in maps that are gone. */
function carry(
  { rules }: PolicySource,
  earlier: ReadonlyMap<string, PolicyCount>,
  moved: ReadonlyMap<string, PolicyCount>,
): Map<string, PolicyCount> {
  const carried = new Map<string, PolicyCount>()
  for (const { identity } of rules) {
    const parts = [earlier.get(identity), moved.get(identity)].filter((count) => count !== undefined)
    if (parts.length > 0) carried.set(identity, parts.reduce(addCounts))
  }
  return carried
}

/** Gives back what a version has and the other does not go on with. */
function release({ loaded, kept }: Version, stays: ReadonlyMap<string, LoadedMap>): void {
  loaded.close()
  for (const [name, map] of kept) if (stays.get(name) !== map) closeBpf(map.fd)
}

function readLosses(state: LoadedMap | undefined): PolicyLosses {
  if (state === undefined) return { samples: 0, tableFull: 0, withoutSocket: 0 }
  const value = new Uint8Array(state.spec.valueBytes)
  lookupElement(state.fd, new Uint8Array(4), value)
  const view = new DataView(value.buffer)
  const read = (offset: number) => Number(view.getBigUint64(offset, true))
  return {
    samples: read(STATE.samplesLost),
    tableFull: read(STATE.tableFull),
    withoutSocket: read(STATE.withoutSocket),
  }
}
