import { formatIpv4, formatIpv6, parseIpv6 } from '../filter/index.js'

/** A place for one prefix: `words` holds 1 word for IPv4 and 4 for IPv6, most significant first. */
export interface PrefixSlot {
  family: 4 | 6
  readonly words: Uint32Array
  length: number
}

/** A slot for `parsePrefix`, to be used again and again: a list of a million lines makes no million objects. */
export function createSlot(): PrefixSlot {
  return { family: 4, words: new Uint32Array(4), length: 0 }
}

const DOT = 0x2e
const COLON = 0x3a
const SLASH = 0x2f
const ZERO = 0x30

/**
 * Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::1` or `2001:db8::/32` from
 * `bytes` into `slot`. Returns null, or what is wrong: the text is no address,
 * or has bits behind its prefix (as of a network that was meant otherwise).
 * Decimal numbers with a leading zero are refused, since others read them as
 * octal (RFC 6943, section 3.1.1).
 */
export function parsePrefix(bytes: Uint8Array, from: number, to: number, slot: PrefixSlot): string | null {
  const end = slashIn(bytes, from, to)
  if (readIpv4(bytes, from, end, slot.words)) slot.family = 4
  else if (readIpv6(bytes, from, end, slot.words)) slot.family = 6
  else return notAPrefix(bytes, from, to)
  const bits = slot.family === 4 ? 32 : 128
  slot.length = end === to ? bits : readDecimal(bytes, end + 1, to, bits)
  if (slot.length < 0) return notAPrefix(bytes, from, to)
  return hasBitsBehind(slot) ? strayBits(bytes, from, to, slot) : null
}

/** What is wrong with an address or prefix as text; null where nothing is. */
export function faultOfPrefix(text: string): string | null {
  const bytes = Buffer.from(text)
  return parsePrefix(bytes, 0, bytes.length, createSlot())
}

/** Where the slash stands before a length of at most three digits; `to` where there is none. */
function slashIn(bytes: Uint8Array, from: number, to: number): number {
  for (let at = to - 1; at >= from && at >= to - 4; at--) if (bytes[at] === SLASH) return at
  return to
}

function readIpv4(bytes: Uint8Array, from: number, to: number, words: Uint32Array): boolean {
  let word = 0
  let at = from
  for (let part = 0; part < 4; part++) {
    let end = at
    while (end < to && bytes[end] !== DOT) end++
    const value = readDecimal(bytes, at, end, 255)
    if (value < 0 || (part < 3 ? end === to : end !== to)) return false
    word = word * 256 + value
    at = end + 1
  }
  words[0] = word
  return true
}

/** A decimal number up to `max`, without leading zeros; -1 where it is none. */
function readDecimal(bytes: Uint8Array, from: number, to: number, max: number): number {
  if (to - from < 1 || to - from > 3 || (bytes[from] === ZERO && to - from > 1)) return -1
  let value = 0
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - ZERO
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value <= max ? value : -1
}

/** Groups by hand, because a list may have a million; the rare form with a dotted quad goes the slow way. */
function readIpv6(bytes: Uint8Array, from: number, to: number, words: Uint32Array): boolean {
  if (to - from < 2 || to - from > 45) return false
  let gap = -1
  let groups = 0
  let at = from
  if (bytes[at] === COLON) {
    if (bytes[at + 1] !== COLON) return false
    gap = 0
    at += 2
  }
  while (at < to) {
    const start = at
    let value = 0
    for (let digit = hexDigit(bytes[at]!); at < to && digit >= 0; digit = hexDigit(bytes[++at]!))
      value = value * 16 + digit
    if (bytes[at] === DOT && at < to) return readMixedIpv6(bytes, from, to, words)
    if (at === start || at - start > 4 || groups === 8) return false
    GROUPS[groups++] = value
    if (at === to) break
    if (bytes[at++] !== COLON || at === to) return false
    if (bytes[at] === COLON) {
      if (gap >= 0) return false
      gap = groups
      at++
    }
  }
  return spread(groups, gap, words)
}

const GROUPS = new Uint16Array(8)

/** The groups as words, with zeros in the gap; `::` stands for one zero group at least. */
function spread(groups: number, gap: number, words: Uint32Array): boolean {
  if (gap < 0 ? groups !== 8 : groups > 7) return false
  const missing = 8 - groups
  for (let index = 0; index < 4; index++)
    words[index] = groupAt(2 * index, gap, missing) * 65536 + groupAt(2 * index + 1, gap, missing)
  return true
}

function groupAt(index: number, gap: number, missing: number): number {
  if (gap < 0 || index < gap) return GROUPS[index]!
  return index < gap + missing ? 0 : GROUPS[index - missing]!
}

function readMixedIpv6(bytes: Uint8Array, from: number, to: number, words: Uint32Array): boolean {
  const parsed = parseIpv6(textOf(bytes, from, to))
  if (parsed !== null) words.set(parsed)
  return parsed !== null
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function hasBitsBehind({ family, words, length }: PrefixSlot): boolean {
  const count = family === 4 ? 1 : 4
  for (let index = 0; index < count; index++) if ((words[index]! & hostBits(length - 32 * index)) !== 0) return true
  return false
}

/** The bits of one word behind a prefix of `length` bits of it. */
function hostBits(length: number): number {
  return length >= 32 ? 0 : length <= 0 ? -1 : -1 >>> length
}

function strayBits(bytes: Uint8Array, from: number, to: number, { family, words, length }: PrefixSlot): string {
  const network = Array.from(words, (word, index) => (word & ~hostBits(length - 32 * index)) >>> 0)
  const address = family === 4 ? formatIpv4(network[0]!) : formatIpv6(network)
  return `"${textOf(bytes, from, to)}" has bits set behind its prefix; write ${address}/${length}`
}

function notAPrefix(bytes: Uint8Array, from: number, to: number): string {
  const text = textOf(bytes, from, Math.min(to, from + 60))
  const shown = JSON.stringify(to - from > 60 ? `${text}…` : text)
  return `${shown} is no address or prefix; write one such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32`
}

function textOf(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(from, to)).toString()
}
