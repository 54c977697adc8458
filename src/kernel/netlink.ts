import { closeDescriptor, openDescriptor } from './descriptors.js'
import { type NetworkNamespace, withNamespace } from './namespace.js'
import { addressOf, ERRNO, KernelError, syscall, trySyscall } from './syscall.js'

/**
 * Netlink messages (RFC 3549, linux/netlink.h). Numbers are in the machine's
 * byte order, which is little-endian on every machine Sluice runs on.
 *
 *     0        4      6       8          12     16
 *     | length | type | flags | sequence | port | body: fixed part, attributes
 *
 *     0        2      4
 *     | length | type | value, padded to 4 bytes        an attribute
 */

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0x80000
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_REQUEST = 0x1
const NLM_F_ACK = 0x4
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1

const NLA_F_NESTED = 0x8000
const NLA_TYPE_MASK = 0x3fff

/** What a request may ask for beside an answer: the NLM_F_* flags of linux/netlink.h. */
export const NETLINK_REQUEST = { replace: 0x100, exclusive: 0x200, dump: 0x300, create: 0x400 } as const

const HEADER_BYTES = 16
/** The kernel fills at most 32 KiB of a dump at a time. */
const RECEIVE_BYTES = 32 * 1024
const TIMEOUT_SECONDS = 5n

const OPTION = 'setting a netlink socket option'

/** A netlink socket: it stays in the namespace it was opened in, wherever its thread goes. */
export interface NetlinkSocket {
  readonly fd: number
  readonly received: Uint8Array
  sequence: number
}

/** Opens a socket for `protocol` (NETLINK_ROUTE is 0), in `namespace` or in the thread's own. */
export function openNetlink(protocol: number, namespace?: NetworkNamespace): NetlinkSocket {
  const open = () => openDescriptor('opening a netlink socket', 'socket', AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
  const fd = namespace ? withNamespace(namespace, open) : open()
  setOption(OPTION, fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([TIMEOUT_SECONDS, 0n]))
  // Errors come with the kernel's own sentence, and without our message sent back.
  setOption(OPTION, fd, SOL_NETLINK, NETLINK_EXT_ACK, new Uint32Array([1]))
  setOption(OPTION, fd, SOL_NETLINK, NETLINK_CAP_ACK, new Uint32Array([1]))
  return { fd, received: new Uint8Array(RECEIVE_BYTES), sequence: 0 }
}

/** Closes the socket; what was made through it stays. */
export function closeNetlink(socket: NetlinkSocket): void {
  closeDescriptor(socket.fd)
}

/**
 * Sends one request and returns the bodies of the messages that answer it:
 * none where the kernel only acknowledges. `flags` are of NETLINK_REQUEST.
 * Throws a KernelError that begins with `what` and quotes the kernel's own
 * explanation where it gives one.
 */
export function transact(
  socket: NetlinkSocket,
  what: string,
  type: number,
  flags: number,
  ...body: Uint8Array[]
): Uint8Array[] {
  const message = concat(new Uint8Array(HEADER_BYTES), ...body)
  const header = viewOn(message)
  header.setUint32(0, message.length, true)
  header.setUint16(4, type, true)
  header.setUint16(6, flags | NLM_F_REQUEST | NLM_F_ACK, true)
  header.setUint32(8, ++socket.sequence, true)
  syscall(what, 'sendto', socket.fd, addressOf(message), message.length)
  return receiveAnswers(socket, what)
}

/** Reads until the request's acknowledgement, its refusal, or the end of its dump. */
function receiveAnswers(socket: NetlinkSocket, what: string): Uint8Array[] {
  const answers: Uint8Array[] = []
  for (;;) {
    const length = receive(socket, what)
    const view = viewOn(socket.received)
    for (let at = 0; at + HEADER_BYTES <= length; at += align(view.getUint32(at, true))) {
      const messageLength = view.getUint32(at, true)
      // An earlier request that timed out may still be answered.
      if (view.getUint32(at + 8, true) !== socket.sequence) continue
      const type = view.getUint16(at + 4, true)
      const body = socket.received.slice(at + HEADER_BYTES, at + messageLength)
      if (type === NLMSG_ERROR || type === NLMSG_DONE) {
        throwIfRefused(what, body, view.getUint16(at + 6, true))
        return answers
      }
      answers.push(body)
    }
  }
}

function receive(socket: NetlinkSocket, what: string): number {
  for (;;) {
    const length = trySyscall('recvfrom', socket.fd, addressOf(socket.received), RECEIVE_BYTES)
    if (length >= 0) return length
    if (length !== -ERRNO.EINTR) throw new KernelError(`${what}: no answer from the kernel`, -length)
  }
}

/** struct nlmsgerr: errno, the header of the request, then attributes where the flag says so. */
function throwIfRefused(what: string, body: Uint8Array, flags: number): void {
  const error = body.length >= 4 ? viewOn(body).getInt32(0, true) : 0
  if (error === 0) return
  const explanation = flags & NLM_F_ACK_TLVS ? readAttributes(body, 4 + HEADER_BYTES).get(NLMSGERR_ATTR_MSG) : undefined
  throw new KernelError(explanation ? `${what}: ${readString(explanation)}` : what, -error)
}

/** An attribute of any bytes. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(align(4 + value.length))
  const view = viewOn(bytes)
  view.setUint16(0, 4 + value.length, true)
  view.setUint16(2, type, true)
  bytes.set(value, 4)
  return bytes
}

/** An attribute of one 32-bit number. */
export function attributeU32(type: number, value: number): Uint8Array {
  return attribute(type, new Uint8Array(new Uint32Array([value]).buffer))
}

/** An attribute of text that ends with a zero byte. */
export function attributeString(type: number, value: string): Uint8Array {
  return attribute(type, new TextEncoder().encode(`${value}\0`))
}

/** An attribute that holds others. */
export function attributeNest(type: number, ...inner: Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, concat(...inner))
}

/** The attributes of `bytes` from `offset` on, by type; of a type that repeats, the last. */
export function readAttributes(bytes: Uint8Array, offset = 0): Map<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>()
  const view = viewOn(bytes)
  for (let at = offset; at + 4 <= bytes.length; ) {
    const length = view.getUint16(at, true)
    if (length < 4 || at + length > bytes.length) break
    attributes.set(view.getUint16(at + 2, true) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length))
    at += align(length)
  }
  return attributes
}

/** The text of a string attribute, without its zero byte. */
export function readString(value: Uint8Array): string {
  const end = value.indexOf(0)
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end))
}

/** The number of a 32-bit attribute; 0 where the attribute is missing. */
export function readU32(value: Uint8Array | undefined): number {
  return value && value.length >= 4 ? viewOn(value).getUint32(0, true) : 0
}

/** setsockopt(2). Throws a KernelError that begins with `what`. */
export function setOption(what: string, fd: number, level: number, option: number, value: ArrayBufferView): void {
  syscall(what, 'setsockopt', fd, level, option, addressOf(value), value.byteLength)
}

function align(length: number): number {
  return (length + 3) & ~3
}

/** The bytes as numbers. */
export function viewOn(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The parts, one after the other, in new memory. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
