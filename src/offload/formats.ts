/**
 * What XDP programs and user space agree on: places in maps, on the program's
 * stack and in the kernel's structures. Offsets and sizes in bytes.
 */

/** DEVMAP_HASH: key and value u32 index of a device. Only to what stands in it packets are forwarded. */
export const PORTS = 'offload_ports'
/** Per-CPU array of one value, laid out by {@link COUNT}. */
export const COUNTS = 'offload_counts'

/** Hashes by {@link FLOW_KEY}, laid out by {@link FLOW}: flows whose packets need no look-up. */
export const FLOWS = { 4: 'offload_flows_v4', 6: 'offload_flows_v6' } as const
/** Array of one value, the u32 generation: flows of an older one are not used. */
export const GENERATION = 'offload_generation'

/**
 * What tells flows apart: source and destination as they stand in the packet,
 * then both ports as one word, then protocol + 256 * index of the device that
 * packets come by.
 */
export const FLOW_KEY = {
  4: { destination: 4, ports: 8, from: 12, bytes: 16 },
  6: { destination: 16, ports: 32, from: 36, bytes: 40 },
} as const
/** Devices are below this, so that they fit into a key. */
export const MOST_DEVICE = 1 << 24

/** A flow: what becomes of its packets, and how many there were; behind these its {@link TRANSLATION}. */
export const FLOW = {
  /** u32 index of the device by which packets leave. */
  out: 0,
  /** u16: longer IP packets go the slow way. */
  longest: 4,
  /** u16: {@link FLOW_TRANSLATES}, or 0. */
  flags: 6,
  /** Source and destination, as bpf_fib_lookup has them. */
  macs: 8,
  generation: 20,
  packets: 24,
  /** Of IP packets. */
  bytes: 32,
} as const
export const FLOW_TRANSLATES = 1

/**
 * What packets of a flow are to carry, as it shall stand there: addresses, and both ports as one word. Then u16 sums
 * of what changes, ~old + new, as a little-endian machine adds: of the pseudo-header and ports, and of IPv4's header.
 * A flow of IPv4 is a cache line: with the kernel's own 48 bytes and its key an entry of the hash is two, and none
 * begins within one.
 */
export const TRANSLATION = {
  4: { source: 40, destination: 44, ports: 48, transportChange: 52, headerChange: 54 },
  6: { source: 40, destination: 56, ports: 72, transportChange: 76 },
} as const
/** Of a flow, with its translation. */
export const FLOW_BYTES = { 4: 64, 6: 80 } as const

/** Array of the programs that go on with what the flow table does not forward, one for each port. */
export const BEHIND = 'offload_behind'

/** `struct xdp_md`. */
export const XDP_MD = { data: 0, dataEnd: 4 } as const

/** `struct bpf_fib_lookup` (include/uapi/linux/bpf.h). */
export const FIB = {
  family: 0,
  protocol: 1,
  sourcePort: 2,
  destinationPort: 4,
  totalLength: 6,
  interfaceIndex: 8,
  /** IPv4: the byte of the type of service; IPv6: the header's first word without its version. */
  flowInfo: 12,
  source: 16,
  destination: 32,
  macs: 52,
  bytes: 64,
} as const

/** Address families of socket(2). */
export const AF = { 4: 2, 6: 10 } as const

/**
 * What a program counts, a word of 64 bits each, in this order. Packets of all
 * but the first three went on to the kernel, which forwards, answers or drops
 * them as it does without us. From `unreachable` to `no source address` they
 * are the answers of bpf_fib_lookup from 2 on.
 */
export const COUNT_NAMES = [
  'forwarded',
  'forwarded by flow',
  'blackhole',
  'not for this device',
  'not IP',
  'options',
  'malformed',
  'bad checksum',
  'TTL',
  'addresses',
  'reverse path',
  'same device',
  'not a port',
  'unreachable',
  'prohibited',
  'local',
  'forwarding is off',
  'encapsulation',
  'no neighbour',
  'longer than the MTU',
  'no source address',
  'look-up failed',
] as const

export type CountName = (typeof COUNT_NAMES)[number]

/** Offset of each word. */
export const COUNT = Object.fromEntries(COUNT_NAMES.map((name, word) => [name, word * 8])) as Readonly<
  Record<CountName, number>
>

/** `BPF_FIB_LKUP_RET_*`: the answers that the program itself acts on, the first of those that it only counts, and the last. */
export const ANSWER = { success: 0, blackhole: 1, unreachable: 2, last: 9 } as const
