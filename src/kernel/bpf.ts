import { readFileSync } from 'node:fs'
import { closeDescriptor, openDescriptor, tryOpenDescriptor } from './descriptors.js'
import { addressOf, ERRNO, KernelError, syscall, trySyscall } from './syscall.js'

/**
 * bpf(2), one function a command. Layouts are those of `union bpf_attr` in
 * include/uapi/linux/bpf.h; a number after a field is its byte offset there.
 */

const MAP_CREATE = 0
const MAP_LOOKUP_ELEM = 1
const MAP_UPDATE_ELEM = 2
const MAP_DELETE_ELEM = 3
const PROG_LOAD = 5
const PROG_TEST_RUN = 10
const MAP_GET_FD_BY_ID = 14
const OBJ_GET_INFO_BY_FD = 15
const MAP_LOOKUP_AND_DELETE_ELEM = 21
const MAP_LOOKUP_BATCH = 24
const LINK_CREATE = 28
const LINK_UPDATE = 29

const ATTR_BYTES = 160
const NAME_BYTES = 16

/** `enum bpf_prog_type`, and the `enum bpf_attach_type` of its link. */
const PROGRAM_TYPES = { xdp: { type: 6, attach: 37 }, tcx: { type: 3, attach: 46 } } as const

/** `enum bpf_map_type`, as far as Sluice makes such maps. */
export const MAP_TYPES = {
  hash: 1,
  array: 2,
  'program-array': 3,
  'percpu-hash': 5,
  'percpu-array': 6,
  'lpm-trie': 11,
  devmap: 14,
  cpumap: 16,
  xskmap: 17,
  'devmap-hash': 25,
  'ring-buffer': 27,
} as const

/** `BPF_F_XDP_HAS_FRAGS`: the program takes frames of several buffers. */
export const XDP_HAS_FRAGS = 1 << 5

/** `BPF_F_TEST_XDP_LIVE_FRAMES`: a test run whose verdicts are carried out on real frames. */
export const TEST_XDP_LIVE_FRAMES = 1 << 1

/** How an XDP program runs: in the driver, or on socket buffers (`XDP_FLAGS_*`). */
export const XDP_MODES = { native: 1 << 2, generic: 1 << 1 } as const

class Attributes {
  readonly bytes = new Uint8Array(ATTR_BYTES)
  readonly view = new DataView(this.bytes.buffer)

  u32(offset: number, value: number): this {
    this.view.setUint32(offset, value, true)
    return this
  }

  u64(offset: number, value: bigint): this {
    this.view.setBigUint64(offset, value, true)
    return this
  }

  pointer(offset: number, memory: ArrayBufferView | null): this {
    return this.u64(offset, memory === null ? 0n : addressOf(memory))
  }

  /** BPF object names are at most 15 of [A-Za-z0-9_.]. */
  name(offset: number, name: string): this {
    const safe = name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, NAME_BYTES - 1)
    this.bytes.set(new TextEncoder().encode(safe), offset)
    return this
  }

  call(what: string, command: number): number {
    return syscall(what, 'bpf', command, addressOf(this.bytes), ATTR_BYTES)
  }

  tryCall(command: number): number {
    return trySyscall('bpf', command, addressOf(this.bytes), ATTR_BYTES)
  }

  open(what: string, command: number): number {
    return openDescriptor(what, 'bpf', command, addressOf(this.bytes), ATTR_BYTES)
  }

  tryOpen(command: number): number {
    return tryOpenDescriptor('bpf', command, addressOf(this.bytes), ATTR_BYTES)
  }
}

/** What BPF_MAP_CREATE takes; sizes in bytes. */
export interface MapCreation {
  readonly type: number
  readonly keyBytes: number
  readonly valueBytes: number
  readonly maxEntries: number
  readonly flags: number
  readonly name: string
}

/** A descriptor of a new map. Throws KernelError. */
export function createMap(map: MapCreation): number {
  return new Attributes()
    .u32(0, map.type)
    .u32(4, map.keyBytes)
    .u32(8, map.valueBytes)
    .u32(12, map.maxEntries)
    .u32(16, map.flags)
    .name(28, map.name)
    .open(`create the map ${map.name}`, MAP_CREATE)
}

/** Reads one element into `value`; false where the key is absent. */
export function lookupElement(fd: number, key: Uint8Array, value: Uint8Array): boolean {
  const result = elementAttributes(fd, key, value).tryCall(MAP_LOOKUP_ELEM)
  if (result === -ERRNO.ENOENT) return false
  if (result < 0) throw new KernelError('read a map element', -result)
  return true
}

/** Writes one element (BPF_ANY). Throws KernelError. */
export function updateElement(fd: number, key: Uint8Array, value: Uint8Array): void {
  elementAttributes(fd, key, value).call('write a map element', MAP_UPDATE_ELEM)
}

/** Removes one element; false where the key is absent. */
export function deleteElement(fd: number, key: Uint8Array): boolean {
  const result = elementAttributes(fd, key, null).tryCall(MAP_DELETE_ELEM)
  if (result < 0 && result !== -ERRNO.ENOENT) throw new KernelError('remove a map element', -result)
  return result === 0
}

/** Reads an element of a hash into `value` and removes it, in one step (Linux 5.14); false where the key is absent. */
export function takeElement(fd: number, key: Uint8Array, value: Uint8Array): boolean {
  const result = elementAttributes(fd, key, value).tryCall(MAP_LOOKUP_AND_DELETE_ELEM)
  if (result === -ERRNO.ENOENT) return false
  if (result < 0) throw new KernelError('take a map element out', -result)
  return true
}

function elementAttributes(fd: number, key: Uint8Array, value: Uint8Array | null): Attributes {
  return new Attributes().u32(0, fd).pointer(8, key).pointer(16, value)
}

/**
 * Reads up to `count` elements in one call; returns how many came. A per-CPU
 * map fills `possibleCpus()` values of 8-byte multiples for each key.
 */
export function lookupBatch(fd: number, keys: Uint8Array, values: Uint8Array, count: number): number {
  const cursor = new Uint8Array(64)
  const attributes = new Attributes()
    .pointer(8, cursor)
    .pointer(16, keys)
    .pointer(24, values)
    .u32(32, count)
    .u32(36, fd)
  const result = attributes.tryCall(MAP_LOOKUP_BATCH)
  // ENOENT means that the batch reached the end of the map, not that nothing came.
  if (result < 0 && result !== -ERRNO.ENOENT) throw new KernelError('read a map in batch', -result)
  return attributes.view.getUint32(32, true)
}

/** What BPF_PROG_LOAD takes; `code` is encoded, with map descriptors filled in. */
export interface ProgramLoad {
  readonly name: string
  readonly code: Uint8Array
  readonly license: string
  readonly flags: number
  /** `xdp` where nothing is said; `tcx` for one that sees socket buffers behind it. */
  readonly type?: keyof typeof PROGRAM_TYPES
  /** 0: no log; 1: the log of a rejection; 4: statistics alone. */
  readonly logLevel: 0 | 1 | 2 | 4
}

/** `fd` on success; otherwise the errno and what the verifier wrote. */
export type ProgramLoadResult =
  | { readonly fd: number; readonly log: string }
  | { readonly fd: null; readonly errno: number; readonly log: string }

/** As many as libbpf makes; the signal has been taken by then, unless they come faster than a program is verified. */
const LOAD_ATTEMPTS = 5

/** Hands a program to the verifier. A refusal is a result, because its log has to be read. */
export function loadProgramCode(program: ProgramLoad): ProgramLoadResult {
  const license = new TextEncoder().encode(`${program.license}\0`)
  const log = program.logLevel === 0 ? null : new Uint8Array(program.logLevel === 4 ? 1 << 16 : 1 << 24)
  const attributes = new Attributes()
    .u32(0, PROGRAM_TYPES[program.type ?? 'xdp'].type)
    .u32(4, program.code.byteLength / 8)
    .pointer(8, program.code)
    .pointer(16, license)
    .u32(24, program.logLevel)
    .u32(28, log?.byteLength ?? 0)
    .pointer(32, log)
    .u32(44, program.flags)
    .name(48, program.name)
    .u32(68, PROGRAM_TYPES[program.type ?? 'xdp'].attach)
  let fd = attributes.tryOpen(PROG_LOAD)
  // The verifier gives up when a signal waits to be handled (bpf_check, "signal_pending"); a resized terminal is enough.
  for (let attempt = 1; fd === -ERRNO.EAGAIN && attempt < LOAD_ATTEMPTS; attempt++) fd = attributes.tryOpen(PROG_LOAD)
  const text = log === null ? '' : cString(log)
  return fd >= 0 ? { fd, log: text } : { fd: null, errno: -fd, log: text }
}

/** One BPF_PROG_TEST_RUN; sizes in bytes. */
export interface TestRun {
  readonly fd: number
  readonly data: Uint8Array
  readonly dataBytes?: number
  readonly output?: Uint8Array
  readonly context?: Uint8Array
  readonly repeat?: number
  readonly flags?: number
  readonly batchSize?: number
}

/** `retval` is the program's; `durationNs` the mean of one run. */
export interface TestRunResult {
  readonly retval: number
  readonly durationNs: number
  readonly outputBytes: number
}

/**
 * A test run prepared once and repeated: the attribute block is written only
 * where something changes, so that a hundred thousand packets can be run
 * without allocating for each.
 */
export function prepareTestRun(run: TestRun): (dataBytes?: number) => number {
  const attributes = testRunAttributes(run)
  const { view } = attributes
  const address = addressOf(attributes.bytes)
  const outputBytes = run.output?.byteLength ?? 0
  return (dataBytes) => {
    if (dataBytes !== undefined) view.setUint32(8, dataBytes, true)
    view.setUint32(12, outputBytes, true)
    const result = trySyscall('bpf', PROG_TEST_RUN, address, ATTR_BYTES)
    if (result < 0) throw new KernelError('run the program on a packet', -result)
    return view.getUint32(4, true)
  }
}

/** Runs a loaded program on one packet, `repeat` times. Throws KernelError. */
export function testRun(run: TestRun): TestRunResult {
  const attributes = testRunAttributes(run)
  attributes.call('run the program on a packet', PROG_TEST_RUN)
  return {
    retval: attributes.view.getUint32(4, true),
    durationNs: attributes.view.getUint32(36, true),
    outputBytes: attributes.view.getUint32(12, true),
  }
}

/** Like `testRun`, but gives 0 or the errno: live frames are interrupted by any signal (EINTR). */
export function tryTestRun(run: TestRun): number {
  const result = testRunAttributes(run).tryCall(PROG_TEST_RUN)
  return result < 0 ? -result : 0
}

/** `struct xdp_md` (linux/bpf.h): where the packet ends, and the index of the device that it has come by. */
const CONTEXT = { bytes: 24, end: 4, device: 12 }

/**
 * Gives packets, which the caller writes to `data`, to the kernel as if a device
 * of the calling thread's namespace had received them: live frames of a program
 * that passes everything, so that the device's own program does not see them.
 * What it returns takes a packet's length, and gives 0 or the errno; a packet takes 35 to 100 µs.
 */
export function prepareHandOver(fd: number, interfaceIndex: number, data: Uint8Array): (dataBytes: number) => number {
  const context = new Uint8Array(CONTEXT.bytes)
  const words = new DataView(context.buffer)
  words.setUint32(CONTEXT.device, interfaceIndex, true)
  // More than one at once would have the kernel wait until it has changed a program of its own.
  const attributes = testRunAttributes({ fd, data, context, flags: TEST_XDP_LIVE_FRAMES, batchSize: 1 })
  return (dataBytes) => {
    words.setUint32(CONTEXT.end, dataBytes, true)
    // The kernel has written here how long the packet before was, and would take it for the room that this one has.
    attributes.u32(8, dataBytes).u32(12, 0)
    const result = attributes.tryCall(PROG_TEST_RUN)
    return result < 0 ? -result : 0
  }
}

function testRunAttributes(run: TestRun): Attributes {
  return new Attributes()
    .u32(0, run.fd)
    .u32(8, run.dataBytes ?? run.data.byteLength)
    .u32(12, run.output?.byteLength ?? 0)
    .pointer(16, run.data)
    .pointer(24, run.output ?? null)
    .u32(32, run.repeat ?? 1)
    .u32(40, run.context?.byteLength ?? 0)
    .pointer(48, run.context ?? null)
    .u32(64, run.flags ?? 0)
    .u32(72, run.batchSize ?? 0)
}

/**
 * Attaches a program to a device of the calling thread's namespace; the link
 * goes when its descriptor closes, so a dead process leaves nothing attached.
 * Returns a descriptor, or `-errno`.
 */
export function tryCreateXdpLink(programFd: number, interfaceIndex: number, mode: keyof typeof XDP_MODES): number {
  return new Attributes()
    .u32(0, programFd)
    .u32(4, interfaceIndex)
    .u32(8, PROGRAM_TYPES.xdp.attach)
    .u32(12, XDP_MODES[mode])
    .tryOpen(LINK_CREATE)
}

/** The same for a program that sees what a device receives as socket buffers (linux: net/core/dev.c, sch_handle_ingress). */
export function tryCreateTcxLink(programFd: number, interfaceIndex: number): number {
  return new Attributes().u32(0, programFd).u32(4, interfaceIndex).u32(8, PROGRAM_TYPES.tcx.attach).tryOpen(LINK_CREATE)
}

/** Swaps the program of a link in one step: every packet meets the old or the new one. */
export function updateLink(linkFd: number, programFd: number): void {
  new Attributes().u32(0, linkFd).u32(4, programFd).call('replace the program of a link', LINK_UPDATE)
}

/**
 * The device that an XDP link is attached to, by its index; 0 once the device
 * has gone or the link was detached: `xdp.ifindex` of `struct bpf_link_info`.
 * Throws KernelError.
 */
export function linkedDevice(fd: number): number {
  const info = new Uint8Array(64)
  new Attributes().u32(0, fd).u32(4, info.byteLength).pointer(8, info).call('ask about a link', OBJ_GET_INFO_BY_FD)
  return new DataView(info.buffer).getUint32(16, true)
}

/** Verified instructions and the verifier's work, of `struct bpf_prog_info`. */
export interface ProgramInfo {
  readonly id: number
  readonly jitedBytes: number
  readonly translatedBytes: number
  readonly verifiedInstructions: number
}

/** Asks the kernel about a loaded program. Throws KernelError. */
export function programInfo(fd: number): ProgramInfo {
  const info = new Uint8Array(232)
  new Attributes().u32(0, fd).u32(4, info.byteLength).pointer(8, info).call('ask about a program', OBJ_GET_INFO_BY_FD)
  const view = new DataView(info.buffer)
  return {
    id: view.getUint32(4, true),
    jitedBytes: view.getUint32(16, true),
    translatedBytes: view.getUint32(20, true),
    verifiedInstructions: view.getUint32(216, true),
  }
}

/** The id by which another process finds a map. Throws KernelError. */
export function mapId(fd: number): number {
  const info = new Uint8Array(80)
  new Attributes().u32(0, fd).u32(4, info.byteLength).pointer(8, info).call('ask about a map', OBJ_GET_INFO_BY_FD)
  return new DataView(info.buffer).getUint32(4, true)
}

/** A descriptor of another process's map. Throws KernelError where it has gone. */
export function openMap(id: number): number {
  return new Attributes().u32(0, id).open(`open the map ${id}`, MAP_GET_FD_BY_ID)
}

let cpus: number | undefined

/** How many values a per-CPU map keeps for a key: the kernel's possible CPUs. */
export function possibleCpus(): number {
  cpus ??= countCpuList(readFileSync('/sys/devices/system/cpu/possible', 'utf8'))
  return cpus
}

/** `0-3,8` counts 5. */
export function countCpuList(list: string): number {
  let count = 0
  for (const range of list.trim().split(',')) {
    const [first, last] = range.split('-').map(Number)
    count += (last ?? first!) - first! + 1
  }
  return count
}

/** Closes maps, programs and links alike. */
export const closeBpf = closeDescriptor

/** True where the kernel says that a driver lacks an operation. */
export function isNotSupported(errno: number): boolean {
  return errno === ERRNO.EOPNOTSUPP || errno === ERRNO.ENOTSUPP
}

function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
}
