import {
  alu64,
  assemble,
  call,
  exit,
  helperId,
  type Item,
  jump,
  jumpIf,
  jumpIf32,
  label,
  load,
  loadMap,
  type MapSpec,
  mov64,
  type Program,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  R9,
  R10,
  store,
  XDP,
} from '../ebpf/index.js'
import { byFlow, type FlowTable, flowMaps, learn } from './flow-path.js'
import { ANSWER, COUNT, COUNT_NAMES, COUNTS, FIB, MOST_DEVICE, PORTS } from './formats.js'
import {
  askForSender,
  askV4,
  askV6,
  COUNT_KEY_AT,
  checkV4,
  checkV6,
  countDownV4,
  countDownV6,
  FIB_AT,
  parseEthernet,
  rewriteMacs,
  toKernel,
} from './parse.js'

/**
 * Forwarding in the driver: the kernel's own tables are asked (bpf_fib_lookup),
 * the headers are rewritten in place, and the frame goes to the other device
 * without a socket buffer. Whatever this program does not do itself passes to
 * the kernel, which asks for neighbours, fragments, and answers with errors.
 */

/** The device that a program is for. */
export interface ForwardPort {
  readonly index: number
  readonly mac: Uint8Array
  /** Asks for the way back as well, which costs a second look-up; what fails is left to the kernel's own check. */
  readonly reversePath: 'off' | 'loose' | 'strict'
}

/** Devices that forward among each other, at most. */
export const MOST_PORTS = 64

/** `BPF_FIB_LOOKUP_SKIP_NEIGH`: of the way back only the device is wanted. */
const SKIP_NEIGHBOUR = 1 << 2

/** To which devices packets go. */
export const PORTS_MAP: MapSpec = {
  name: PORTS,
  kind: 'devmap-hash',
  keyBytes: 4,
  valueBytes: 4,
  maxEntries: MOST_PORTS,
}
/** What has become of packets. */
export const COUNTS_MAP: MapSpec = {
  name: COUNTS,
  kind: 'percpu-array',
  keyBytes: 4,
  valueBytes: COUNT_NAMES.length * 8,
  maxEntries: 1,
}

/**
 * The program for one device, with a flow table in front or without; programs
 * of several devices share their maps. Where another program calls it, it
 * accepts frames of several buffers, as that one does; what does not stand in
 * the first goes to the kernel. Throws RangeError for an index of 2^24 or more.
 */
export function forwardProgram(port: ForwardPort, table?: FlowTable, isCalled = false): Program {
  if (port.index >= MOST_DEVICE)
    throw new RangeError(
      `device ${port.index} does not fit into a flow's key; its index has to be below ${MOST_DEVICE}`,
    )
  const flows = (family: 4 | 6) => (table ? byFlow(family, port.index) : [])
  const learnt = (family: 4 | 6) => (table ? learn(table, family) : [])
  const items = [
    ...parseEthernet(port.mac),
    ...checkV4(),
    ...flows(4),
    ...askBack(port, 4),
    ...askV4(port.index),
    ...lookUp(port),
    ...learnt(4),
    ...countDownV4('look-up'),
    ...send(),
    label('IPv6'),
    ...checkV6(),
    ...flows(6),
    ...askBack(port, 6),
    ...askV6(port.index),
    ...lookUp(port),
    ...learnt(6),
    ...countDownV6(),
    ...send(),
  ]
  return {
    name: 'sluice_forward',
    type: 'xdp',
    license: 'GPL',
    multiBuffer: isCalled,
    maps: [PORTS_MAP, COUNTS_MAP, ...(table ? flowMaps(table) : [])],
    ...assemble([...items, ...ends(items)]),
  }
}

/** R0 = what the kernel's tables say of the parameters. */
function callLookUp(flags: number): Item[] {
  return [
    mov64(R1, R6),
    mov64(R2, R10),
    alu64('add', R2, FIB_AT),
    mov64(R3, FIB.bytes),
    mov64(R4, flags),
    call(helperId('bpf_fib_lookup')),
  ]
}

/** Whether packets to the sender would leave, and by this device. */
function askBack({ index, reversePath }: ForwardPort, family: 4 | 6): Item[] {
  if (reversePath === 'off') return []
  return [
    ...askForSender(family, index),
    ...callLookUp(SKIP_NEIGHBOUR),
    jumpIf(R0, '!=', ANSWER.success, toKernel('reverse path')),
    ...(reversePath === 'loose'
      ? []
      : [load('u32', R2, R10, FIB_AT + FIB.interfaceIndex), jumpIf32(R2, '!=', index, toKernel('reverse path'))]),
  ]
}

/** Goes on where the packet is to be forwarded, and the frame's way is laid already; it is not touched before. */
function lookUp({ index }: ForwardPort): Item[] {
  return [
    ...callLookUp(0),
    jumpIf(R0, '!=', ANSWER.success, 'answered otherwise'),
    load('u32', R2, R10, FIB_AT + FIB.interfaceIndex),
    // The kernel may want to tell the sender of a shorter way (ICMP redirect).
    jumpIf32(R2, '==', index, toKernel('same device')),
    loadMap(R1, PORTS),
    mov64(R3, XDP.pass),
    call(helperId('bpf_redirect_map')),
    jumpIf(R0, '!=', XDP.redirect, toKernel('not a port')),
  ]
}

function send(): Item[] {
  return [...rewriteMacs(R10, FIB_AT + FIB.macs), mov64(R9, COUNT.forwarded), jump('redirected')]
}

/** Where those items end: R6 becomes the verdict, R9 the word that counts it. */
function ends(items: readonly Item[]): Item[] {
  const targets = new Set(items.map((item) => ('target' in item ? item.target : undefined)))
  const reasons = COUNT_NAMES.filter((name) => name === 'look-up failed' || targets.has(toKernel(name)))
  return [
    label('redirected'),
    mov64(R6, XDP.redirect),
    jump('count'),
    label('answered otherwise'),
    jumpIf(R0, '==', ANSWER.blackhole, 'blackhole'),
    jumpIf(R0, '>', ANSWER.last, toKernel('look-up failed')),
    mov64(R9, R0),
    alu64('lsh', R9, 3),
    alu64('add', R9, COUNT.unreachable - ANSWER.unreachable * 8),
    jump('pass'),
    label('blackhole'),
    mov64(R9, COUNT.blackhole),
    mov64(R6, XDP.drop),
    jump('count'),
    ...reasons.flatMap((name) => [label(toKernel(name)), mov64(R9, COUNT[name]), jump('pass')]),
    label('pass'),
    mov64(R6, XDP.pass),
    label('count'),
    ...countPacket(),
    mov64(R0, R6),
    exit(),
  ]
}

/** Adds one to the word of COUNTS that R9 says. */
export function countPacket(): Item[] {
  return [
    store('u32', R10, COUNT_KEY_AT, 0),
    loadMap(R1, COUNTS),
    mov64(R2, R10),
    alu64('add', R2, COUNT_KEY_AT),
    call(helperId('bpf_map_lookup_elem')),
    jumpIf(R0, '==', 0, 'end'),
    alu64('add', R0, R9),
    load('u64', R1, R0, 0),
    alu64('add', R1, 1),
    store('u64', R0, 0, R1),
    label('end'),
  ]
}
