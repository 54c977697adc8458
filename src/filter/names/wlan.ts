/**
 * Frame types and subtypes of IEEE 802.11 (2020, table 9-1), as they stand in
 * the first byte of the frame control field: type in bits 2-3, subtype in 4-7.
 */
export const WLAN_TYPES: ReadonlyMap<string, number> = new Map([
  ['mgt', 0x00],
  ['management', 0x00],
  ['ctl', 0x04],
  ['control', 0x04],
  ['data', 0x08],
])

const MANAGEMENT: readonly (readonly [string, number])[] = [
  ['assocreq', 0x00],
  ['assoc-req', 0x00],
  ['assocresp', 0x10],
  ['assoc-resp', 0x10],
  ['reassocreq', 0x20],
  ['reassoc-req', 0x20],
  ['reassocresp', 0x30],
  ['reassoc-resp', 0x30],
  ['probereq', 0x40],
  ['probe-req', 0x40],
  ['proberesp', 0x50],
  ['probe-resp', 0x50],
  ['beacon', 0x80],
  ['atim', 0x90],
  ['disassoc', 0xa0],
  ['disassociation', 0xa0],
  ['auth', 0xb0],
  ['authentication', 0xb0],
  ['deauth', 0xc0],
  ['deauthentication', 0xc0],
]

const CONTROL: readonly (readonly [string, number])[] = [
  ['bar', 0x80],
  ['ba', 0x90],
  ['ps-poll', 0xa0],
  ['rts', 0xb0],
  ['cts', 0xc0],
  ['ack', 0xd0],
  ['cf-end', 0xe0],
  ['cf-end-ack', 0xf0],
]

const DATA: readonly (readonly [string, number])[] = [
  ['data', 0x00],
  ['data-cf-ack', 0x10],
  ['data-cf-poll', 0x20],
  ['data-cf-ack-poll', 0x30],
  ['null', 0x40],
  ['cf-ack', 0x50],
  ['cf-poll', 0x60],
  ['cf-ack-poll', 0x70],
  ['qos-data', 0x80],
  ['qos-data-cf-ack', 0x90],
  ['qos-data-cf-poll', 0xa0],
  ['qos-data-cf-ack-poll', 0xb0],
  ['qos', 0xc0],
  ['qos-cf-poll', 0xe0],
  ['qos-cf-ack-poll', 0xf0],
]

/** Subtypes by type (0x00, 0x04, 0x08). A name without a type is looked for in this order. */
export const WLAN_SUBTYPES: ReadonlyMap<number, ReadonlyMap<string, number>> = new Map([
  [0x00, new Map(MANAGEMENT)],
  [0x04, new Map(CONTROL)],
  [0x08, new Map(DATA)],
])

/** Which distribution system a frame comes from and goes to: bits 0-1 of the second byte. */
export const WLAN_DIRECTIONS: ReadonlyMap<string, number> = new Map([
  ['nods', 0],
  ['tods', 1],
  ['fromds', 2],
  ['dstods', 3],
])
