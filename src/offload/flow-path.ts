import {
  alu32,
  alu64,
  call,
  helperId,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMap,
  loadMapValue,
  type MapSpec,
  mov64,
  R0,
  R1,
  R2,
  R3,
  R4,
  R7,
  R8,
  R9,
  R10,
  type Register,
  store,
  XDP,
} from '../ebpf/index.js'
import { IP_PROTOCOL, IPV4, TCP, TCP_FLAG, UDP } from '../wire/index.js'
import { COUNT, FIB, FLOW, FLOW_BYTES, FLOW_KEY, FLOWS, GENERATION, PORTS, TRANSLATION } from './formats.js'
import {
  countDownV4,
  countDownV6,
  FIB_AT,
  FLOW_AT,
  FLOW_KEY_AT,
  GENERATION_AT,
  IP_AT,
  IPV6,
  IS_FRAGMENT,
  LENGTH_AT,
  rewriteMacs,
  toKernel,
} from './parse.js'

/**
 * The flow table in front of the look-up: packets of a flow that is in it are
 * rewritten and sent as its entry says. TCP that opens or ends a connection,
 * fragments, and all but TCP and UDP go the slow way.
 */

/** How much there is room for, and who fills it. */
export interface FlowTable {
  /** Entries for each family. */
  readonly capacity: number
  /**
   * The program itself enters flows: one in so many packets that had to be
   * looked up, drawn at random, so that it is a busy flow's soon (sample and
   * hold: Estan and Varghese, 2002). A power of two; 0: only user space does.
   */
  readonly learnOneIn: number
}

const MMAPABLE = 1 << 10
const BPF_NOEXIST = 1

/** The maps of the flow table. */
export function flowMaps({ capacity }: Pick<FlowTable, 'capacity'>): MapSpec[] {
  const table = (family: 4 | 6): MapSpec => ({
    name: FLOWS[family],
    kind: 'hash',
    keyBytes: FLOW_KEY[family].bytes,
    valueBytes: FLOW_BYTES[family],
    maxEntries: capacity,
  })
  return [
    table(4),
    table(6),
    { name: GENERATION, kind: 'array', keyBytes: 4, valueBytes: 8, maxEntries: 1, flags: MMAPABLE },
  ]
}

/** Sends the packet where it belongs to a flow; goes on behind it otherwise. */
export function byFlow(family: 4 | 6, device: number): Item[] {
  const miss = `no flow ${family}`
  return [
    store('u32', R10, FLOW_KEY_AT + FLOW_KEY[family].from, 0),
    ...(family === 4 ? [load('u16', R2, R7, IP_AT + IPV4.fragment), jumpIf32(R2, '&', IS_FRAGMENT, miss)] : []),
    ...isUnderWay(family, miss),
    ...writeKey(family, device),
    loadMapValue(R1, GENERATION),
    load('u32', R1, R1, 0),
    store('u64', R10, GENERATION_AT, R1),
    loadMap(R1, FLOWS[family]),
    mov64(R2, R10),
    alu64('add', R2, FLOW_KEY_AT),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, miss),
    mov64(R9, R0),
    load('u32', R1, R9, FLOW.generation),
    load('u64', R2, R10, GENERATION_AT),
    jumpIf32(R1, '!=', R2, miss),
    load('u64', R4, R10, LENGTH_AT),
    load('u16', R2, R9, FLOW.longest),
    jumpIf(R4, '>', R2, miss),
    loadMap(R1, PORTS),
    load('u32', R2, R9, FLOW.out),
    mov64(R3, XDP.pass),
    call(helperId('bpf_redirect_map')),
    jumpIf(R0, '!=', XDP.redirect, toKernel('not a port')),
    ...add(FLOW.packets, 1),
    load('u64', R2, R10, LENGTH_AT),
    ...add(FLOW.bytes, R2),
    ...translate(family),
    ...(family === 4 ? countDownV4('flow') : countDownV6()),
    ...rewriteMacs(R9, FLOW.macs),
    mov64(R9, COUNT['forwarded by flow']),
    jump('redirected'),
    label(miss),
  ]
}

/** R9's word plus an amount. A flow's packets come by one queue, which one core serves. */
function add(field: number, amount: number | Register): Item[] {
  return [load('u64', R1, R9, field), alu64('add', R1, amount), store('u64', R9, field, R1)]
}

/** UDP, or TCP with nothing but data and acknowledgements, whose header is there. */
function isUnderWay(family: 4 | 6, miss: string): Item[] {
  const { headerBytes } = family === 4 ? IPV4 : IPV6
  const at = IP_AT + headerBytes
  const isThere = (bytes: number): Item[] => [
    mov64(R2, R7),
    alu64('add', R2, at + bytes),
    jumpIf(R2, '>', R8, miss),
    load('u64', R2, R10, LENGTH_AT),
    jumpIf(R2, '<', headerBytes + bytes, miss),
  ]
  const changesState = TCP_FLAG.syn | TCP_FLAG.fin | TCP_FLAG.rst
  return [
    load('u8', R3, R7, IP_AT + protocolAt(family)),
    jumpIf32(R3, '==', IP_PROTOCOL.udp, `udp ${family}`),
    jumpIf32(R3, '!=', IP_PROTOCOL.tcp, miss),
    ...isThere(TCP.headerBytes),
    load('u8', R2, R7, at + TCP.flags),
    jumpIf32(R2, '&', changesState, miss),
    jump(`under way ${family}`),
    label(`udp ${family}`),
    ...isThere(UDP.headerBytes),
    label(`under way ${family}`),
  ]
}

function protocolAt(family: 4 | 6): number {
  return family === 4 ? IPV4.protocol : IPV6.nextHeader
}

/** R3 is the protocol. */
function writeKey(family: 4 | 6, device: number): Item[] {
  const { source, headerBytes } = family === 4 ? IPV4 : IPV6
  const { from, ports } = FLOW_KEY[family]
  return [
    // Source and destination follow each other, in the packet as in the key, and then the ports.
    ...Array.from({ length: ports / 8 }, (_, word) => [
      load('u64', R2, R7, IP_AT + source + word * 8),
      store('u64', R10, FLOW_KEY_AT + word * 8, R2),
    ]).flat(),
    load('u32', R2, R7, IP_AT + headerBytes),
    store('u32', R10, FLOW_KEY_AT + ports, R2),
    alu32('or', R3, device << 8),
    store('u32', R10, FLOW_KEY_AT + from, R3),
  ]
}

/** Enters the flow of a packet that has been looked up, and is about to be sent, with what was answered. */
export function learn({ learnOneIn }: FlowTable, family: 4 | 6): Item[] {
  if (learnOneIn === 0) return []
  const done = `learnt ${family}`
  const copy = (size: 'u16' | 'u32', from: number, to: number): Item[] => [
    load(size, R1, R10, from),
    store(size, R10, FLOW_AT + to, R1),
  ]
  return [
    load('u32', R1, R10, FLOW_KEY_AT + FLOW_KEY[family].from),
    jumpIf32(R1, '==', 0, done),
    call(helperId('bpf_get_prandom_u32')),
    jumpIf32(R0, '&', learnOneIn - 1, done),
    ...Array.from({ length: FLOW_BYTES[family] / 8 }, (_, word) => store('u64', R10, FLOW_AT + word * 8, 0)),
    ...copy('u32', FIB_AT + FIB.interfaceIndex, FLOW.out),
    // On success the look-up leaves the way's MTU where the length was.
    ...copy('u16', FIB_AT + FIB.totalLength, FLOW.longest),
    ...[0, 4, 8].flatMap((word) => copy('u32', FIB_AT + FIB.macs + word, FLOW.macs + word)),
    ...copy('u32', GENERATION_AT, FLOW.generation),
    loadMap(R1, FLOWS[family]),
    mov64(R2, R10),
    alu64('add', R2, FLOW_KEY_AT),
    mov64(R3, R10),
    alu64('add', R3, FLOW_AT),
    // One of an older generation stays until its counters have been read.
    mov64(R4, BPF_NOEXIST),
    call(helperId('bpf_map_update_elem')),
    label(done),
  ]
}

/** Writes other addresses and ports where the flow has some, and the checksums by what was worked out beforehand. */
function translate(family: 4 | 6): Item[] {
  const header = family === 4 ? IPV4 : IPV6
  const [at, places] = [IP_AT + header.headerBytes, TRANSLATION[family]]
  const [asItIs, isUdp, translated] = [`as it is ${family}`, `translate udp ${family}`, `translated ${family}`]
  const addressBytes = places.destination - places.source
  return [
    load('u16', R1, R9, FLOW.flags),
    jumpIf32(R1, '==', 0, asItIs),
    load('u8', R3, R7, IP_AT + protocolAt(family)),
    jumpIf32(R3, '==', IP_PROTOCOL.udp, isUdp),
    ...changeTransport(family, 'tcp', translated),
    jump(translated),
    label(isUdp),
    ...changeTransport(family, 'udp', translated),
    label(translated),
    // Both addresses follow each other, in the packet as in the flow.
    ...Array.from({ length: (2 * addressBytes) / 4 }, (_, word) => word * 4).flatMap((word) => [
      load('u32', R1, R9, places.source + word),
      store('u32', R7, IP_AT + header.source + word, R1),
    ]),
    load('u32', R1, R9, places.ports),
    store('u32', R7, at, R1),
    ...('headerChange' in places
      ? [
          load('u16', R1, R7, IP_AT + IPV4.checksum),
          ...changeSum(places.headerChange),
          store('u16', R7, IP_AT + IPV4.checksum, R1),
        ]
      : []),
    label(asItIs),
  ]
}

/** The checksum behind the ports; UDP's 0 means that there is none (RFC 768), and goes to `done` as it is. */
function changeTransport(family: 4 | 6, protocol: 'tcp' | 'udp', done: string): Item[] {
  const checksum = IP_AT + (family === 4 ? IPV4 : IPV6).headerBytes + { tcp: TCP, udp: UDP }[protocol].checksum
  const isThere = `sum is there ${family}`
  return [
    mov64(R2, R7),
    alu64('add', R2, checksum + 2),
    jumpIf(R2, '>', R8, toKernel('malformed')),
    load('u16', R1, R7, checksum),
    ...(protocol === 'udp' ? [jumpIf32(R1, '==', 0, done)] : []),
    ...changeSum(TRANSLATION[family].transportChange),
    ...(protocol === 'udp' ? [jumpIf32(R1, '!=', 0, isThere), mov64(R1, 0xffff), label(isThere)] : []),
    store('u16', R7, checksum, R1),
  ]
}

/** R1 = ~(~R1 + change), RFC 1624, equation 3. */
function changeSum(change: number): Item[] {
  return [
    alu32('xor', R1, 0xffff),
    load('u16', R2, R9, change),
    alu32('add', R1, R2),
    mov64(R2, R1),
    alu32('rsh', R2, 16),
    alu32('add', R1, R2),
    alu32('xor', R1, 0xffff),
    alu32('and', R1, 0xffff),
  ]
}
