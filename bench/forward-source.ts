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
  loadWide,
  mov32,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R3,
  R7,
  R8,
  store,
  toBigEndian,
  XDP,
} from '../src/ebpf/index.js'
import {
  addWords,
  ETHERNET,
  ETHERTYPE,
  IP_PROTOCOL,
  IPV4,
  write16,
  writeEthernet,
  writeIpv4,
} from '../src/wire/index.js'

/**
 * A generator for a router: UDP packets of so many flows, each to a network of
 * its own. A program for live frames (BPF_F_TEST_XDP_LIVE_FRAMES),
 * without pacing. The kernel recycles the pages of frames as their receiver
 * left them, so everything that a router writes is written anew each time.
 */
export interface FlowSource {
  readonly destinationMac: Uint8Array
  readonly sourceMac: Uint8Array
  /** To 20.0.0.1, 20.0.1.1, …: at most 2^16. */
  readonly flows: number
}

const FRAME_BYTES = 60
const IP_AT = ETHERNET.headerBytes
const UDP_AT = IP_AT + IPV4.headerBytes
const FIRST_DESTINATION = (20 << 24) | 1
const PORTS = { source: 40_000, destination: 9 }

/** The network of a flow, with its length. */
export function networkOf(flow: number): string {
  return `20.${flow >> 8}.${flow & 0xff}.0/24`
}

/** A frame of the first flow. */
export function flowFrame({ destinationMac, sourceMac }: FlowSource): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES)
  const totalBytes = FRAME_BYTES - IP_AT
  writeEthernet(frame, destinationMac, sourceMac, ETHERTYPE.ipv4)
  writeIpv4(frame, IP_AT, {
    source: Uint8Array.of(198, 51, 100, 7),
    destination: Uint8Array.of(20, 0, 0, 1),
    protocol: IP_PROTOCOL.udp,
    totalBytes,
  })
  write16(frame, UDP_AT, PORTS.source)
  write16(frame, UDP_AT + 2, PORTS.destination)
  write16(frame, UDP_AT + 4, totalBytes - IPV4.headerBytes)
  return frame
}

/** The program that makes each frame one of a flow drawn at random, and sends it. */
export function flowProgram(source: FlowSource): Program {
  const frame = flowFrame(source)
  const view = new DataView(frame.buffer)
  // The sum without the checksum and the destination, as a little-endian machine adds it up.
  const blank = frame.slice(IP_AT, UDP_AT)
  blank.fill(0, IPV4.checksum, IPV4.source)
  blank.fill(0, IPV4.destination)
  const sum = addWords(0, blank)
  const items: Item[] = [
    load('u32', R7, R1, 0),
    load('u32', R8, R1, 4),
    mov64(R2, R7),
    alu64('add', R2, UDP_AT),
    jumpIf(R2, '>', R8, 'short'),
    call(helperId('bpf_get_prandom_u32')),
    alu32('mod', R0, source.flows),
    alu32('lsh', R0, 8),
    alu32('add', R0, FIRST_DESTINATION),
    mov64(R1, sum),
    mov32(R2, R0),
    alu32('and', R2, 0xffff),
    alu64('add', R1, R2),
    mov32(R2, R0),
    alu32('rsh', R2, 16),
    alu64('add', R1, R2),
    ...[0, 1].flatMap(() => [mov64(R2, R1), alu64('rsh', R2, 16), alu64('and', R1, 0xffff), alu64('add', R1, R2)]),
    alu64('xor', R1, 0xffff),
    toBigEndian(16, R1),
    toBigEndian(32, R0),
    // All of the headers but the checksum and the destination, eight bytes at a time and then the rest.
    ...[0, 8, 16].flatMap((at) => [loadWide(R3, view.getBigUint64(at, true)), store('u64', R7, at, R3)]),
    store('u16', R7, IP_AT + IPV4.checksum, R1),
    mov32(R3, view.getInt32(IP_AT + IPV4.source, true)),
    store('u32', R7, IP_AT + IPV4.source, R3),
    store('u32', R7, IP_AT + IPV4.destination, R0),
    mov64(R0, XDP.tx),
    exit(),
    label('short'),
    mov64(R0, XDP.aborted),
    exit(),
  ]
  return { name: 'sluice_flows', type: 'xdp', license: 'GPL', multiBuffer: false, maps: [], ...assemble(items) }
}
