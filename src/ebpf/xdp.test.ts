import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  alu64,
  assemble,
  atomic,
  call,
  callLocal,
  exit,
  helperId,
  type Item,
  jump,
  jumpIf,
  label,
  load,
  loadMap,
  loadMapValue,
  type MapSpec,
  mov32,
  mov64,
  parseText,
  prepare,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  R10,
  runCode,
  runXdp,
  store,
  type XdpOptions,
} from './index.js'

const FRAME = Uint8Array.from({ length: 60 }, (_, index) => index)
const COUNTERS: MapSpec = { name: 'counters', kind: 'percpu-array', keyBytes: 4, valueBytes: 16, maxEntries: 4 }

test('a program reads the frame between data and data_end and returns a verdict', () => {
  const machine = machineOf([
    load('u32', R2, R1, 0),
    load('u32', R3, R1, 4),
    mov64(R4, R2),
    alu64('add', R4, 14),
    mov32(R0, 2),
    jumpIf(R4, '>', R3, 'end'),
    load('u8', R0, R2, 13),
    label('end'),
    exit(),
  ])
  assert.equal(verdictOf(machine.run(FRAME)), 13)
  assert.equal(verdictOf(machine.run(FRAME.subarray(0, 14))), 13)
  assert.equal(verdictOf(machine.run(FRAME.subarray(0, 13))), 2)
  assert.equal(verdictOf(machine.run(FRAME)), 13)
})

test('what comes with a frame is in the context', () => {
  const fields = { ingressInterface: 3, receiveQueue: 5, egressInterface: 7 }
  for (const [offset, value] of [[12, 3] as const, [16, 5] as const, [20, 7] as const]) {
    const machine = machineOf([load('u32', R0, R1, offset), exit()])
    assert.equal(verdictOf(machine.run(FRAME, fields)), value)
    assert.equal(verdictOf(machine.run(FRAME)), 0)
  }
})

test('metadata lies before the frame', () => {
  const machine = machineOf([load('u32', R2, R1, 8), load('u32', R0, R2, 0), exit()])
  assert.equal(verdictOf(machine.run(FRAME, { metadata: Uint8Array.of(1, 2, 0, 0) })), 0x201)
  assert.equal(verdictOf(machine.run(FRAME)), 0x03020100)
  assert.throws(() => machine.run(FRAME, { metadata: new Uint8Array(3) }), RangeError)
})

test('a captured frame has the length that it had on the wire', () => {
  const machine = machineOf([call(helperId('bpf_xdp_get_buff_len')), exit()])
  assert.equal(verdictOf(machine.run(FRAME, { wireLengthBytes: 1514 })), 1514)
  assert.equal(verdictOf(machine.run(FRAME)), 60)
})

test('the frame that is given stays, the frame that is left can be read', () => {
  const machine = machineOf([load('u32', R2, R1, 0), store('u16', R2, 0, 0x0201), mov64(R0, 3), exit()])
  machine.run(FRAME)
  assert.deepEqual([...FRAME.subarray(0, 3)], [0, 1, 2])
  assert.deepEqual([...machine.frame().subarray(0, 3)], [1, 2, 2])
  assert.equal(machine.frame().length, 60)
})

const FAULTS: readonly (readonly [what: string, items: Item[], reason: RegExp, slot: number])[] = [
  [
    'behind the frame',
    [load('u32', R2, R1, 0), load('u8', R0, R2, 60), exit()],
    /^load of 1 bytes at 0x0{8}02000100\+60/,
    1,
  ],
  ['half behind the frame', [load('u32', R2, R1, 0), load('u32', R0, R2, 57), exit()], /load of 4 bytes/, 1],
  ['before the frame', [load('u32', R2, R1, 0), load('u8', R0, R2, -1), exit()], /load of 1 bytes/, 1],
  ['nowhere', [mov64(R2, 0), load('u8', R0, R2), exit()], /load of 1 bytes at 0x0{16}\+0/, 1],
  ['above 32 bits', [mov64(R2, -1), load('u8', R0, R2), exit()], /at 0xf{16}\+0/, 1],
  ['into the context', [store('u32', R1, 0, 1), exit()], /store of 4 bytes.*may be written/, 0],
  ['behind the context', [load('u32', R0, R1, 24), exit()], /load of 4 bytes/, 0],
  ['above the stack', [load('u64', R0, R10, 0), exit()], /load of 8 bytes/, 0],
  ['below the stack', [store('u8', R10, -513, 1), exit()], /store of 1 bytes/, 0],
  ['misaligned', [mov64(R0, 0), atomic('add', 'u64', R10, -12, R0), exit()], /not aligned/, 1],
  ['unknown helper', [call(6), exit()], /^bpf_trace_printk#6 is not among the helpers/, 0],
  ['a map that is none', [mov64(R1, 5), call(1), exit()], /first argument of the helper is no map/, 1],
  ['no end', [label('a'), jump('a')], /no exit within 1000 instructions/, 0],
  ['endless recursion', [label('f'), callLocal('f'), exit()], /nested more than 8 deep/, 0],
]

test('a fault is a result that names its place, and the next run is as the first', () => {
  for (const [what, items, reason, slot] of FAULTS) {
    const machine = prepare({ ...assemble(items), maps: [] }, { stepLimit: 1000 })
    for (let run = 0; run < 2; run++) {
      const outcome = machine.run(FRAME)
      assert.equal(outcome.kind, 'fault', what)
      assert.match(outcome.kind === 'fault' ? outcome.reason : '', reason, what)
      assert.equal(outcome.kind === 'fault' && outcome.slot, slot, what)
    }
  }
})

test('the stack of a function that returned cannot be read, that of a caller can', () => {
  const returned = [callLocal('f'), load('u8', R0, R0, -1), exit(), label('f'), mov64(R0, R10), exit()]
  assert.equal(machineOf(returned).run(FRAME).kind, 'fault')
  const callers = [
    store('u64', R10, -8, 42),
    mov64(R1, R10),
    callLocal('f'),
    exit(),
    label('f'),
    load('u64', R0, R1, -8),
    exit(),
  ]
  assert.equal(verdictOf(machineOf(callers).run(FRAME)), 42)
})

test('maps keep what programs and their user write', () => {
  const { instructions, relocations } = assemble([
    store('u32', R10, -4, 2),
    loadMap(R1, 'counters'),
    mov64(R2, R10),
    alu64('add', R2, -4),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, 'end'),
    mov64(R1, 1),
    atomic('add', 'u64', R0, 8, R1),
    load('u64', R6, R0, 0),
    mov64(R0, R6),
    label('end'),
    exit(),
  ])
  const machine = prepare({ instructions, relocations, maps: [COUNTERS] })
  const counters = machine.maps.get('counters')
  assert.ok(counters)
  counters.update(Uint8Array.of(2, 0, 0, 0), Uint8Array.of(9, ...new Uint8Array(15)))
  for (let run = 0; run < 300; run++) assert.equal(verdictOf(machine.run(FRAME)), 9)
  assert.deepEqual([...counters.lookup(Uint8Array.of(2, 0, 0, 0))!.subarray(8, 11)], [44, 1, 0])
  assert.equal(counters.lookup(Uint8Array.of(4, 0, 0, 0)), undefined)
  assert.equal([...counters.entries()].length, 4)
  assert.throws(() => counters.lookup(Uint8Array.of(1)), RangeError)
})

test('array values are reached without a call, also behind 16 MiB', () => {
  const table: MapSpec = { name: 'table', kind: 'array', keyBytes: 4, valueBytes: 20 << 20, maxEntries: 1 }
  const beyond = (17 << 20) + 4
  const program = assemble([
    loadMapValue(R1, 'table', beyond),
    store('u32', R1, 0, 7),
    loadMapValue(R2, 'table', (1 << 24) - 2),
    store('u32', R2, 0, -1),
    load('u32', R0, R1, 0),
    exit(),
  ])
  const machine = prepare({ ...program, maps: [table] })
  assert.equal(verdictOf(machine.run(FRAME)), 7)
  const value = machine.maps.get('table')!.lookup(new Uint8Array(4))!
  assert.deepEqual([...value.subarray((1 << 24) - 3, (1 << 24) + 3)], [0, 255, 255, 255, 255, 0])
  assert.equal(value[beyond], 7)
})

test('redirects give the verdict that the map allows', () => {
  const sockets: MapSpec = { name: 'sockets', kind: 'xskmap', keyBytes: 4, valueBytes: 4, maxEntries: 4 }
  const program = assemble([
    loadMap(R1, 'sockets'),
    mov64(R2, 1),
    mov64(R3, 2),
    call(helperId('bpf_redirect_map')),
    exit(),
  ])
  const machine = prepare({ ...program, maps: [sockets] })
  assert.equal(verdictOf(machine.run(FRAME)), 2)
  machine.maps.get('sockets')!.update(Uint8Array.of(1, 0, 0, 0), Uint8Array.of(8, 0, 0, 0))
  assert.equal(verdictOf(machine.run(FRAME)), 4)
})

test('clock, random numbers and helpers can be given', () => {
  const options: XdpOptions = {
    clock: () => 2 ** 33 + 5,
    random: () => 0xdeadbeef,
    helpers: {
      9999: ({ lo, hi }) => {
        lo[0] = lo[1] + lo[2]
        hi[0] = 0
        return undefined
      },
    },
  }
  const run = (...items: Item[]) => runXdp({ ...assemble([...items, exit()]), maps: [] }, FRAME, options)
  assert.deepEqual({ ...run(call(helperId('bpf_ktime_get_ns'))) }, { kind: 'return', value: 5, high: 2, steps: 2 })
  assert.equal(verdictOf(run(call(helperId('bpf_get_prandom_u32')))), 0xdeadbeef)
  assert.equal(verdictOf(run(mov64(R1, 40), mov64(R2, 2), call(9999))), 42)
})

test('programs that cannot run are refused with their slot', () => {
  const refused = (text: string) => {
    try {
      runCode(parseText(text))
    } catch (error) {
      return String(error)
    }
    return 'accepted'
  }
  assert.match(refused('ldabsb 3\nexit'), /slot 0: the interpreter has no 'r0 = \*\(u8 \*\)skb\[3\]'/)
  assert.match(refused('mov %r0, 0\ncall kernel 5, 0\nexit'), /slot 1: the interpreter has no 'call kernel-function#5'/)
  assert.match(refused('mov %r10, 0\nexit'), /slot 0: R10 is read-only/)
  assert.match(refused('mov %r0, 0'), /slot 0: the function runs off its end/)
  assert.match(refused('lddw mapFd %r1, 3\nexit'), /slot 0: the map 'without a name' is not among/)
})

function machineOf(items: readonly Item[]): ReturnType<typeof prepare> {
  return prepare({ ...assemble(items), maps: [] })
}

function verdictOf(outcome: ReturnType<typeof runXdp>): number {
  assert.equal(outcome.kind, 'return', JSON.stringify(outcome))
  return outcome.value
}
