import {
  alu32,
  alu64,
  assemble,
  call,
  exit,
  helperId,
  type Item,
  jumpIf,
  label,
  load,
  loadMap,
  loadMapValue,
  type MapSpec,
  mov32,
  mov64,
  neg64,
  type Program,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R9,
  R10,
  type Register,
  store,
  toBigEndian,
  XDP,
} from '../ebpf/index.js'
import { parseAddress } from '../kernel/index.js'
import { addWords, ETHERNET, IP_PROTOCOL, IPV4 } from '../wire/index.js'
import {
  FLOOD_FIELDS,
  type FloodSpec,
  floodTemplate,
  packetBytes,
  SMALLEST_FRAME_BYTES,
  transportFields,
} from './flood-frame.js'
import type { FloodConsumer } from './flood-orders.js'

/**
 * The generator's program: the kernel runs it once for each live frame
 * (BPF_F_TEST_XDP_LIVE_FRAMES). It draws the packet's fields, waits until the
 * packet is due, and returns XDP_TX, which sends the frame. Pacing inside the
 * program keeps frames evenly spaced: a veth ring has 256 slots, and a
 * generator that sleeps between bursts overflows it.
 */

/** The one map: an array of one value, laid out by FLOOD_STATE. */
export const FLOOD_MAP = 'flood_state'

/** Byte offsets of 64-bit words. Times count 1/256 ns, so that rates up to 10 Mpps are within 0.1 %. */
export const FLOOD_STATE = {
  due: 0,
  interval: 8,
  slack: 16,
  sent: 24,
  bytes: 32,
  late: 40,
  heldBack: 48,
  holding: 56,
  gone: 64,
  size: 72,
} as const

/** The map of the consumer that a generator with feedback reads. */
export const CONSUMER_MAP = 'flood_consumer'

/** log2 of the parts of a nanosecond that times count. */
export const TIME_SHIFT = 8

/** Turns of the waiting loop, about 30 ns each: longer gaps are waited out in user space. */
const WAIT_TURNS = 1024
const CONTEXT = { data: 0, dataEnd: 4 } as const
const STACK = { source: -8, port: -16, sequence: -24, size: -32, key: -36 } as const

/** Frames on their way that a ring of 256 slots can still hold: less two bursts, and some of the service's. */
const MOST_IN_FLIGHT = 192
/** One in 2^4 packets may be held back. */
const HOLD_SHIFT = 4
/** So many held back in a row mean that packets were lost on the way, not that the victim stands still. */
const MOST_HELD_IN_ROW = 4096

/**
 * The program for one flood; with a consumer it holds packets back while the
 * victim's core stands still. Throws RangeError where the description cannot
 * be a frame.
 */
export function floodProgram(spec: FloodSpec, consumer?: FloodConsumer): Program {
  const items: Item[] = [
    mov64(R6, R1),
    ...drawSize(spec),
    ...drawRandom(spec),
    load('u32', R7, R6, CONTEXT.data),
    load('u32', R8, R6, CONTEXT.dataEnd),
    mov64(R2, R7),
    alu64('add', R2, FLOOD_FIELDS.transport + transportFields(spec.kind).headerBytes),
    jumpIf(R2, '>', R8, 'too short'),
    ...writeFields(spec),
    ...waitUntilDue(),
    ...(consumer === undefined ? [] : holdBackWhileFull(consumer)),
    ...countAndSend(),
    label('too short'),
    mov64(R0, XDP.aborted),
    exit(),
  ]
  return {
    name: 'sluice_flood',
    type: 'xdp',
    license: 'GPL',
    multiBuffer: false,
    maps: [
      { name: FLOOD_MAP, kind: 'array', keyBytes: 4, valueBytes: FLOOD_STATE.size, maxEntries: 1 },
      ...(consumer === undefined ? [] : [consumerSpec(consumer)]),
    ],
    ...assemble(items),
  }
}

/** Cuts the frame, which came as long as the flood's longest, and leaves its size on the stack. */
function drawSize({ bytes: { least, most } }: FloodSpec): Item[] {
  if (least === most) return [mov64(R1, most), store('u64', R10, STACK.size, R1)]
  return [
    call(helperId('bpf_get_prandom_u32')),
    alu32('mod', R0, most - least + 1),
    mov64(R1, most),
    alu64('sub', R1, R0),
    store('u64', R10, STACK.size, R1),
    mov64(R2, R0),
    neg64(R2),
    mov64(R1, R6),
    call(helperId('bpf_xdp_adjust_tail')),
    jumpIf(R0, '!=', 0, 'too short'),
  ]
}

/** Source address and port, and a sequence number, in network order on the stack. */
function drawRandom({ sources }: FloodSpec): Item[] {
  const prefix = new DataView(parseAddress(sources.address).buffer).getUint32(0)
  return [
    ...drawHost(sources),
    alu32('or', R0, prefix),
    toBigEndian(32, R0),
    store('u64', R10, STACK.source, R0),
    call(helperId('bpf_get_prandom_u32')),
    // Never a reserved port: the low byte here is the high byte on the wire.
    alu32('and', R0, 0xffff),
    alu32('or', R0, 0x04),
    store('u64', R10, STACK.port, R0),
    call(helperId('bpf_get_prandom_u32')),
    store('u64', R10, STACK.sequence, R0),
  ]
}

/** R0 = the source's bits behind the prefix. */
function drawHost({ length, inTurn }: FloodSpec['sources']): Item[] {
  if (inTurn !== undefined)
    return [loadMapValue(R1, FLOOD_MAP), load('u64', R0, R1, FLOOD_STATE.sent), alu64('mod', R0, inTurn)]
  const hostMask = length === 0 ? 0xffffffff : 2 ** (32 - length) - 1
  return [call(helperId('bpf_get_prandom_u32')), alu32('and', R0, hostMask)]
}

/**
 * Writes what was drawn and both checksums. Sums are built from words as they
 * lie in memory: the one's complement sum is the same in either byte order
 * (RFC 1071, section 2 (B)).
 */
function writeFields(spec: FloodSpec): Item[] {
  const fields = transportFields(spec.kind)
  const template = floodTemplate(spec)
  const ipSum = nativeSum(template.subarray(ETHERNET.headerBytes, FLOOD_FIELDS.transport))
  const protocol = spec.kind === 'syn' ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp
  const pseudo = nativeSum(template.subarray(FLOOD_FIELDS.source, FLOOD_FIELDS.transport)) + (protocol << 8)
  const transportSum = pseudo + nativeSum(template.subarray(FLOOD_FIELDS.transport))
  return [
    load('u64', R1, R10, STACK.source),
    load('u64', R2, R10, STACK.port),
    ...lengthsInto(R3, R4, spec),
    store('u32', R7, FLOOD_FIELDS.source, R1),
    store('u16', R7, FLOOD_FIELDS.transport, R2),
    store('u16', R7, FLOOD_FIELDS.ipTotalLength, R3),
    ...(fields.length === null ? [] : [store('u16', R7, fields.length, R4)]),
    // IPv4 header: R5 is not needed, R0 sums.
    mov64(R0, ipSum),
    ...addHalves(R0, R1, R9),
    alu64('add', R0, R3),
    ...foldInto(R0, R9),
    store('u16', R7, FLOOD_FIELDS.ipChecksum, R0),
    // Transport: the UDP length counts twice, in the header and in the pseudo-header.
    mov64(R0, transportSum),
    ...addHalves(R0, R1, R9),
    alu64('add', R0, R2),
    alu64('add', R0, R4),
    ...(fields.length === null ? [] : [alu64('add', R0, R4)]),
    ...(fields.sequence === null
      ? []
      : [load('u64', R1, R10, STACK.sequence), store('u32', R7, fields.sequence, R1), ...addHalves(R0, R1, R9)]),
    ...foldInto(R0, R9),
    store('u16', R7, fields.checksum, R0),
  ]
}

/** `total` = IP length, `payload` = transport length, both in network order. */
function lengthsInto(total: Register, payload: Register, { kind, bytes }: FloodSpec): Item[] {
  const padded = packetBytes(kind, SMALLEST_FRAME_BYTES)
  return [
    load('u64', total, R10, STACK.size),
    alu64('sub', total, ETHERNET.headerBytes),
    ...(bytes.least > SMALLEST_FRAME_BYTES
      ? []
      : [
          jumpIf(total, '!=', SMALLEST_FRAME_BYTES - ETHERNET.headerBytes, 'not padded'),
          mov64(total, padded),
          label('not padded'),
        ]),
    mov64(payload, total),
    alu64('sub', payload, IPV4.headerBytes),
    toBigEndian(16, total),
    toBigEndian(16, payload),
  ]
}

/** Adds both 16-bit halves of the 32 bits in `word`. */
function addHalves(sum: Register, word: Register, scratch: Register): Item[] {
  return [
    mov32(scratch, word),
    alu32('and', scratch, 0xffff),
    alu64('add', sum, scratch),
    mov32(scratch, word),
    alu32('rsh', scratch, 16),
    alu64('add', sum, scratch),
  ]
}

/** The sum folded to 16 bits and inverted. Two folds do: it is below 2^24. */
function foldInto(sum: Register, scratch: Register): Item[] {
  const fold = [mov64(scratch, sum), alu64('rsh', scratch, 16), alu64('and', sum, 0xffff), alu64('add', sum, scratch)]
  return [...fold, ...fold, alu64('xor', sum, 0xffff)]
}

/**
 * Waits for `due`. A generator that was kept from running makes up for at most
 * `slack`: what it missed beyond that is not sent in a burst but left out.
 */
function waitUntilDue(): Item[] {
  return [
    loadMapValue(R9, FLOOD_MAP),
    load('u64', R8, R9, FLOOD_STATE.due),
    mov64(R6, 0),
    label('wait'),
    call(helperId('bpf_ktime_get_ns')),
    alu64('lsh', R0, TIME_SHIFT),
    jumpIf(R0, '>=', R8, 'due'),
    alu64('add', R6, 1),
    jumpIf(R6, '<', WAIT_TURNS, 'wait'),
    label('due'),
    load('u64', R1, R9, FLOOD_STATE.slack),
    mov64(R2, R8),
    alu64('add', R2, R1),
    jumpIf(R2, '>=', R0, 'in time'),
    mov64(R8, R0),
    alu64('sub', R8, R1),
    load('u64', R2, R9, FLOOD_STATE.late),
    alu64('add', R2, 1),
    store('u64', R9, FLOOD_STATE.late, R2),
    label('in time'),
    load('u64', R1, R9, FLOOD_STATE.interval),
    alu64('add', R8, R1),
    store('u64', R9, FLOOD_STATE.due, R8),
  ]
}

/** The consumer's map as the generator opens it. */
export function consumerSpec({ valueBytes, maxEntries }: FloodConsumer): MapSpec {
  return { name: CONSUMER_MAP, kind: 'percpu-array', keyBytes: 4, valueBytes, maxEntries }
}

/**
 * Leaves the packet out where the ring cannot hold it: a virtual core that its
 * host stops for 200 µs would lose hundreds that no defence ever met. The
 * budget keeps a slow defence from slowing its flood.
 *
 *     sent - gone - consumed < MOST_IN_FLIGHT   or   held back >= sent / 2^HOLD_SHIFT
 *
 * `gone` takes in what was lost after all, so that it is not waited for.
 */
function holdBackWhileFull({ cpu }: FloodConsumer): Item[] {
  return [
    store('u32', R10, STACK.key, 0),
    loadMap(R1, CONSUMER_MAP),
    mov64(R2, R10),
    alu64('add', R2, STACK.key),
    mov64(R3, cpu),
    call(helperId('bpf_map_lookup_percpu_elem')),
    jumpIf(R0, '==', 0, 'send'),
    load('u64', R1, R0, 0),
    load('u64', R2, R9, FLOOD_STATE.sent),
    load('u64', R3, R9, FLOOD_STATE.gone),
    load('u64', R4, R9, FLOOD_STATE.holding),
    mov64(R5, R2),
    alu64('sub', R5, R1),
    alu64('sub', R5, R3),
    jumpIf(R5, 's<', MOST_IN_FLIGHT, 'send'),
    load('u64', R1, R9, FLOOD_STATE.heldBack),
    mov64(R0, R1),
    alu64('lsh', R0, HOLD_SHIFT),
    jumpIf(R0, '>=', R2, 'send'),
    alu64('add', R4, 1),
    jumpIf(R4, '>=', MOST_HELD_IN_ROW, 'forget'),
    store('u64', R9, FLOOD_STATE.holding, R4),
    alu64('add', R1, 1),
    store('u64', R9, FLOOD_STATE.heldBack, R1),
    mov64(R0, XDP.drop),
    exit(),
    label('forget'),
    alu64('add', R3, R5),
    store('u64', R9, FLOOD_STATE.gone, R3),
    label('send'),
    store('u64', R9, FLOOD_STATE.holding, 0),
  ]
}

function countAndSend(): Item[] {
  const add = (field: number, amount: Register | number): Item[] => [
    load('u64', R2, R9, field),
    alu64('add', R2, amount),
    store('u64', R9, field, R2),
  ]
  return [
    ...add(FLOOD_STATE.sent, 1),
    load('u64', R1, R10, STACK.size),
    ...add(FLOOD_STATE.bytes, R1),
    mov64(R0, XDP.tx),
    exit(),
  ]
}

/** The sum of 16-bit words in memory order. */
function nativeSum(bytes: Uint8Array): number {
  const sum = addWords(0, bytes)
  // addWords reads big-endian; the swapped folded sum is the native one (RFC 1071, section 2 (B)).
  const folded = (sum % 0x10000) + Math.floor(sum / 0x10000)
  const twice = (folded & 0xffff) + (folded >>> 16)
  return ((twice & 0xff) << 8) | (twice >>> 8)
}
