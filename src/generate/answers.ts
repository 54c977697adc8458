/**
 * Payloads that servers send when they are misused to amplify a flood: each as
 * long as asked for, and whole where the protocol's own lengths allow it.
 */
export type AmplifiedKind = 'dns' | 'ntp' | 'ssdp' | 'memcached' | 'chargen'

/** What a kind of answer looks like on the wire. */
export interface AmplifiedAnswer {
  /** The server's port, which is the source port of the answer. */
  readonly port: number
  /** Bytes of payload where no size is asked for. */
  readonly usualBytes: number
  payload(bytes: number): Uint8Array
  /** A 16-bit number in the payload that differs from answer to answer; its offset. */
  readonly numberAt: number | null
}

export const ANSWERS: Readonly<Record<AmplifiedKind, AmplifiedAnswer>> = {
  dns: { port: 53, usualBytes: 1200, payload: dnsAnswer, numberAt: 0 },
  ntp: { port: 123, usualBytes: 440, payload: ntpAnswer, numberAt: null },
  ssdp: { port: 1900, usualBytes: 320, payload: ssdpAnswer, numberAt: null },
  memcached: { port: 11211, usualBytes: 1400, payload: memcachedAnswer, numberAt: 0 },
  chargen: { port: 19, usualBytes: 1024, payload: chargenAnswer, numberAt: null },
}

const DNS_HEADER_BYTES = 12
/** `example.test`, type TXT, class IN. */
const DNS_QUESTION = Uint8Array.from([7, ...ascii('example'), 4, ...ascii('test'), 0, 0, 16, 0, 1])
/** A pointer to the question's name, type TXT, class IN, an hour, and the length that follows. */
const DNS_RECORD_BYTES = 12
const DNS_STRING_BYTES = 255

/** An answer to a question for TXT records (RFC 1035, sections 4.1 and 3.3.14): one record that fills what is left. */
function dnsAnswer(bytes: number): Uint8Array {
  const payload = new Uint8Array(bytes)
  const dataAt = DNS_HEADER_BYTES + DNS_QUESTION.length + DNS_RECORD_BYTES
  const dataBytes = bytes - dataAt
  const hasRecord = dataBytes >= 2
  // QR, RD, RA; one question, an answer.
  put(payload, 2, [0x81, 0x80, 0, 1, 0, hasRecord ? 1 : 0])
  put(payload, DNS_HEADER_BYTES, DNS_QUESTION)
  if (!hasRecord) return payload
  const record = dataAt - DNS_RECORD_BYTES
  put(payload, record, [0xc0, DNS_HEADER_BYTES, 0, 16, 0, 1, 0, 0, 0x0e, 0x10, dataBytes >> 8, dataBytes & 255])
  for (let at = dataAt; at < bytes; ) {
    const length = Math.min(DNS_STRING_BYTES, bytes - at - 1)
    payload[at] = length
    payload.fill(0x61, at + 1, at + 1 + length)
    at += 1 + length
  }
  return payload
}

const NTP_HEADER_BYTES = 8
const NTP_ITEM_BYTES = 72
const NTP_MOST_ITEMS = 6

/** What ntpd answers to `monlist` (mode 7, request 42): up to six clients of 72 bytes. */
function ntpAnswer(bytes: number): Uint8Array {
  const payload = new Uint8Array(bytes)
  const items = Math.max(0, Math.min(NTP_MOST_ITEMS, Math.floor((bytes - NTP_HEADER_BYTES) / NTP_ITEM_BYTES)))
  // Response, more to come, version 2, mode 7; sequence 0; XNTPD; MON_GETLIST_1.
  put(payload, 0, [0xd7, 0, 3, 42, 0, items, 0, NTP_ITEM_BYTES])
  return payload
}

const SSDP_HEAD = 'HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nST: upnp:rootdevice\r\nEXT:\r\nSERVER: '
const SSDP_END = '\r\n\r\n'

/** An answer to M-SEARCH (UPnP Device Architecture 1.1, section 1.3.3), whose server has a name of any length. */
function ssdpAnswer(bytes: number): Uint8Array {
  const nameBytes = Math.max(0, bytes - SSDP_HEAD.length - SSDP_END.length)
  return fitted(bytes, ascii(SSDP_HEAD + 'x'.repeat(nameBytes) + SSDP_END))
}

/** A value over UDP: request, number and count of datagrams, 0; then the text protocol (memcached's protocol.txt). */
function memcachedAnswer(bytes: number): Uint8Array {
  const head = [0, 0, 0, 0, 0, 1, 0, 0]
  const end = '\r\nEND\r\n'
  const room = bytes - head.length - end.length
  // The line says how long the value is, in as many digits as that takes.
  let valueBytes = Math.max(0, room - 'VALUE a 0 \r\n'.length - 4)
  while (`VALUE a 0 ${valueBytes + 1}\r\n`.length + valueBytes + 1 <= room) valueBytes++
  return fitted(bytes, [...head, ...ascii(`VALUE a 0 ${valueBytes}\r\n${'x'.repeat(valueBytes)}${end}`)])
}

const CHARGEN_FIRST = 0x20
const CHARGEN_CHARACTERS = 95
const CHARGEN_LINE = 72

/** Lines of the printable characters, each begun one further on (RFC 864). */
function chargenAnswer(bytes: number): Uint8Array {
  const lineBytes = CHARGEN_LINE + 2
  return Uint8Array.from({ length: bytes }, (_, index) => {
    const [line, column] = [Math.floor(index / lineBytes), index % lineBytes]
    if (column >= CHARGEN_LINE) return column === CHARGEN_LINE ? 13 : 10
    return CHARGEN_FIRST + ((line + column) % CHARGEN_CHARACTERS)
  })
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

/** What does not fit is cut off. */
function put(payload: Uint8Array, at: number, bytes: ArrayLike<number>): void {
  if (at < payload.length) payload.set(Array.prototype.slice.call(bytes, 0, payload.length - at), at)
}

function fitted(bytes: number, content: ArrayLike<number>): Uint8Array {
  const payload = new Uint8Array(bytes)
  put(payload, 0, content)
  return payload
}
