import {
  TYPE_ARP,
  TYPE_EXTENDED,
  TYPE_FRAGMENT,
  TYPE_ICMP,
  TYPE_IPV4,
  TYPE_IPV6,
  TYPE_TAG,
  TYPE_TCP,
  TYPE_UDP,
} from '../../src/memory/index.js'
import { flowHash } from '../../src/wire/index.js'

/** What memory/formats.ts says of packet types, read plainly, and the flow hash. */
export interface TypedFlow {
  readonly type: number
  readonly hash: number
}

const TAGS: readonly number[] = [0x8100, 0x88a8]
const EXTENSIONS: readonly number[] = [0, 43, 44, 51, 60, 135, 139, 140]

export function typedFlow(packet: Uint8Array): TypedFlow {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length)
  if (packet.length < 14) return { type: 0, hash: 0 }
  let etherType = view.getUint16(12)
  let at = 14
  let tags = 0
  for (; tags < 2 && TAGS.includes(etherType) && at + 4 <= packet.length; tags++) {
    etherType = view.getUint16(at + 2)
    at += 4
  }
  return { type: networkType(view, at, etherType) + tags * TYPE_TAG, hash: flowHash(packet) }
}

function networkType(view: DataView, at: number, etherType: number): number {
  if (etherType === 0x0806) return TYPE_ARP
  if (etherType === 0x0800 && at + 20 <= view.byteLength) {
    const headerWords = view.getUint8(at) & 15
    if (headerWords < 5) return 0
    const isFragment = (view.getUint16(at + 6) & 0x3fff) !== 0
    const options = headerWords > 5 ? TYPE_EXTENDED : 0
    return TYPE_IPV4 | transportType(view.getUint8(at + 9), 1) | options | (isFragment ? TYPE_FRAGMENT : 0)
  }
  if (etherType !== 0x86dd || at + 40 > view.byteLength) return 0
  const next = view.getUint8(at + 6)
  const extended = EXTENSIONS.includes(next) ? TYPE_EXTENDED : 0
  return TYPE_IPV6 | transportType(next, 58) | extended | (next === 44 ? TYPE_FRAGMENT : 0)
}

function transportType(protocol: number, icmp: number): number {
  if (protocol === 6) return TYPE_TCP
  if (protocol === 17) return TYPE_UDP
  return protocol === icmp ? TYPE_ICMP : 0
}
