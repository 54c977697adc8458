import {
  type NextHop,
  NOTE_BEYOND_SCOPE,
  NOTE_NO_NEIGHBOUR,
  NOTE_NO_ROUTE,
  NOTE_PROHIBITED,
  NOTE_TIME_EXCEEDED,
  NOTE_TOO_BIG,
  NOTE_UNREACHABLE,
} from '../../src/route/index.js'
import { addWords, foldChecksum, write16 } from '../../src/wire/index.js'
import { read16 } from './flow-packet.js'
import type { Note } from './noted-stage.js'
import { hopFor, type PlainRouter } from './plain-forward.js'

/** Type and code. */
type Message = readonly [type: number, code: number]

const MESSAGES_4: Readonly<Record<number, Message>> = {
  [NOTE_TIME_EXCEEDED]: [11, 0],
  [NOTE_NO_ROUTE]: [3, 0],
  [NOTE_UNREACHABLE]: [3, 1],
  [NOTE_NO_NEIGHBOUR]: [3, 1],
  [NOTE_PROHIBITED]: [3, 13],
  [NOTE_TOO_BIG]: [3, 4],
}
const MESSAGES_6: Readonly<Record<number, Message>> = {
  [NOTE_TIME_EXCEEDED]: [3, 0],
  [NOTE_NO_ROUTE]: [1, 0],
  [NOTE_UNREACHABLE]: [1, 0],
  [NOTE_NO_NEIGHBOUR]: [1, 3],
  [NOTE_PROHIBITED]: [1, 1],
  [NOTE_BEYOND_SCOPE]: [1, 2],
  [NOTE_TOO_BIG]: [2, 0],
}

export type ErrorSource = 'outgoing' | 'incoming'

/** What the stage `errors` makes of a packet, with identification 0, or in brackets why there is no answer. */
export function errorAbout(
  router: PlainRouter,
  source: ErrorSource,
  packet: Uint8Array,
  note: Note,
): Uint8Array | string {
  const type = packet.length < 14 ? 0 : read16(packet, 12)
  if (type === 0x0800) return about4(router, source, packet, note)
  return type === 0x86dd ? about6(router, source, packet, note) : '(no note)'
}

function about4(router: PlainRouter, source: ErrorSource, packet: Uint8Array, note: Note): Uint8Array | string {
  const message = MESSAGES_4[note.reason]
  if (message === undefined) return '(no note)'
  if (packet[0]! % 2 === 1) return '(to many)'
  const total = packet.length < 34 ? 0 : read16(packet, 16)
  if (total < 20 || packet.length < 14 + total) return '(malformed)'
  if ((read16(packet, 20) & 0x1fff) > 0) return '(later fragment)'
  if (packet[30]! >= 224) return '(to many)'
  if ([0, 127].includes(packet[26]!) || packet[26]! >= 224) return '(from no host)'
  const at = 14 + (packet[14]! & 15) * 4
  const questions = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18]
  if (packet[23] === 1 && (at >= packet.length || !questions.includes(packet[at]!))) return '(about an error)'
  const view = new DataView(packet.buffer, packet.byteOffset)
  const back = hopFor(router, router.v4.lookup([view.getUint32(26)]).nextHop, packet)
  if (back?.kind === 'local') return '(from no host)'
  const from = sourceOf(router, source, back, note.port, 'v4')
  if (from === null) return '(no address)'
  const most = back?.kind === 'forward' ? Math.max(68, Math.min(576, mtuOf(router, back))) : 576
  const quoted = packet.subarray(14, 14 + Math.min(total, most - 28))
  const body = Uint8Array.of(...message, 0, 0, 0, 0, 0, 0, ...quoted)
  if (note.reason === NOTE_TOO_BIG) write16(body, 6, mtuOf(router, router.hops.get(note.hop)))
  write16(body, 2, foldChecksum(addWords(0, body, 0, body.length)))
  const service = 0xc0 | (packet[15]! & 0x1e)
  const header = Uint8Array.of(0x45, service, 0, 0, 0, 0, 0, 0, 65, 1, 0, 0, ...from, ...packet.subarray(26, 30))
  write16(header, 2, 20 + body.length)
  write16(header, 10, foldChecksum(addWords(0, header, 0, 20)))
  return Uint8Array.of(...new Uint8Array(12), 8, 0, ...header, ...body)
}

function about6(router: PlainRouter, source: ErrorSource, packet: Uint8Array, note: Note): Uint8Array | string {
  const message = MESSAGES_6[note.reason]
  const isTooBig = note.reason === NOTE_TOO_BIG
  if (message === undefined) return '(no note)'
  if (packet[0]! % 2 === 1 && !isTooBig) return '(to many)'
  if (packet.length < 54 || packet.length < 54 + read16(packet, 18)) return '(malformed)'
  if (packet[38] === 0xff && !isTooBig) return '(to many)'
  const sender = packet.subarray(22, 38)
  const isNone = sender.every((byte, at) => byte === 0 || (at === 15 && byte === 1))
  const isMapped = sender.every((byte, at) => at > 11 || byte === (at < 10 ? 0 : 255))
  if (sender[0] === 0xff || isNone || isMapped) return '(from no host)'
  if (isAboutError6(packet)) return '(about an error)'
  if (sender[0] === 0xfe && sender[1]! >> 6 === 2) return '(from a link-local address)'
  const view = new DataView(packet.buffer, packet.byteOffset)
  const words = [22, 26, 30, 34].map((at) => view.getUint32(at))
  const back = hopFor(router, router.v6.lookup(words).nextHop, packet)
  if (back?.kind === 'local') return '(from no host)'
  const from = sourceOf(router, source, back, note.port, 'v6')
  if (from === null) return '(no address)'
  const quoted = packet.subarray(14, Math.min(54 + read16(packet, 18), 14 + 1232))
  const body = Uint8Array.of(...message, 0, 0, 0, 0, 0, 0, ...quoted)
  if (isTooBig) new DataView(body.buffer).setUint32(4, Math.max(1280, mtuOf(router, router.hops.get(note.hop))))
  const pseudo = Uint8Array.of(...from, ...sender, 0, 0, body.length >> 8, body.length & 255, 0, 0, 0, 58)
  write16(body, 2, foldChecksum(addWords(addWords(0, pseudo, 0, 40), body, 0, body.length)))
  const header = Uint8Array.of(0x60, 0, 0, 0, body.length >> 8, body.length & 255, 58, 65, ...from, ...sender)
  return Uint8Array.of(...new Uint8Array(12), 0x86, 0xdd, ...header, ...body)
}

function isAboutError6(packet: Uint8Array): boolean {
  let [next, at] = [packet[20]!, 54]
  for (let count = 0; count < 16 && [0, 43, 44, 51, 60].includes(next) && at + 8 <= packet.length; count++) {
    if (next === 44 && read16(packet, at + 2) >= 8) return false
    const length = packet[at + 1]!
    const bytes = next === 44 ? 8 : next === 51 ? (length + 2) * 4 : (length + 1) * 8
    next = packet[at]!
    at += bytes
  }
  if (next !== 58) return false
  return at >= packet.length || packet[at]! < 128 || packet[at] === 137
}

function mtuOf({ ports }: PlainRouter, hop: NextHop | undefined): number {
  if (hop === undefined || !('port' in hop)) return 0
  return Math.min(hop.mtu ?? Number.POSITIVE_INFINITY, ports[hop.port]!.mtu)
}

function sourceOf(
  { ports }: PlainRouter,
  source: ErrorSource,
  back: NextHop | undefined,
  cameBy: number,
  family: 'v4' | 'v6',
): Uint8Array | null {
  const usable = (address: Uint8Array | undefined) =>
    address !== undefined && !(address.length === 16 && address[0] === 0xfe && address[1]! >> 6 === 2)
  const isBack = source === 'outgoing' && (back?.kind === 'forward' || back?.kind === 'unresolved')
  const own = ports[isBack ? back.port : cameBy]?.[family] ?? []
  const first = (isBack ? own[back.source ?? 0] : undefined) ?? own[0]
  return [first, ...ports.map((port) => port[family]?.[0])].find(usable) ?? null
}
