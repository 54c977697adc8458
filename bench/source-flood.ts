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
  loadMapValue,
  mov32,
  mov64,
  type Program,
  R0,
  R1,
  R6,
  R7,
  R8,
  R9,
  store,
  toBigEndian,
} from '../src/ebpf/index.js'

/**
 * A generator of packets that all have another source: each is drawn anew from
 * many, so that a table under test is read as a flood from everywhere reads it.
 * A program for live frames (BPF_F_TEST_XDP_LIVE_FRAMES), without pacing.
 */

/** Addresses of one family that packets come from; one word each for IPv4, four for IPv6. */
export type Sources =
  /** `count` addresses that only arithmetic knows: reading a list would cost the generator what is to be measured. */
  | { readonly kind: 'scattered'; readonly family: 4 | 6; readonly count: number }
  /** One of the prefixes, and then one of its addresses. */
  | { readonly kind: 'prefixes'; readonly family: 4 | 6; readonly words: Uint32Array; readonly lengths: Uint8Array }

const LIST = 'flood_sources'
const XDP_ABORTED = 0
const XDP_TX = 3
const FRAME_BYTES = 60
const SOURCE_AT = { 4: 26, 6: 22 } as const
/** A list entry: four words of the network, four of the host bits. */
const ENTRY_BYTES = 32

/** Word `index` of the scattered addresses: MurmurHash3's finalizer, which meets each 32-bit number once. */
export function scatteredWord(index: number): number {
  let word = index
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
  return (word ^ (word >>> 16)) >>> 0
}

/** A frame of the family, with zeros where the generator writes the source. */
export function sourceFrame(family: 4 | 6): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES)
  frame.set(family === 4 ? [0x08, 0x00, 0x45] : [0x86, 0xdd, 0x60], 12)
  return frame
}

/** The program that writes a source into each frame and sends it. */
export function sourceFloodProgram(sources: Sources): Program {
  const at = SOURCE_AT[sources.family]
  const width = sources.family === 4 ? 1 : 4
  const items: Item[] = [
    load('u32', R7, R1, 0),
    load('u32', R8, R1, 4),
    mov64(R0, R7),
    alu64('add', R0, at + width * 4),
    jumpIf(R0, '>', R8, 'short'),
    call(helperId('bpf_get_prandom_u32')),
    ...(sources.kind === 'scattered' ? writeScattered(sources.count, width, at) : writeFromList(sources, width, at)),
    mov64(R0, XDP_TX),
    exit(),
    label('short'),
    mov64(R0, XDP_ABORTED),
    exit(),
  ]
  const maps = sources.kind === 'scattered' ? [] : [listMap(sources, width)]
  return { name: 'sluice_sources', type: 'xdp', license: 'GPL', multiBuffer: false, maps, ...assemble(items) }
}

function writeScattered(count: number, width: number, at: number): Item[] {
  const finalize = (shift: number, multiplier: number | null): Item[] => [
    mov32(R1, R6),
    alu32('rsh', R1, shift),
    alu32('xor', R6, R1),
    ...(multiplier === null ? [] : [alu32('mul', R6, multiplier)]),
  ]
  return [
    alu32('mod', R0, count),
    alu32('mul', R0, width),
    ...Array.from({ length: width }, (_, word) => [
      mov32(R6, R0),
      alu32('add', R6, word),
      ...finalize(16, 0x85ebca6b),
      ...finalize(13, 0xc2b2ae35),
      ...finalize(16, null),
      toBigEndian(32, R6),
      store('u32', R7, at + 4 * word, R6),
    ]).flat(),
  ]
}

function writeFromList({ lengths }: Sources & { kind: 'prefixes' }, width: number, at: number): Item[] {
  return [
    alu32('mod', R0, lengths.length),
    // Never: the verifier takes no bound from a remainder.
    jumpIf(R0, '>=', lengths.length, 'short'),
    alu64('lsh', R0, Math.log2(ENTRY_BYTES)),
    loadMapValue(R9, LIST),
    alu64('add', R9, R0),
    ...Array.from({ length: width }, (_, word) => [
      call(helperId('bpf_get_prandom_u32')),
      load('u32', R1, R9, 16 + 4 * word),
      alu32('and', R0, R1),
      load('u32', R1, R9, 4 * word),
      alu32('or', R0, R1),
      toBigEndian(32, R0),
      store('u32', R7, at + 4 * word, R0),
    ]).flat(),
  ]
}

function listMap({ words, lengths }: Sources & { kind: 'prefixes' }, width: number) {
  const list = new Uint32Array((lengths.length * ENTRY_BYTES) / 4)
  lengths.forEach((length, prefix) => {
    for (let word = 0; word < width; word++) {
      const bits = length - 32 * word
      const hostBits = bits >= 32 ? 0 : bits <= 0 ? 0xffffffff : 0xffffffff >>> bits
      list[prefix * 8 + word] = words[prefix * width + word]! & ~hostBits
      list[prefix * 8 + 4 + word] = hostBits
    }
  })
  const bytes = new Uint8Array(list.buffer)
  const shape = { keyBytes: 4, valueBytes: bytes.length, maxEntries: 1, flags: 1 << 10 } as const
  return { name: LIST, kind: 'array', ...shape, contents: { at: 0, bytes } } as const
}
