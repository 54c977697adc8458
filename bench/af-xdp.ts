import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { mapId, updateElement, withNamespace } from '../src/kernel/index.js'
import { floodTemplate } from '../src/lab/flood-frame.js'
import { FLOOD_MAP, FLOOD_STATE, floodProgram, TIME_SHIFT } from '../src/lab/flood-program.js'
import { loadProgram } from '../src/loader/index.js'
import { REDIRECT_PROGRAM, SOCKETS } from '../test/support/redirect-program.js'
import { skipUnless } from '../test/support/require.js'
import { type CProgram, findCompilers, startC, talkTo } from './c-program.js'
import { loadGenerator, openReceiveRig, type ReceiveRig, type SourceGenerator } from './receive-rig.js'
import { printReport } from './report.js'
import { type Comparison, openRounds, type Rounds } from './rounds.js'
import { spreadOf } from './statistics.js'

/**
 * AF_XDP receive and drop on a veth: the engine against a minimal C program
 * with libxdp, on the same queue in turn, behind the same XDP program. The
 * generator and the kernel's receive processing share core 0, the reader has
 * core 1. Both spin, or both sleep until the kernel wakes them; then what is
 * lost of a steady million packets a second. How fast either is depends on
 * where its frames happen to lie, so there are many short runs in processes of
 * their own, and each is compared with the neighbour in time; those on a
 * disturbed machine are left out.
 */

/** Two that spin differ the least, and by chance by a third: the median of so many is right within a few hundredths. */
const ROUNDS = { spin: 25, woken: 9 } as const
const PACKETS = 600_000
/** As long as V8 compiles, on the reader's own core. */
const WARM_UP_PACKETS = 1_000_000
const STEADY_ROUNDS = 3
const STEADY_PACKETS = 2_000_000
const STEADY_RATE = 1_000_000
/** What the generator may make up for when it was held up. */
const SLACK_PACKETS = 64
/** 4 ms of two million packets a second: what a woken reader may be late. */
const ENTRIES = 8192
/** 33 ms of a steady million: longer than a core that is shared with other machines is mostly away. */
const STEADY_ENTRIES = 32_768
/** The kernel lets go of a queue about 45 ms after its socket is closed. */
const QUEUE_FREE_MS = 100
const READER_CORE = '1'

const ENGINE = 'engine'
const LIBXDP = 'libxdp'

type Mode = 'spin' | 'woken'

interface Reader {
  readonly name: string
  readonly mode: Mode
  /** With rings of so many entries. */
  start(entries: number): CProgram | null
}

interface Sample {
  readonly mpps: number
  readonly cpuNs: number
  readonly lost: number
}

function readers(rig: ReceiveRig, map: number, compiler: string): Reader[] {
  const { namespace, device } = rig.victim
  const reader = fileURLToPath(new URL('./af-xdp.reader.js', import.meta.url))
  const ours =
    (mode: Mode) =>
    (entries: number): CProgram => {
      const args = [device.index, device.name, 0, map, entries, mode, READER_CORE].map(String)
      const child = withNamespace(namespace, () =>
        spawn(process.execPath, [reader, ...args], { stdio: ['pipe', 'pipe', 'inherit'] }),
      )
      return talkTo(child as ChildProcessByStdio<Writable, Readable, null>, 'af-xdp.reader')
    }
  const theirs = (mode: Mode) => (entries: number) => {
    const args = [device.name, 0, map, entries, mode, READER_CORE].map(String)
    const flags = ['-lxdp', '-lbpf', '-lpthread']
    return startC({ source: 'af-xdp-drop.c', compiler, flags, args, namespace })
  }
  return (['spin', 'woken'] as const).flatMap((mode) => [
    { name: ENGINE, mode, start: ours(mode) },
    { name: LIBXDP, mode, start: theirs(mode) },
  ])
}

/** Starts the reader, sends to it, and ends it; null where it cannot be built. */
async function sample(
  reader: Reader,
  rig: ReceiveRig,
  generator: SourceGenerator,
  { packets, entries }: { packets: number; entries: number },
) {
  const program = reader.start(entries)
  if (program === null) return null
  const ask = async (line: string) => (await program.ask(line)).split(' ').map(Number)
  await ask('')
  rig.flood(generator, WARM_UP_PACKETS)
  const [before, cpuBefore] = await settled(ask)
  const { packets: sent, packetsPerSecond } = rig.flood(generator, packets)
  const [received, cpu] = await settled(ask)
  program.close()
  await program.ended
  await sleep(QUEUE_FREE_MS)
  const arrived = received! - before!
  const seconds = sent / packetsPerSecond
  return { mpps: arrived / seconds / 1e6, cpuNs: (cpu! - cpuBefore!) / arrived, lost: sent - arrived } satisfies Sample
}

/** What the reader says once it has taken what was in its ring. */
async function settled(ask: (line: string) => Promise<number[]>): Promise<number[]> {
  let last = await ask('')
  for (;;) {
    await sleep(5)
    const next = await ask('')
    if (next[0] === last[0]) return next
    last = next
  }
}

/** A generator that sends a packet a microsecond, evenly. */
function loadSteady({ victim, router }: ReceiveRig): SourceGenerator {
  const spec = {
    kind: 'udp',
    sourceMac: router.towardsVictim.mac,
    destinationMac: victim.device.mac,
    destination: victim.device.ipv4,
    port: 9,
    sources: { address: '198.51.100.0', length: 24 },
    bytes: { least: 60, most: 60 },
  } as const
  const program = loadProgram(floodProgram(spec))
  const state = new DataView(new ArrayBuffer(FLOOD_STATE.size))
  const interval = (1e9 * 2 ** TIME_SHIFT) / STEADY_RATE
  state.setBigUint64(FLOOD_STATE.interval, BigInt(Math.round(interval)), true)
  state.setBigUint64(FLOOD_STATE.slack, BigInt(Math.round(interval * SLACK_PACKETS)), true)
  updateElement(program.maps.get(FLOOD_MAP)!.fd, new Uint8Array(4), new Uint8Array(state.buffer))
  return { program, frame: floodTemplate(spec) }
}

function row({ name, mode }: Reader, load: string, samples: readonly Sample[]) {
  const of = (value: (sample: Sample) => number) => spreadOf(samples.map(value))
  const rate = of(({ mpps }) => mpps)
  const lost = of(({ lost }) => lost)
  return {
    reader: name,
    mode,
    load,
    Mpps: rate.median,
    'Mpps range': `${rate.least.toFixed(2)}-${rate.most.toFixed(2)}`,
    'reader CPU ns a packet': of(({ cpuNs }) => cpuNs).median,
    lost: lost.median,
    'lost range': `${lost.least}-${lost.most}`,
  }
}

/** A few runs of each reader, there and back; null where the C program cannot be built. */
async function measureSteady(all: readonly Reader[], rig: ReceiveRig) {
  const generator = loadSteady(rig)
  const samples = new Map<Reader, Sample[]>(all.map((reader) => [reader, []]))
  for (let round = 0; round < STEADY_ROUNDS; round++) {
    for (const reader of round % 2 === 0 ? all : all.toReversed()) {
      const taken = await sample(reader, rig, generator, { packets: STEADY_PACKETS, entries: STEADY_ENTRIES })
      if (taken === null) return null
      samples.get(reader)!.push(taken)
    }
  }
  return samples
}

/** As many packets as there can be: nanoseconds a packet, with whatever else a run says of itself. */
async function measureFlooded(all: readonly Reader[], rig: ReceiveRig, rounds: Rounds) {
  const generator = loadGenerator({ kind: 'scattered', family: 4, count: 10_000 })
  const samples = new Map<Reader, Sample[]>(all.map((reader) => [reader, []]))
  const compare = (mode: Mode) => {
    const contestants = all
      .filter((reader) => reader.mode === mode)
      .map((reader) => ({
        name: reader.name,
        cores: rounds.cores,
        async sample() {
          const taken = (await sample(reader, rig, generator, { packets: PACKETS, entries: ENTRIES }))!
          samples.get(reader)!.push(taken)
          return 1000 / taken.mpps
        },
      }))
    return rounds.compare(contestants, ROUNDS[mode])
  }
  return { samples, compared: { spin: await compare('spin'), woken: await compare('woken') } }
}

/** Of the engine's rate and that of libxdp beside it. */
function ratioOf(compared: Comparison): number {
  return compared.spreadBeside(ENGINE, (own, nearest) => nearest(LIBXDP) / own).median
}

async function compare(rig: ReceiveRig, compiler: string): Promise<void> {
  const program = loadProgram(REDIRECT_PROGRAM)
  rig.use(program)
  const all = readers(rig, mapId(program.maps.get(SOCKETS)!.fd), compiler)
  const steady = await measureSteady(all, rig)
  if (steady === null) {
    console.error('skipped: af-xdp-drop.c cannot be built; install libxdp (Debian: apt-get install libxdp-dev)')
    return
  }
  const rounds = await openRounds()
  const { samples, compared } = await measureFlooded(all, rig, rounds)
  const [spinning, woken] = [ratioOf(compared.spin), ratioOf(compared.woken)]
  const ourLosses = all.filter(({ name }) => name === ENGINE).flatMap((reader) => steady.get(reader)!)
  printReport({
    name: 'af-xdp',
    rows: [
      ...all.map((reader) => ({
        ...row(reader, 'as fast as can be', samples.get(reader)!),
        ...compared[reader.mode].columns(reader.name),
      })),
      ...all.map((reader) => row(reader, '1 Mpps, steady', steady.get(reader)!)),
    ],
    ratios: {
      vsLibxdp: Math.min(spinning, woken),
      vsLibxdpSpinning: spinning,
      vsLibxdpWoken: woken,
      steadyLoss: Math.max(...ourLosses.map(({ lost }) => lost)) / STEADY_PACKETS,
    },
    disturbed: rounds.disturbed(),
  })
}

const [compiler] = findCompilers(['cc', 'clang', 'gcc'])
const missing = skipUnless('root')
if (missing !== false) console.error(`skipped: the benchmark ${missing}`)
else if (compiler === undefined) console.error('skipped: there is no C compiler (Debian: apt-get install gcc)')
else if (availableParallelism() < 2) console.error('skipped: reader and generator need a core each')
else {
  const rig = openReceiveRig('sending core')
  try {
    await compare(rig, compiler)
  } finally {
    rig.close()
  }
}
