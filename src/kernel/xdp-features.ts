import type { NetworkNamespace } from './namespace.js'
import {
  attributeString,
  attributeU32,
  closeNetlink,
  concat,
  type NetlinkSocket,
  openNetlink,
  readAttributes,
  transact,
  viewOn,
} from './netlink.js'

/**
 * What a driver can do at the XDP hook, told by the kernel without attaching
 * anything: the generic netlink family `netdev` (linux/netdev.h, since 6.3).
 */

const NETLINK_GENERIC = 16
const GENL_ID_CTRL = 16
const CTRL_CMD_GETFAMILY = 3
const CTRL_ATTR_FAMILY_ID = 1
const CTRL_ATTR_FAMILY_NAME = 2
const NETDEV_CMD_DEV_GET = 1
const NETDEV_A_DEV_IFINDEX = 1
const NETDEV_A_DEV_XDP_FEATURES = 3

/** Bits of `enum netdev_xdp_act`. */
const BASIC = 1
const REDIRECT = 2
const REDIRECT_TARGET = 4
const ZERO_COPY = 8
const SEVERAL_BUFFERS = 32

/** What a device offers to XDP programs in native mode. */
export interface XdpFeatures {
  /** Drop, pass and bounce. */
  readonly native: boolean
  readonly redirect: boolean
  /** Sends frames that another device redirects to it. A veth does while its other end has GRO or a program. */
  readonly redirectTarget: boolean
  /** AF_XDP without copying. */
  readonly zeroCopy: boolean
  /** Frames that do not fit one buffer: jumbo MTUs. */
  readonly severalBuffers: boolean
}

/** The features of the device with that index. Throws a KernelError: ENOENT before Linux 6.3, ENODEV. */
export function readXdpFeatures(index: number, namespace?: NetworkNamespace): XdpFeatures {
  const socket = openNetlink(NETLINK_GENERIC, namespace)
  try {
    const family = familyId(socket, 'netdev')
    const request = concat(genericHeader(NETDEV_CMD_DEV_GET), attributeU32(NETDEV_A_DEV_IFINDEX, index))
    const [answer] = transact(socket, `asking for the XDP features of device ${index}`, family, 0, request)
    const features = wordOf(answer, NETDEV_A_DEV_XDP_FEATURES, 8)
    return {
      native: (features & BASIC) !== 0,
      redirect: (features & REDIRECT) !== 0,
      redirectTarget: (features & REDIRECT_TARGET) !== 0,
      zeroCopy: (features & ZERO_COPY) !== 0,
      severalBuffers: (features & SEVERAL_BUFFERS) !== 0,
    }
  } finally {
    closeNetlink(socket)
  }
}

function familyId(socket: NetlinkSocket, name: string): number {
  const request = concat(genericHeader(CTRL_CMD_GETFAMILY), attributeString(CTRL_ATTR_FAMILY_NAME, name))
  const [answer] = transact(socket, `looking up the netlink family ${name}`, GENL_ID_CTRL, 0, request)
  return wordOf(answer, CTRL_ATTR_FAMILY_ID, 2)
}

/** struct genlmsghdr: command, version, reserved. */
function genericHeader(command: number): Uint8Array {
  return Uint8Array.of(command, 1, 0, 0)
}

/** The low word of an attribute of at least `bytes` bytes; 0 where it is missing. */
function wordOf(message: Uint8Array | undefined, attribute: number, bytes: 2 | 8): number {
  const value = readAttributes(message ?? new Uint8Array(), 4).get(attribute)
  if (value === undefined || value.length < bytes) return 0
  const view = viewOn(value)
  return bytes === 2 ? view.getUint16(0, true) : view.getUint32(0, true)
}
