/**
 * What XDP programs and user space agree on: places in maps, on the program's
 * stack and in the kernel's structures. Offsets and sizes in bytes.
 */

/** DEVMAP_HASH: key and value u32 index of a device. Only to what stands in it packets are forwarded. */
export const PORTS = 'offload_ports'
/** Per-CPU array of one value, laid out by {@link COUNT}. */
export const COUNTS = 'offload_counts'

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
