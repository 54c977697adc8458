import { closeDescriptor, openDescriptor } from './descriptors.js'
import { type NetworkNamespace, withNamespace } from './namespace.js'
import { viewOn } from './netlink.js'
import { addressOf, KernelError, syscall } from './syscall.js'

/**
 * What a driver says about its device, and the features that can be switched:
 * the SIOCETHTOOL commands of linux/ethtool.h. Every function looks in
 * `namespace`, or in the thread's own, and throws a KernelError: ENODEV where
 * there is no such device, EOPNOTSUPP where the driver cannot answer.
 */

const AF_INET = 2
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0x80000
const SIOCETHTOOL = 0x8946
const IFNAMSIZ = 16
const IFREQ_BYTES = 40

const ETHTOOL_GDRVINFO = 0x03
const ETHTOOL_GSTRINGS = 0x1b
const ETHTOOL_GSTATS = 0x1d
const ETHTOOL_GSSET_INFO = 0x37
const ETHTOOL_GFEATURES = 0x3a
const ETHTOOL_SFEATURES = 0x3b
const ETHTOOL_GCHANNELS = 0x3c

const ETH_SS_STATS = 1
const EOPNOTSUPP = 95
const ETH_SS_FEATURES = 4
const STRING_BYTES = 32
const DRVINFO_BYTES = 196
/** Set in the answer to SFEATURES: asked for something fixed, or got another state than asked for. */
const NOT_AS_ASKED = 0x1 | 0x2

/** A feature by its name in `ethtool -k`'s netlink form: `rx-gro`, `rx-vlan-hw-parse`, `tx-tcp-segmentation`. */
export interface Feature {
  readonly isOn: boolean
  /** True where neither the driver nor its user can change it. */
  readonly isFixed: boolean
}

/** How many queues a device uses, and how many it could. */
export interface Channels {
  readonly rx: number
  readonly tx: number
  readonly combined: number
  readonly maxRx: number
  readonly maxTx: number
  readonly maxCombined: number
}

/** The driver's name (`veth`, `virtio_net`), version, and place on its bus. */
export function readDriver(
  device: string,
  namespace?: NetworkNamespace,
): { driver: string; version: string; bus: string } {
  const info = ask(device, ETHTOOL_GDRVINFO, new Uint8Array(DRVINFO_BYTES), namespace)
  return { driver: readText(info, 4, 32), version: readText(info, 36, 32), bus: readText(info, 100, 32) }
}

/** The driver's own counters by name (veth: `rx_queue_0_xdp_drops`, `tx_queue_0_xdp_xmit`, …). */
export function readStatistics(device: string, namespace?: NetworkNamespace): Map<string, number> {
  const names = readStrings(device, ETH_SS_STATS, namespace)
  const answer = new Uint8Array(8 + names.length * 8)
  viewOn(answer).setUint32(4, names.length, true)
  const view = viewOn(ask(device, ETHTOOL_GSTATS, answer, namespace))
  return new Map(names.map((name, i) => [name, Number(view.getBigUint64(8 + i * 8, true))]))
}

/** Every feature the kernel knows by name, and whether the device has it switched on. */
export function readFeatures(device: string, namespace?: NetworkNamespace): Map<string, Feature> {
  const names = readStrings(device, ETH_SS_FEATURES, namespace)
  // Per block of 32 features four words: available, requested, active, never changed.
  const blocks = Math.ceil(names.length / 32)
  const request = new Uint8Array(8 + blocks * 16)
  viewOn(request).setUint32(4, blocks, true)
  const view = viewOn(ask(device, ETHTOOL_GFEATURES, request, namespace))
  const bit = (i: number, word: number) => (view.getUint32(8 + (i >> 5) * 16 + word * 4, true) >>> (i & 31)) & 1
  const features = new Map<string, Feature>()
  names.forEach((name, i) => {
    // A bit that the kernel has retired has no name.
    if (name) features.set(name, { isOn: bit(i, 2) === 1, isFixed: bit(i, 0) === 0 || bit(i, 3) === 1 })
  })
  return features
}

/** Switches features on or off by name; throws an Error that names what the device would not do. */
export function setFeatures(device: string, wanted: Record<string, boolean>, namespace?: NetworkNamespace): void {
  const names = readStrings(device, ETH_SS_FEATURES, namespace)
  // Per block of 32 features two words: which ones to change, and to what.
  const blocks = Math.ceil(names.length / 32)
  const request = new Uint8Array(8 + blocks * 8)
  const view = viewOn(request)
  view.setUint32(4, blocks, true)
  for (const [name, isOn] of Object.entries(wanted)) {
    const i = names.indexOf(name)
    if (i < 0) throw new RangeError(`this kernel has no device feature "${name}"; ethtool -k lists them`)
    const at = 8 + (i >> 5) * 8
    const bit = 1 << (i & 31)
    view.setUint32(at, (view.getUint32(at, true) | bit) >>> 0, true)
    if (isOn) view.setUint32(at + 4, (view.getUint32(at + 4, true) | bit) >>> 0, true)
  }
  if ((command(device, ETHTOOL_SFEATURES, request, namespace) & NOT_AS_ASKED) === 0) return
  const now = readFeatures(device, namespace)
  const refused = Object.keys(wanted).filter((name) => now.get(name)?.isOn !== wanted[name])
  if (refused.length > 0)
    throw new KernelError(`${device} would not switch ${refused.join(', ')}, which its driver fixes`, EOPNOTSUPP)
}

/** How many queues the device uses and could use. */
export function readChannels(device: string, namespace?: NetworkNamespace): Channels {
  const view = viewOn(ask(device, ETHTOOL_GCHANNELS, new Uint8Array(36), namespace))
  const [maxRx, maxTx, , maxCombined, rx, tx, , combined] = Array.from({ length: 8 }, (_, i) =>
    view.getUint32(4 + i * 4, true),
  )
  return { rx, tx, combined, maxRx, maxTx, maxCombined }
}

/** The names of a string set, in the order of its values. */
function readStrings(device: string, set: number, namespace?: NetworkNamespace): string[] {
  const info = new Uint8Array(20)
  viewOn(info).setUint32(8, 1 << set, true)
  const answered = viewOn(ask(device, ETHTOOL_GSSET_INFO, info, namespace))
  // The kernel clears the bit of a set that the device does not have.
  const count = answered.getUint32(8, true) === 0 ? 0 : answered.getUint32(16, true)
  const request = new Uint8Array(12 + count * STRING_BYTES)
  viewOn(request).setUint32(4, set, true)
  viewOn(request).setUint32(8, count, true)
  const strings = count === 0 ? request : ask(device, ETHTOOL_GSTRINGS, request, namespace)
  return Array.from({ length: count }, (_, i) => readText(strings, 12 + i * STRING_BYTES, STRING_BYTES))
}

function ask(device: string, code: number, buffer: Uint8Array, namespace?: NetworkNamespace): Uint8Array {
  command(device, code, buffer, namespace)
  return buffer
}

/** struct ifreq: the device's name, then the address of the command's buffer, which the answer overwrites. */
function command(device: string, code: number, buffer: Uint8Array, namespace?: NetworkNamespace): number {
  const name = new TextEncoder().encode(device)
  if (name.length >= IFNAMSIZ) throw new RangeError(`"${device}" cannot be a device's name; it has over 15 bytes`)
  viewOn(buffer).setUint32(0, code, true)
  const ifreq = new Uint8Array(IFREQ_BYTES)
  ifreq.set(name)
  viewOn(ifreq).setBigUint64(IFNAMSIZ, addressOf(buffer), true)

  const open = () => openDescriptor('opening a socket', 'socket', AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  const fd = namespace ? withNamespace(namespace, open) : open()
  try {
    return syscall(`asking the driver of ${device}`, 'ioctl', fd, SIOCETHTOOL, addressOf(ifreq))
  } finally {
    closeDescriptor(fd)
  }
}

function readText(bytes: Uint8Array, at: number, lengthBytes: number): string {
  const text = new TextDecoder().decode(bytes.subarray(at, at + lengthBytes))
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}
