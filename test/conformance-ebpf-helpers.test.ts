import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  alu64,
  assemble,
  call,
  encode,
  exit,
  helperId,
  type Instruction,
  type Item,
  jumpIf,
  label,
  load,
  loadMap,
  type MapSpec,
  mov32,
  mov64,
  prepare,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  store,
} from '../src/ebpf/index.js'
import { closeBpf, createMap, loadProgramCode, MAP_TYPES, testRun } from '../src/kernel/index.js'
import { type Random, seededRandom } from './support/random.js'
import { skipUnless } from './support/require.js'

/** The kernel's helpers and maps as oracle of the interpreter's. */
const skip = skipUnless('root')
const FRAME_BYTES = 64
const PATTERN = 'conformance-ebpf-helpers'

test('frames are moved and resized as the kernel does it', { skip }, (context) => {
  const random = seededRandom(context, PATTERN)
  const head = [0, -4, -214, -216, -217, -256, 1, 49, 50, 51, 64]
  const tail = [0, 1, 100, 3456, 3457, 4000, -1, -50, -51, -64]
  for (const delta of head) compareRuns(moved('bpf_xdp_adjust_head', delta), randomFrame(random), `head by ${delta}`)
  for (const delta of tail) compareRuns(moved('bpf_xdp_adjust_tail', delta), randomFrame(random), `tail by ${delta}`)
  for (const [delta, taken] of [
    [0, 0],
    [-4, 4],
    [-6, 0],
    [-32, 32],
    [-212, 212],
    [-216, 216],
    [-220, 0],
    [4, 0],
  ] as const) {
    compareRuns(moved('bpf_xdp_adjust_meta', delta), randomFrame(random), `metadata by ${delta}`, taken)
  }
  compareRuns(
    [...moved('bpf_xdp_adjust_tail', 7).slice(0, -1), mov64(R1, R6), call(helperId('bpf_xdp_get_buff_len')), exit()],
    randomFrame(random),
    'length after growth',
  )
})

test('checksum differences are those of the kernel', { skip }, (context) => {
  const random = seededRandom(context, PATTERN)
  const frames = [new Uint8Array(FRAME_BYTES), new Uint8Array(FRAME_BYTES).fill(255)]
  for (let count = 0; count < 60; count++) {
    const frame = frames[count] ?? randomFrame(random)
    compareRuns(checksum(random.below(5) * 4, random.below(5) * 4, random), frame, `frame ${count}`)
  }
})

const MAPS: readonly MapSpec[] = [
  { name: 'table', kind: 'hash', keyBytes: 8, valueBytes: 4, maxEntries: 6 },
  { name: 'words', kind: 'hash', keyBytes: 4, valueBytes: 12, maxEntries: 6 },
  { name: 'row', kind: 'array', keyBytes: 4, valueBytes: 4, maxEntries: 3 },
  { name: 'prefixes', kind: 'lpm-trie', keyBytes: 8, valueBytes: 8, maxEntries: 20, flags: 1 },
]

for (const spec of MAPS) {
  test(`a map of kind ${spec.kind} with keys of ${spec.keyBytes} bytes answers as the kernel's`, {
    skip,
  }, (context) => {
    const random = seededRandom(context, PATTERN)
    const { instructions, relocations } = assemble(mapProgram(spec.name))
    const machine = prepare({ instructions, relocations, maps: [spec] })
    const fd = createMap({ ...spec, type: MAP_TYPES[spec.kind], flags: spec.flags ?? 0 })
    const slots = new Set(relocations.map(({ slot }) => slot))
    const program = loaded(withDescriptor(instructions, slots, fd))
    const seen = new Set<number>()
    try {
      for (let count = 0; count < 2000; count++) {
        const frame = mapFrame(random, spec)
        const outcome = machine.run(frame)
        assert.equal(outcome.kind, 'return', JSON.stringify(outcome))
        assert.equal(outcome.value, testRun({ fd: program, data: frame }).retval, `step ${count}: ${frame}`)
        seen.add(outcome.value | 0)
      }
    } finally {
      closeBpf(program)
      closeBpf(fd)
    }
    context.diagnostic(`different answers: ${seen.size}`)
    assert.ok(seen.size > 10)
  })
}

function compareRuns(items: readonly Item[], frame: Uint8Array, what: string, metadataBytes = 0): void {
  const { instructions } = assemble(items)
  const machine = prepare({ instructions, relocations: [], maps: [] })
  const fd = loaded(instructions)
  const output = new Uint8Array(4096)
  const { retval, outputBytes } = testRun({ fd, data: frame, output })
  closeBpf(fd)
  const outcome = machine.run(frame)
  assert.equal(outcome.kind, 'return', JSON.stringify(outcome))
  assert.equal(outcome.value, retval, what)
  // Metadata, which the kernel puts out before the frame, and new bytes at its head are whatever lay there.
  const end = machine.frame().subarray(-frame.length)
  assert.deepEqual(end, output.subarray(outputBytes - end.length, outputBytes), what)
  assert.equal(machine.frame().length + metadataBytes, outputBytes, what)
}

function moved(helper: string, delta: number): Item[] {
  return [mov64(R6, R1), mov64(R2, delta), call(helperId(helper)), exit()]
}

/** Sums over two pieces of the frame, one right behind the other. */
function checksum(fromBytes: number, toBytes: number, random: Random): Item[] {
  return [
    ...frameInR6(),
    mov64(R1, fromBytes ? R6 : 0),
    mov64(R2, fromBytes),
    mov64(R3, toBytes ? R6 : 0),
    ...(toBytes ? [alu64('add', R3, fromBytes)] : []),
    mov64(R4, toBytes),
    mov32(R5, random.pick([0, 0xffffffff, random.word()])),
    call(helperId('bpf_csum_diff')),
    exit(),
  ]
}

/** Frame: operation (0 look up, 1 update, 2 delete), flags, then at 8 the key and at 24 the value. */
function mapProgram(map: string): Item[] {
  return [
    ...frameInR6(),
    loadMap(R1, map),
    mov64(R2, R6),
    alu64('add', R2, 8),
    load('u32', R4, R6, 4),
    load('u32', R5, R6, 0),
    jumpIf(R5, '==', 1, 'update'),
    jumpIf(R5, '==', 2, 'delete'),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, 'absent'),
    load('u32', R1, R0, 0),
    alu64('add', R1, 1),
    store('u32', R0, 0, R1),
    mov64(R0, R1),
    exit(),
    label('absent'),
    mov64(R0, 1_000_000),
    exit(),
    label('update'),
    mov64(R3, R6),
    alu64('add', R3, 24),
    call(helperId('bpf_map_update_elem')),
    exit(),
    label('delete'),
    call(helperId('bpf_map_delete_elem')),
    exit(),
  ]
}

function frameInR6(): Item[] {
  return [
    load('u32', R6, R1, 0),
    load('u32', R2, R1, 4),
    mov64(R3, R6),
    alu64('add', R3, FRAME_BYTES),
    jumpIf(R3, '<=', R2, 'long enough'),
    mov64(R0, 0),
    exit(),
    label('long enough'),
  ]
}

/** Few different keys, so that they are found, full maps, and now and then a flag that is wrong. */
function mapFrame(random: Random, spec: MapSpec): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES)
  const view = new DataView(frame.buffer)
  view.setUint32(0, random.below(3), true)
  view.setUint32(4, random.pick([0, 0, 0, 1, 2, 3]), true)
  view.setUint32(24, random.below(1000), true)
  if (spec.kind === 'lpm-trie') {
    view.setUint32(8, random.pick([0, 1, 7, 8, 9, 16, 31, 32, 33]), true)
    for (let at = 12; at < 16; at++) frame[at] = random.pick([0, 128, 192])
  } else view.setUint32(8 + random.below(spec.keyBytes / 4) * 4, random.below(5), true)
  return frame
}

function randomFrame(random: Random): Uint8Array {
  return Uint8Array.from({ length: FRAME_BYTES }, () => random.below(256))
}

function withDescriptor(instructions: readonly Instruction[], slots: ReadonlySet<number>, fd: number): Instruction[] {
  let slot = 0
  return instructions.map((instruction) => {
    const at = slot
    slot += instruction.opcode === 0x18 ? 2 : 1
    return slots.has(at) ? { ...instruction, imm: fd } : instruction
  })
}

function loaded(instructions: readonly Instruction[]): number {
  const code = encode(instructions)
  const result = loadProgramCode({ name: 'helpers', code, license: 'GPL', flags: 0, logLevel: 1 })
  if (result.fd === null) assert.fail(`errno ${result.errno}\n${result.log.slice(-2000)}`)
  return result.fd
}
