import { execute, type Helper } from './execute.js'
import { helperId } from './helper-names.js'
import { answer, readable } from './helpers.js'
import { createBase, type InterpreterMap, type InterpreterOptions, type Outcome } from './interpreter.js'
import { type Memory, openRegion, REGION, REGION_SHIFT } from './memory.js'
import type { Program } from './program.js'

/** What comes with a frame, all zero or empty unless told. */
export interface XdpInput {
  /** Length on the wire, where `frame` is only its start; bpf_xdp_get_buff_len gives it. */
  readonly wireLengthBytes?: number
  /** Bytes before the frame, from `data_meta` to `data`; at most 216, a multiple of 4. */
  readonly metadata?: Uint8Array
  /** Interface index. */
  readonly ingressInterface?: number
  readonly receiveQueue?: number
  /** Interface index; only programs of a devmap see one. */
  readonly egressInterface?: number
}

/** Settings of a machine for XDP programs. */
export interface XdpOptions extends InterpreterOptions {
  /** The longest frame that it takes; 262,144 unless told, as much as tcpdump captures. */
  readonly maxFrameBytes?: number
}

/** An XDP program made ready to run on many frames; nothing is allocated for a frame. */
export interface XdpMachine {
  /** `value` of what is returned is the verdict. The frame is copied in and stays as it is. */
  run(frame: Uint8Array, input?: XdpInput): Outcome
  /** The frame as the last run left it: a view, valid until the next run. */
  frame(): Uint8Array
  /** The maps by name: they keep what the program writes. */
  readonly maps: ReadonlyMap<string, InterpreterMap>
}

/** Fields of struct xdp_md (include/uapi/linux/bpf.h), as offsets. */
const CONTEXT = { data: 0, dataEnd: 4, dataMeta: 8, ingress: 12, queue: 16, egress: 20, bytes: 24 } as const

/** XDP_PACKET_HEADROOM; its first bytes hold struct xdp_frame, which a program may not overwrite. */
const HEADROOM = 256
const FRAME_STRUCT_BYTES = 40
const MAX_METADATA_BYTES = HEADROOM - FRAME_STRUCT_BYTES
/** What the kernel's test run gives a frame: a page less struct skb_shared_info, which bounds growth at the tail. */
const PAGE_ROOM = 4096 - 320
const ETHERNET_HEADER = 14
const EACCES = -13
const EINVAL = -22
const NOTHING: XdpInput = {}

/** Makes a machine. Throws an AssemblerError for a program that the verifier could not even read. */
export function prepare(
  program: Pick<Program, 'instructions' | 'relocations' | 'maps'>,
  options: XdpOptions = {},
): XdpMachine {
  const maxFrameBytes = options.maxFrameBytes ?? 262_144
  const packetBytes = Math.max(HEADROOM + maxFrameBytes, PAGE_ROOM)
  const packet = { at: 0, hardEnd: 0, wireLengthBytes: 0 }
  const { machine, maps, ownAt } = createBase(program, CONTEXT.bytes + packetBytes, xdpHelpers(packet), options)
  const { memory } = machine
  openRegion(memory, REGION.context, ownAt, CONTEXT.bytes, false)
  packet.at = ownAt + CONTEXT.bytes
  memory.base[REGION.packet] = packet.at
  return {
    maps,
    run(frame, input = NOTHING) {
      const { metadata } = input
      if (frame.length > maxFrameBytes)
        throw new RangeError(`a frame of ${frame.length} bytes; this machine takes ${maxFrameBytes}, set maxFrameBytes`)
      if (metadata && (metadata.length > MAX_METADATA_BYTES || metadata.length & 3))
        throw new RangeError(
          `metadata of ${metadata.length} bytes; make it at most ${MAX_METADATA_BYTES}, a multiple of 4`,
        )
      memory.bytes.set(frame, packet.at + HEADROOM)
      if (metadata) memory.bytes.set(metadata, packet.at + HEADROOM - metadata.length)
      packet.hardEnd = Math.max(PAGE_ROOM, HEADROOM + frame.length)
      packet.wireLengthBytes = Math.max(input.wireLengthBytes ?? 0, frame.length)
      setBounds(memory, HEADROOM - (metadata?.length ?? 0), HEADROOM, HEADROOM + frame.length)
      const context = memory.base[REGION.context]
      memory.view.setInt32(context + CONTEXT.ingress, input.ingressInterface ?? 0, true)
      memory.view.setInt32(context + CONTEXT.queue, input.receiveQueue ?? 0, true)
      memory.view.setInt32(context + CONTEXT.egress, input.egressInterface ?? 0, true)
      machine.lo[1] = REGION.context << REGION_SHIFT
      machine.hi[1] = 0
      return execute(machine)
    },
    frame: () => memory.bytes.subarray(packet.at + dataOf(memory), packet.at + memory.readEnd[REGION.packet]),
  }
}

/** The verdict of one program on one frame; for many frames, `prepare` once. */
export function runXdp(
  program: Pick<Program, 'instructions' | 'relocations' | 'maps'>,
  frame: Uint8Array,
  options: XdpOptions & XdpInput = {},
): Outcome {
  return prepare(program, { maxFrameBytes: frame.length, ...options }).run(frame, options)
}

interface Packet {
  /** Index in memory of the start of the headroom, which is offset 0 of the region. */
  at: number
  /** Offset that the frame's end may not pass. */
  hardEnd: number
  wireLengthBytes: number
}

/** Helpers of XDP programs. Frames are in one piece: what lies beyond `data_end` cannot be read. */
function xdpHelpers(packet: Packet): Record<number, Helper> {
  return {
    [helperId('bpf_xdp_get_buff_len')]: (machine) => answer(machine, packet.wireLengthBytes),
    [helperId('bpf_xdp_adjust_head')]: (machine) => {
      const { memory, lo } = machine
      const data = dataOf(memory) + lo[2]
      const meta = memory.low[REGION.packet] + lo[2]
      const end = memory.readEnd[REGION.packet]
      if (meta < FRAME_STRUCT_BYTES || data > end - ETHERNET_HEADER) return answer(machine, EINVAL)
      // The metadata stays before the frame, so it moves along.
      memory.bytes.copyWithin(packet.at + meta, packet.at + memory.low[REGION.packet], packet.at + dataOf(memory))
      packet.wireLengthBytes -= lo[2]
      setBounds(memory, meta, data, end)
      return answer(machine, 0)
    },
    [helperId('bpf_xdp_adjust_tail')]: (machine) => {
      const { memory, lo } = machine
      const end = memory.readEnd[REGION.packet]
      const moved = end + lo[2]
      if (moved > packet.hardEnd || moved < dataOf(memory) + ETHERNET_HEADER) return answer(machine, EINVAL)
      if (moved > end) memory.bytes.fill(0, packet.at + end, packet.at + moved)
      packet.wireLengthBytes += lo[2]
      setBounds(memory, memory.low[REGION.packet], dataOf(memory), moved)
      return answer(machine, 0)
    },
    [helperId('bpf_xdp_adjust_meta')]: (machine) => {
      const { memory, lo } = machine
      const meta = memory.low[REGION.packet] + lo[2]
      const data = dataOf(memory)
      if (meta < FRAME_STRUCT_BYTES || meta > data) return answer(machine, EINVAL)
      if ((data - meta) & 3) return answer(machine, EACCES)
      setBounds(memory, meta, data, memory.readEnd[REGION.packet])
      return answer(machine, 0)
    },
    [helperId('bpf_xdp_load_bytes')]: (machine) => {
      const { memory, lo } = machine
      const from = bytesAt(memory, packet, lo[2], lo[4])
      const to = readable(machine, 3, lo[4])
      if (to < 0) return 'the buffer of the helper does not lie in readable memory'
      if (from < 0) return answer(machine, EINVAL)
      memory.bytes.copyWithin(to, from, from + lo[4])
      return answer(machine, 0)
    },
    [helperId('bpf_xdp_store_bytes')]: (machine) => {
      const { memory, lo } = machine
      const to = bytesAt(memory, packet, lo[2], lo[4])
      const from = readable(machine, 3, lo[4])
      if (from < 0) return 'the buffer of the helper does not lie in readable memory'
      if (to < 0) return answer(machine, EINVAL)
      memory.bytes.copyWithin(to, from, from + lo[4])
      return answer(machine, 0)
    },
  }
}

/** Index in memory of a piece of the frame, or -1. */
function bytesAt(memory: Memory, packet: Packet, offset: number, length: number): number {
  const start = dataOf(memory) + offset
  const isInside = offset >= 0 && length >= 0 && start + length <= memory.readEnd[REGION.packet]
  return isInside ? packet.at + start : -1
}

function setBounds({ view, base, low, readEnd, writeEnd }: Memory, meta: number, data: number, end: number): void {
  const context = base[REGION.context]
  const region = REGION.packet << REGION_SHIFT
  view.setInt32(context + CONTEXT.data, region + data, true)
  view.setInt32(context + CONTEXT.dataEnd, region + end, true)
  view.setInt32(context + CONTEXT.dataMeta, region + meta, true)
  low[REGION.packet] = meta
  readEnd[REGION.packet] = end
  writeEnd[REGION.packet] = end
}

/** Offset of the frame's first byte in its region. */
function dataOf({ view, base }: Memory): number {
  return view.getInt32(base[REGION.context] + CONTEXT.data, true) - (REGION.packet << REGION_SHIFT)
}
