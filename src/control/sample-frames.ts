import { parseAddress } from '../kernel/index.js'
import {
  ETHERNET,
  ETHERTYPE,
  IP_PROTOCOL,
  IPV4,
  TCP,
  TCP_FLAG,
  write16,
  writeEthernet,
  writeIpv4,
} from '../wire/index.js'

const FRAME_BYTES = 64
const TRANSPORT = ETHERNET.headerBytes + IPV4.headerBytes
/** Of IPv6 (RFC 8200, section 3): version, payload length, next header, hop limit, two addresses. */
const IPV6 = { version: 0, payloadLength: 4, nextHeader: 6, hopLimit: 7, headerBytes: 40 } as const

/** Packets on which a rule is timed: the usual ones, so that the usual ways through a program are taken. */
export const SAMPLE_FRAMES: Readonly<Record<string, Uint8Array>> = {
  'TCP SYN to port 443 over IPv4': tcp4(),
  'UDP to port 53 over IPv4': udp4(),
  'TCP to port 443 over IPv6': tcp6(),
  ARP: ethernet(ETHERTYPE.arp),
}

function ethernet(type: number): Uint8Array {
  const frame = new Uint8Array(FRAME_BYTES)
  writeEthernet(frame, Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2), type)
  return frame
}

function ipv4(protocol: number): Uint8Array {
  const frame = ethernet(ETHERTYPE.ipv4)
  writeIpv4(frame, ETHERNET.headerBytes, {
    source: parseAddress('198.51.100.7'),
    destination: parseAddress('203.0.113.2'),
    protocol,
    totalBytes: FRAME_BYTES - ETHERNET.headerBytes,
  })
  write16(frame, TRANSPORT + TCP.sourcePort, 40_000)
  return frame
}

function tcp4(): Uint8Array {
  const frame = ipv4(IP_PROTOCOL.tcp)
  write16(frame, TRANSPORT + TCP.destinationPort, 443)
  frame[TRANSPORT + TCP.dataOffset] = (TCP.headerBytes / 4) << 4
  frame[TRANSPORT + TCP.flags] = TCP_FLAG.syn
  return frame
}

function udp4(): Uint8Array {
  const frame = ipv4(IP_PROTOCOL.udp)
  write16(frame, TRANSPORT + TCP.destinationPort, 53)
  return frame
}

function tcp6(): Uint8Array {
  const frame = ethernet(ETHERTYPE.ipv6)
  const at = ETHERNET.headerBytes
  frame[at + IPV6.version] = 0x60
  write16(frame, at + IPV6.payloadLength, FRAME_BYTES - at - IPV6.headerBytes)
  frame[at + IPV6.nextHeader] = IP_PROTOCOL.tcp
  frame[at + IPV6.hopLimit] = 64
  write16(frame, at + IPV6.headerBytes + TCP.destinationPort, 443)
  return frame
}
