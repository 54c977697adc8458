import { readFileSync } from 'node:fs'
import { getAffinity, setAffinity, withAffinity } from '../src/kernel/index.js'
import { openCoreProbe, openPairProbe } from './core-probe.js'
import { type Spread, spreadOf } from './statistics.js'

/** One of those that are measured in turn. */
export interface Contestant {
  readonly name: string
  /** Takes one sample, in whatever unit. */
  sample(): number | Promise<number>
  /** Threads that do the work, by their ids; this process's first one where it is not said. */
  readonly threads?: readonly number[]
  /** Where its threads keep to cores of their own, those; else they are moved, all contestants to one core. */
  readonly cores?: readonly number[]
}

/** What contestants took that were measured in turn. */
export interface Comparison {
  /** Median and range of what a contestant took. */
  spread(name: string): Spread
  /** The same of what `figure` makes of each of its samples, and of the samples of others that lie nearest in time. */
  spreadBeside(name: string, figure: (own: number, nearest: (other: string) => number) => number): Spread
  /** Columns of a row about a contestant; its median in the first, nanoseconds a packet where nothing else is said. */
  columns<Unit extends string = 'nsPerPacket'>(name: string, unit?: Unit): Columns & Readonly<Record<Unit, number>>
}

interface Columns {
  readonly nsLeast: number
  readonly nsMost: number
  /** The median over all samples. */
  readonly nsOfAll: number
  readonly samples: number
  readonly leftOut: number
}

/** Samples of a benchmark, and how many of them are left out of its figures because the machine was disturbed. */
export interface Disturbed {
  readonly of: number
  readonly leftOut: number
  /** Those that are in the figures all the same, because there were too few others. */
  readonly usedAnyway: number
  /** What the probe takes on an undisturbed core: to compare runs by. */
  readonly probeNs: number
}

/** A benchmark's rounds, on cores that are watched. */
export interface Rounds {
  /** Two, where there are as many. */
  readonly cores: readonly number[]
  /** A sample of each contestant in turn, there and back, in so many rounds; in more where too many samples are disturbed. */
  compare(contestants: readonly Contestant[], rounds: number): Promise<Comparison>
  disturbed(): Disturbed
}

interface Sample {
  readonly name: string
  /** In the order in which they were taken. */
  readonly order: number
  readonly value: number
  /** The slowest of the probes before and after it, on the cores that it needs. */
  readonly probeNs: number
  /** Of its time, what its threads waited for a core that others had; of the one that waited longest. */
  readonly waited: number
}

/** A sample beside whose fastest probe of the run that of its own is so much slower is disturbed … */
const PROBE_BOUND = 1.05
/** … where the fastest is that which so many probes were as fast as: one alone may be an error of the clock. */
const FASTEST = 5
/** … and one whose threads were kept from their cores for so much of its time. */
const WAIT_BOUND = 0.05
/** Fewer undisturbed samples of a contestant than a quarter, or than this, are too few: then there are more rounds. */
const FEWEST = 5
const FEWEST_SHARE = 0.25
/** How long a sample waits for undisturbed cores; then it is taken all the same. */
const CALM_MS = 300
/** What all waiting and all further rounds of a benchmark may take: what matters most is compared first. */
const MORE_MS = 40_000

/**
 * Contestants are compared in turn. A core of a virtual machine is half of one
 * of which others have the other half, and changes from one second to the next
 * between two speeds. So a probe runs on each core before and after each sample:
 * before, until the core is fast, or for a while; samples beside which it was
 * slow, or in which other processes had the core, are left out, by one rule for
 * all. Contestants without cores of their own have the faster one in each round,
 * together, and this thread goes there with them.
 */
export async function openRounds(): Promise<Rounds> {
  const cores = getAffinity(0).slice(0, 2)
  const probe = await openCoreProbe()
  const probePair = cores.length > 1 ? await openPairProbe([cores[0]!, cores[1]!]) : null
  const fastest: number[] = []
  const totals = { of: 0, leftOut: 0, usedAnyway: 0 }
  let leftMs = MORE_MS

  /** Nanoseconds of each, while all are at work. */
  function probeCores(which: readonly number[]): number[] {
    const found = which.length > 1 ? probePair!() : [withAffinity([which[0]!], probe)]
    fastest.push(...found)
    fastest.sort((one, other) => one - other).splice(FASTEST)
    return found
  }

  const isFast = (nanoseconds: number) => nanoseconds <= fastest.at(-1)! * PROBE_BOUND

  /** Until all are fast, where there is time for it; gives the last probes. */
  async function awaitCalm(which: readonly number[]): Promise<number[]> {
    const begin = performance.now()
    for (;;) {
      const found = probeCores(which)
      const waitedMs = performance.now() - begin
      if (found.every(isFast) || waitedMs > Math.min(CALM_MS, leftMs)) {
        leftMs -= waitedMs
        return found
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** Appends a sample of each. */
  async function takeRound(contestants: readonly Contestant[], taken: Sample[]): Promise<void> {
    const now = cores.flatMap((core) => probeCores([core]))
    const together = cores[now.indexOf(Math.min(...now))]!
    for (const contestant of contestants)
      if (contestant.cores === undefined) for (const thread of threadsOf(contestant)) setAffinity(thread, [together])
    for (const contestant of contestants) {
      const [threads, needed] = [threadsOf(contestant), contestant.cores ?? [together]]
      const before = await awaitCalm(needed)
      const [waits, begin] = [threads.map(waitedNs), performance.now()]
      const value = await contestant.sample()
      const elapsedNs = (performance.now() - begin) * 1e6
      const waited = Math.max(...threads.map((thread, index) => waitedNs(thread) - waits[index]!)) / elapsedNs
      const probeNs = Math.max(...before, ...probeCores(needed))
      taken.push({ name: contestant.name, order: taken.length, value, probeNs, waited })
    }
  }

  function undisturbed(taken: readonly Sample[]): Sample[] {
    return taken.filter(({ probeNs, waited }) => isFast(probeNs) && waited <= WAIT_BOUND)
  }

  return {
    cores,
    async compare(contestants, rounds) {
      const taken: Sample[] = []
      const few = Math.min(rounds, Math.max(FEWEST, Math.ceil(rounds * FEWEST_SHARE)))
      const isEnough = () => {
        const calm = undisturbed(taken)
        return contestants.every(({ name }) => calm.filter((each) => each.name === name).length >= few)
      }
      for (let round = 0; round < rounds || (!isEnough() && leftMs > 0); round++) {
        const [begin, before] = [performance.now(), leftMs]
        await takeRound(round % 2 === 0 ? contestants : contestants.toReversed(), taken)
        if (round >= rounds) leftMs = before - (performance.now() - begin)
      }
      const calm = undisturbed(taken)
      totals.of += taken.length
      if (isEnough()) {
        totals.leftOut += taken.length - calm.length
        return comparisonOf(taken, calm)
      }
      totals.usedAnyway += taken.length - calm.length
      console.error(`only ${calm.length} of ${taken.length} samples were undisturbed: the figures are of all of them`)
      return comparisonOf(taken, taken)
    },
    disturbed: () => ({ ...totals, probeNs: fastest.at(-1)! }),
  }
}

function comparisonOf(taken: readonly Sample[], used: readonly Sample[]): Comparison {
  const valuesOf = (samples: readonly Sample[], name: string) =>
    samples.filter((each) => each.name === name).map(({ value }) => value)
  const spread = (name: string) => spreadOf(valuesOf(used, name))

  function nearest(order: number, other: string): number {
    const distance = (sample: Sample) => Math.abs(sample.order - order)
    return used
      .filter(({ name }) => name === other)
      .reduce((one, each) => (distance(each) < distance(one) ? each : one)).value
  }

  return {
    spread,
    spreadBeside(name, figure) {
      const own = used.filter((each) => each.name === name)
      return spreadOf(own.map(({ value, order }) => figure(value, (other) => nearest(order, other))))
    },
    columns<Unit extends string>(name: string, unit = 'nsPerPacket' as Unit) {
      const { median, least, most } = spread(name)
      const all = valuesOf(taken, name)
      const first = { [unit]: median } as Record<Unit, number>
      return {
        ...first,
        nsLeast: least,
        nsMost: most,
        nsOfAll: spreadOf(all).median,
        samples: all.length,
        leftOut: all.length - valuesOf(used, name).length,
      }
    },
  }
}

function threadsOf({ threads = [process.pid] }: Contestant): readonly number[] {
  return threads
}

/** Nanoseconds that a thread could have run and had no core (/proc/TID/schedstat); 0 where the kernel does not count them. */
function waitedNs(thread: number): number {
  try {
    return Number(readFileSync(`/proc/${thread}/schedstat`, 'utf8').split(' ')[1])
  } catch {
    return 0
  }
}
