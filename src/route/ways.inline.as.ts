import {
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_FLAGS,
  FLAG_TCP,
  FLAGS_SEGMENT_SHIFT,
  FLAGS_TRANSPORT_MASK,
  FLAGS_TRANSPORT_SHIFT,
  METADATA_BYTES,
  METADATA_HAS_FLOW,
  METADATA_HASH,
  METADATA_VALID,
} from '../memory/formats'
import { flowHashOf } from '../wire/flow-hash.inline.as'
import {
  DROP_BLACKHOLE,
  DROP_FORWARDING_OFF,
  DROP_LINK_BROADCAST,
  DROP_MARTIAN,
  DROP_REVERSE_PATH,
  ENTRY_HOP_MASK,
  GROUP_BUCKETS,
  GROUP_SHIFT,
  HOP_ADDRESSES,
  HOP_BUCKETS,
  HOP_SHIFT,
  HOP_WAY,
  KIND_BLACKHOLE,
  KIND_FORWARD,
  KIND_GROUP,
  KIND_LOCAL,
  KIND_NONE,
  KIND_PROHIBIT,
  KIND_UNREACHABLE,
  KIND_UNRESOLVED,
  NOTE_HOP_BEFORE,
  NOTE_NO_ROUTE,
  NOTE_PORT_BEFORE,
  NOTE_PROHIBITED,
  NOTE_REASON_BEFORE,
  NOTE_TIME_EXCEEDED,
  NOTE_UNREACHABLE,
  NOTE_UNRESOLVED,
  PORT_FORWARDS,
  PORT_REVERSE_LOOSE,
  PORT_REVERSE_STRICT,
  PORT_SETTINGS,
  STAGE_PORT,
  STAGE_PORT_LINE,
  STAGE_PORTS,
  TABLES_BUCKETS,
  TABLES_HOPS,
  TABLES_SEED,
  TO_DROPS,
  TO_ERRORS,
  TO_LOCAL,
  TO_UNRESOLVED,
} from './formats'
import { wayKind, wayMtu, wayPort } from './way.inline.as'

/** No output and no drop: the packet may be forwarded. */
export const PASSES: u32 = 0xffffffff

const ETHERNET_BYTES: u32 = 14
const UDP_BYTES: u32 = 8
/** Leaves six bytes of eight. */
export const MAC_SHIFT: u64 = 16
/** Six bytes that are shifted so end in zeros. */
const NO_ADDRESS: u64 = 1
const TCP_OFFSET: usize = 12

/** The port's own address, shifted; no packet has it where each is to be asked about more than the usual. */
export function ownAddress(stage: u32): u64 {
  const port = load<u32>(stage, STAGE_PORT_LINE)
  return load<u32>(port, PORT_SETTINGS) === PORT_FORWARDS ? load<u64>(port) << MAC_SHIFT : NO_ADDRESS
}

/** The next hop of a leaf: of a group, the member that the packet's flow belongs to. */
export function hopOf(tables: u32, leaf: u32, descriptor: u32, packet: u32): u32 {
  const hop = leaf & ENTRY_HOP_MASK
  const line = hopLine(tables, hop)
  if (wayKind(load<u32>(line, HOP_WAY)) !== KIND_GROUP) return hop
  const hash =
    (load<u8>(packet - METADATA_BYTES, METADATA_VALID) & METADATA_HAS_FLOW) !== 0
      ? load<u32>(packet - METADATA_BYTES, METADATA_HASH)
      : flowHashOf(packet, load<u32>(descriptor, DESCRIPTOR_CAPTURED))
  // Who steers by the hash has shared out by its highest bits already.
  const bucket = load<u32>(line, HOP_BUCKETS) + ((hash * load<u32>(tables, TABLES_SEED)) >> GROUP_SHIFT)
  return load<u32>(load<u32>(tables, TABLES_BUCKETS) + (bucket << 2))
}

export function hopLine(tables: u32, hop: u32): u32 {
  return load<u32>(tables, TABLES_HOPS) + (hop << HOP_SHIFT)
}

/** Whether everything is as usual: `judge` need not be asked. */
export function isUsual(stage: u32, way: u32, total: u32, lives: u32, isOwn: bool): bool {
  return (
    isOwn &&
    wayKind(way) === KIND_FORWARD &&
    total <= wayMtu(way) &&
    lives > 1 &&
    (load<u32>(load<u32>(stage, STAGE_PORT_LINE), PORT_SETTINGS) & PORT_FORWARDS) !== 0
  )
}

/**
 * Where a packet goes that is not as usual, or PASSES. `lives` is its time to
 * live, `fault` a note of what else speaks against its way, else 0. The order is
 * that of the kernel's ip_forward: one packet has one reason.
 */
export function judge(stage: u32, packet: u32, hop: u32, way: u32, lives: u32, fault: u32, isOwn: bool): u32 {
  const kind = wayKind(way)
  if (kind === KIND_LOCAL) return load<u32>(stage, STAGE_PORTS) + TO_LOCAL
  if (!isOwn) return TO_DROPS + DROP_LINK_BROADCAST
  if ((load<u32>(load<u32>(stage, STAGE_PORT_LINE), PORT_SETTINGS) & PORT_FORWARDS) === 0)
    return TO_DROPS + DROP_FORWARDING_OFF
  if (kind === KIND_BLACKHOLE) return TO_DROPS + DROP_BLACKHOLE
  if (kind === KIND_NONE) return fail(stage, packet, hop, NOTE_NO_ROUTE)
  if (kind === KIND_UNREACHABLE) return fail(stage, packet, hop, NOTE_UNREACHABLE)
  if (kind === KIND_PROHIBIT) return fail(stage, packet, hop, NOTE_PROHIBITED)
  if (lives < 2) return fail(stage, packet, hop, NOTE_TIME_EXCEEDED)
  if (fault !== 0) return fail(stage, packet, hop, fault)
  if (kind !== KIND_UNRESOLVED) return PASSES
  note(stage, packet, hop, NOTE_UNRESOLVED)
  return load<u32>(stage, STAGE_PORTS) + TO_UNRESOLVED
}

function fail(stage: u32, packet: u32, hop: u32, reason: u32): u32 {
  note(stage, packet, hop, reason)
  return load<u32>(stage, STAGE_PORTS) + TO_ERRORS
}

function note(stage: u32, packet: u32, hop: u32, reason: u32): void {
  store<u8>(packet - NOTE_REASON_BEFORE, <u8>reason)
  store<u8>(packet - NOTE_PORT_BEFORE, <u8>load<u32>(stage, STAGE_PORT))
  store<u32>(packet - NOTE_HOP_BEFORE, hop)
}

/** Bytes from the network header on of the longest packet that a merged one is to be cut into; 0 where it is not merged. */
export function segmentBytes(descriptor: u32, packet: u32): u32 {
  const flags = load<u32>(descriptor, DESCRIPTOR_FLAGS)
  const payload = flags >> FLAGS_SEGMENT_SHIFT
  if (payload === 0) return 0
  const transport = (flags >> FLAGS_TRANSPORT_SHIFT) & FLAGS_TRANSPORT_MASK
  const header = (flags & FLAG_TCP) !== 0 ? (<u32>load<u8>(packet + transport, TCP_OFFSET) >> 4) << 2 : UDP_BYTES
  return transport - ETHERNET_BYTES + header + payload
}

/** Writes the next hop's Ethernet addresses; gives the output of its port. */
export function rewriteEthernet(tables: u32, packet: u32, hop: u32, way: u32): u32 {
  const line = hopLine(tables, hop)
  store<u64>(packet, load<u64>(line, HOP_ADDRESSES))
  store<u32>(packet, load<u32>(line, HOP_ADDRESSES + 8), 8)
  return wayPort(way)
}

/** Whether packets of this stage have to show that their source could be reached. */
export function checksSource(stage: u32): bool {
  return (
    (load<u32>(load<u32>(stage, STAGE_PORT_LINE), PORT_SETTINGS) & (PORT_REVERSE_LOOSE | PORT_REVERSE_STRICT)) !== 0
  )
}

/** What speaks against a packet whose source has that leaf (RFC 3704); else PASSES. */
export function checkSource(stage: u32, tables: u32, leaf: u32): u32 {
  const hop = leaf & ENTRY_HOP_MASK
  const way = load<u32>(hopLine(tables, hop), HOP_WAY)
  const kind = wayKind(way)
  if (kind === KIND_LOCAL) return TO_DROPS + DROP_MARTIAN
  const isStrict = (load<u32>(load<u32>(stage, STAGE_PORT_LINE), PORT_SETTINGS) & PORT_REVERSE_STRICT) !== 0
  const isReachable =
    kind === KIND_GROUP
      ? !isStrict || hasMember(stage, tables, hop)
      : isForPort(way) && (!isStrict || isOfPort(stage, way))
  return isReachable ? PASSES : TO_DROPS + DROP_REVERSE_PATH
}

function isForPort(way: u32): bool {
  const kind = wayKind(way)
  return kind === KIND_FORWARD || kind === KIND_UNRESOLVED
}

function isOfPort(stage: u32, way: u32): bool {
  return isForPort(way) && wayPort(way) === load<u32>(stage, STAGE_PORT)
}

/** Whether a member of a group goes by the port that the packet came by. */
function hasMember(stage: u32, tables: u32, hop: u32): bool {
  const first = load<u32>(tables, TABLES_BUCKETS) + (load<u32>(hopLine(tables, hop), HOP_BUCKETS) << 2)
  for (let at = first; at < first + (GROUP_BUCKETS << 2); at += 4) {
    if (isOfPort(stage, load<u32>(hopLine(tables, load<u32>(at)), HOP_WAY))) return true
  }
  return false
}
