import { addWords, foldChecksum, write16 } from '../../src/wire/index.js'
import { read16 } from './flow-packet.js'

/** The fragments of an Ethernet frame for a link of that MTU, or null for a header that cannot be (RFC 791). */
export function fragmentsOf(frame: Uint8Array, mtu: number): Uint8Array[] | null {
  const isIpv4 = frame.length >= 34 && read16(frame, 12) === 0x0800
  const [header, total] = isIpv4 ? [(frame[14]! & 15) * 4, read16(frame, 16)] : [0, 0]
  if (header < 20 || header > total || total > frame.length - 14) return null
  const field = read16(frame, 20)
  const begin = (field & 0x1fff) * 8
  if (begin + total > 65_535) return null
  if (total <= mtu) return [frame]
  const link = frame.slice(0, 14)
  const own = frame.slice(34, 14 + header)
  const later = laterOptions(own)
  const fragments: Uint8Array[] = []
  for (let payload = frame.slice(14 + header, 14 + total), at = begin; payload.length > 0; ) {
    const options = fragments.length === 0 ? own : later
    const room = mtu - 20 - options.length
    const bytes = payload.length <= room ? payload.length : Math.floor(room / 8) * 8
    const head = Uint8Array.of(...frame.slice(14, 34), ...options)
    head[0] = 0x40 | (head.length / 4)
    write16(head, 2, head.length + bytes)
    const isLast = bytes === payload.length
    write16(head, 6, (field & (isLast ? 0xe000 : 0xc000)) | (isLast ? 0 : 0x2000) | (at / 8))
    write16(head, 10, 0)
    write16(head, 10, foldChecksum(addWords(0, head)))
    fragments.push(Uint8Array.of(...link, ...head, ...payload.subarray(0, bytes)))
    payload = payload.slice(bytes)
    at += bytes
  }
  return fragments
}

/** The options that each fragment has, filled up to words. */
function laterOptions(options: Uint8Array): number[] {
  const copied: number[] = []
  for (let rest = [...options]; rest.length > 0 && rest[0] !== 0; ) {
    const length = rest[0] === 1 ? 1 : (rest[1] ?? 0)
    if (rest[0] !== 1 && (length < 2 || length > rest.length)) break
    const option = rest.splice(0, length)
    if (option[0]! >= 128) copied.push(...option)
  }
  return [...copied, ...new Array<number>((4 - (copied.length % 4)) % 4).fill(0)]
}
