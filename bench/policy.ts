import { execFileSync } from 'node:child_process'
import { type CompiledRules, compileRules, type Rule } from '../src/compile.js'
import {
  alu32,
  alu64,
  assemble,
  exit,
  type Item,
  jumpIf,
  label,
  load,
  loadMapValue,
  type MapSpec,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  store,
} from '../src/ebpf/index.js'
import { interpret } from '../src/ir/index.js'
import { testRun } from '../src/kernel/index.js'
import { type LoadedProgram, loadProgram, ruleCountReader } from '../src/loader/index.js'
import { FRAME_BYTES } from './frames.js'
import { differentShapes, frameFor, strangeFrame, tenShapes } from './policy-rules.js'
import { openReceiveRig, type ReceiveRig, type SourceGenerator } from './receive-rig.js'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * What a policy costs to compile and load, and then for each packet: on a
 * device that drops all of a flood of some thousand different frames, as CPU
 * time of its receive thread (`device ns`), and by the kernel's test run
 * (`test run ns`). That repeats one packet, so a few instructions in front of
 * each program copy the next frame over it; `program ns` is without them and
 * without the kernel's loop, as measured with an empty program.
 */

const ROUNDS = 9
const FRAMES = 4096
const TURNS = 250
const FLOOD_PACKETS = 400_000
const WARM_UP_PACKETS = 50_000
const XDP_TX = 3
/** What is no rule's is dropped as well, so that no packet goes on into the network stack. */
const REST: Rule = { match: '', action: 'drop' }
const PACKETS = FRAMES * TURNS
/** The cursor of the ring has a cache line of its own. */
const RING_AT = 64
const FIRST = '--first-compile'

/** Compiles and loads one rule; what a user waits for between the text and the driver. */
function timeOne(match: string): number {
  const start = performance.now()
  const loaded = loadProgram(compileRules([{ match, action: 'drop' }]).program)
  const milliseconds = performance.now() - start
  loaded.close()
  return milliseconds
}

const EXPRESSION = 'udp and dst port 53 and src net 198.51.100.0/24'

/** In a process of its own, where no function has run before. */
function timeFirst(): number {
  const output = execFileSync(process.execPath, [process.argv[1]!, FIRST], { encoding: 'utf8' })
  return Number(output)
}

interface Subject {
  readonly name: string
  readonly compileSeconds: number
  readonly loaded: LoadedProgram
  readonly plain: LoadedProgram
  readonly generator: SourceGenerator
  readonly samples: number[]
  readonly onDevice: number[]
}

function prepareSubject(name: string, rules: readonly Rule[], frames: readonly Uint8Array[]): Subject {
  const start = performance.now()
  const { program, optimized } = compileRules([...rules, REST])
  const plain = loadProgram(program)
  const compileSeconds = (performance.now() - start) / 1000
  const loaded = loadProgram(withFrames(program, frames))
  assertCounts(name, optimized, loaded, frames)
  const generator = { program: loadProgram(sender(frames)), frame: new Uint8Array(FRAME_BYTES) }
  return { name, compileSeconds, loaded, plain, generator, samples: [], onDevice: [] }
}

/** Sends the next frame each time it runs. */
function sender(frames: readonly Uint8Array[]): Program {
  const { program } = compileRules([], { counters: false })
  return withFrames({ ...program, ...assemble([mov64(R0, XDP_TX), exit()]) }, frames)
}

/** The program behind instructions that put the next frame of a ring in place of the packet. */
function withFrames(program: Program, frames: readonly Uint8Array[]): Program {
  const ring = new Uint8Array(FRAMES * FRAME_BYTES)
  frames.forEach((frame, index) => {
    ring.set(frame, index * FRAME_BYTES)
  })
  const copies = Array.from({ length: FRAME_BYTES / 8 }, (_, word): Item[] => [
    load('u64', R0, R5, RING_AT + 8 * word),
    store('u64', R2, 8 * word, R0),
  ])
  const before = assemble([
    load('u32', R2, R1, 0),
    load('u32', R3, R1, 4),
    mov64(R4, R2),
    alu64('add', R4, FRAME_BYTES),
    jumpIf(R4, '>', R3, 'copied'),
    loadMapValue(R5, 'frames'),
    load('u32', R0, R5, 0),
    alu32('and', R0, FRAMES - 1),
    mov64(R4, R0),
    alu64('add', R4, 1),
    store('u32', R5, 0, R4),
    alu64('mul', R0, FRAME_BYTES),
    alu64('add', R5, R0),
    ...copies.flat(),
    label('copied'),
    mov64(R0, 0),
  ])
  const contents = { at: RING_AT, bytes: ring }
  const size = { keyBytes: 4, valueBytes: RING_AT + ring.length, maxEntries: 1 }
  const map: MapSpec = { name: 'frames', kind: 'array', ...size, flags: 1 << 10, contents }
  // The one wide instruction takes two slots.
  const shift = before.instructions.length + before.relocations.length
  const relocations = program.relocations.map((relocation) => ({ ...relocation, slot: relocation.slot + shift }))
  return {
    ...program,
    instructions: [...before.instructions, ...program.instructions],
    relocations: [...before.relocations, ...relocations],
    maps: [...program.maps, map],
  }
}

/** Nanoseconds of this process's CPU time a packet. */
function runAll({ fd }: LoadedProgram, repeat: number): number {
  const before = process.cpuUsage()
  testRun({ fd, data: new Uint8Array(FRAME_BYTES), repeat })
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / repeat
}

/** One turn of the ring must count for each rule what the interpreter of the graph finds. */
function assertCounts(
  name: string,
  optimized: CompiledRules['optimized'],
  loaded: LoadedProgram,
  frames: readonly Uint8Array[],
): void {
  const expected = new Map<number, number>()
  for (const bytes of frames) {
    const rule = interpret(optimized, { bytes, wireLength: bytes.length })
    if (rule !== null) expected.set(rule, (expected.get(rule) ?? 0) + 1)
  }
  runAll(loaded, FRAMES)
  const counts = ruleCountReader(loaded.maps.get('rule_counters')!)()
  counts.forEach(({ packets }, rule) => {
    const wanted = expected.get(rule) ?? 0
    if (packets !== wanted) throw new Error(`${name}: rule ${rule} counted ${packets} packets instead of ${wanted}`)
  })
}

function randomNumbers(): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 0x915f77f5) + 1) >>> 0
    return state / 2 ** 32
  }
}

/** Half of the frames match one of the first `rules` rules, all of them equally often; the others match none. */
function mixedFrames(rules: number): Uint8Array[] {
  const random = randomNumbers()
  const half = () => random() < 0.5
  return Array.from({ length: FRAMES }, () => (half() ? frameFor(Math.floor(random() * rules)) : strangeFrame(random)))
}

function run(rig: ReceiveRig): void {
  const first = timeFirst()
  const subjects = [
    prepareSubject('10,000 rules of 10 shapes', tenShapes(10_000), mixedFrames(10_000)),
    prepareSubject('10 rules of 10 shapes', tenShapes(10), mixedFrames(10)),
    prepareSubject('500 rules of 500 shapes', differentShapes(500), mixedFrames(10_000)),
  ]
  const nothing: Program = { ...compileRules([]).program, ...assemble([mov64(R0, 2), exit()]), relocations: [] }
  const empty = loadProgram(withFrames(nothing, mixedFrames(10)))
  const harness: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    harness.push(runAll(empty, PACKETS))
    for (const { loaded, plain, generator, samples, onDevice } of subjects) {
      samples.push(runAll(loaded, PACKETS))
      rig.use(plain)
      rig.flood(generator, WARM_UP_PACKETS)
      onDevice.push(rig.flood(generator, FLOOD_PACKETS).nsPerPacket)
    }
  }
  const base = spreadOf(harness)
  const rows = subjects.map(({ name, compileSeconds, loaded, samples, onDevice }) => {
    const { median } = spreadOf(samples)
    const device = spreadOf(onDevice)
    return {
      policy: name,
      compileSeconds,
      instructions: loaded.program.instructions.length,
      'verifier steps': loaded.info.verifiedInstructions,
      'device ns': device.median,
      'device range': `${device.least.toFixed(0)}-${device.most.toFixed(0)}`,
      'test run ns': median,
      'program ns': median - base.median,
    }
  })
  const warm = spreadOf(Array.from({ length: 200 }, () => timeOne(EXPRESSION)))
  const [many, few] = rows
  printReport({
    name: 'policy',
    rows,
    ratios: {
      tenThousandRulesVsTen: many!['device ns'] / few!['device ns'],
      tenThousandRulesVsTenTestRun: many!['test run ns'] / few!['test run ns'],
      tenThousandRulesVsTenProgram: many!['program ns'] / few!['program ns'],
      oneExpressionWarmMs: warm.median,
      oneExpressionFirstInProcessMs: first,
    },
  })
  for (const { loaded, plain, generator } of subjects) for (const it of [loaded, plain, generator.program]) it.close()
  empty.close()
}

if (process.argv.includes(FIRST)) console.log(timeOne(EXPRESSION))
else {
  const rig = openReceiveRig()
  try {
    run(rig)
  } finally {
    rig.close()
  }
}
