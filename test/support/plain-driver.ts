import type { OffloadFlow } from '../../src/offload/index.js'
import { addWords, foldChecksum, write16 } from '../../src/wire/index.js'

/** What a forwarding program knows, plainly. */
export interface PlainDriver {
  readonly mac: Uint8Array
  readonly flows: readonly OffloadFlow[]
  /** Ethernet addresses, the receiver's first, that the kernel's look-up gives for a destination; null where it forwards nothing. */
  lookUp(destination: Uint8Array): Uint8Array | null
}

const read16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!
const UDP = 17
const TCP = 6
const ENDS_OR_BEGINS = 0x07

/** The frame as a forwarding program sends it on; null where it leaves it to the kernel, or to whoever stands behind. */
export function forwardedPlainly({ mac, flows, lookUp }: PlainDriver, frame: Uint8Array): Uint8Array | null {
  if (frame.length < 34 || !mac.every((byte, at) => frame[at] === byte)) return null
  const type = read16(frame, 12)
  const isIpv4 = type === 0x0800
  const total = isIpv4 ? sound4(frame) : type === 0x86dd ? sound6(frame) : null
  if (total === null) return null
  const destination = isIpv4 ? frame.slice(30, 34) : frame.slice(38, 54)
  const flow = flows.find((each) => isOf(each, frame, isIpv4, total) && total <= each.longestBytes)
  const macs = flow === undefined ? lookUp(destination) : Uint8Array.from([...flow.destinationMac, ...flow.sourceMac])
  if (macs === null) return null
  const sent = frame.slice()
  sent.set(macs)
  if (flow?.translated !== undefined) translate(sent, flow.translated, isIpv4)
  if (!isIpv4) {
    sent[21]! -= 1
    return sent
  }
  sent[22]! -= 1
  write16(sent, 24, 0)
  write16(sent, 24, foldChecksum(addWords(0, sent, 14, 34)))
  return sent
}

/** Bytes of an IPv4 packet that may be forwarded (RFC 1812, 5.2.2 and 5.3.7). */
function sound4(frame: Uint8Array): number | null {
  const total = read16(frame, 16)
  const isOrdinary = (first: number) => first !== 0 && first !== 127 && first < 224
  const isSound =
    frame[14] === 0x45 &&
    frame[22]! > 1 &&
    total >= 20 &&
    total + 14 <= frame.length &&
    foldChecksum(addWords(0, frame, 14, 34)) === 0 &&
    isOrdinary(frame[26]!) &&
    isOrdinary(frame[30]!)
  return isSound ? total : null
}

function sound6(frame: Uint8Array): number | null {
  if (frame.length < 54) return null
  const total = 40 + read16(frame, 18)
  const isGlobal = (at: number) =>
    frame.subarray(at, at + 8).some((byte) => byte !== 0) &&
    frame[at] !== 0xff &&
    !(frame[at] === 0xfe && (frame[at + 1]! & 0xc0) === 0x80)
  const isSound =
    frame[14]! >> 4 === 6 &&
    frame[21]! > 1 &&
    frame[20] !== 0 &&
    total + 14 <= frame.length &&
    isGlobal(22) &&
    isGlobal(38)
  return isSound ? total : null
}

/** Whether a packet goes by that flow: no fragment, and of TCP nothing that begins or ends a connection. */
function isOf({ key }: OffloadFlow, frame: Uint8Array, isIpv4: boolean, total: number): boolean {
  if ((key.family === 4) !== isIpv4 || (isIpv4 && (read16(frame, 20) & 0x3fff) !== 0)) return false
  const protocol = frame[isIpv4 ? 23 : 20]!
  const [network, source, bytes] = isIpv4 ? [20, 26, 4] : [40, 22, 16]
  const at = 14 + network
  const header = protocol === TCP ? 20 : protocol === UDP ? 8 : null
  if (header === null || frame.length < at + header || total < network + header) return false
  if (protocol === TCP && (frame[at + 13]! & ENDS_OR_BEGINS) !== 0) return false
  return (
    key.protocol === protocol &&
    Buffer.compare(frame.subarray(source, source + bytes), key.source) === 0 &&
    Buffer.compare(frame.subarray(source + bytes, source + 2 * bytes), key.destination) === 0 &&
    read16(frame, at) === key.sourcePort &&
    read16(frame, at + 2) === key.destinationPort
  )
}

/** The transport's checksum changes word by word (RFC 1624, equation 3); behind the addresses are the ports. */
function translate(frame: Uint8Array, wanted: NonNullable<OffloadFlow['translated']>, isIpv4: boolean): void {
  const [protocol, addresses, ports] = isIpv4 ? [23, 26, 34] : [20, 22, 54]
  const isUdp = frame[protocol] === UDP
  const field = ports + (isUdp ? 6 : 16)
  const before = frame.slice(addresses, ports + 4)
  frame.set([...wanted.source, ...wanted.destination], addresses)
  write16(frame, ports, wanted.sourcePort)
  write16(frame, ports + 2, wanted.destinationPort)
  if (isUdp && read16(frame, field) === 0) return
  const changes = before.map((byte) => byte ^ 0xff)
  const sum = foldChecksum(addWords(addWords(read16(frame, field) ^ 0xffff, changes), frame, addresses, ports + 4))
  write16(frame, field, isUdp && sum === 0 ? 0xffff : sum)
}
