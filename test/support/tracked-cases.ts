import type { Verdict } from './kernel-tracker.js'
import { type TrackedPacket, trackedIp } from './tracked-packet.js'

/** A conversation, and what a tracker says of each of its packets. */
export interface TrackedCase {
  readonly name: string
  readonly packets: readonly (readonly [packet: TrackedPacket, verdict: Verdict])[]
}

type Said = readonly [packet: TrackedPacket, verdict: Verdict]

/** A segment as tcpdump writes it: flags, sequence number and acknowledgement. */
const segment =
  (from: 'client' | 'server') =>
  (
    flags: string,
    sequence: number,
    acknowledged: number,
    more: Partial<TrackedPacket> & { readonly length?: number } = {},
  ) => {
    const { length = 0, ...rest } = more
    const packet = { from, flags, sequence, acknowledged, payload: new Uint8Array(length), ...rest }
    return (verdict: Verdict): Said => [packet, verdict]
  }
const client = segment('client')
const server = segment('server')

const SACK_AND_SCALE = [4, 2, 1, 3, 3, 8, 1, 1]
const handshake: readonly Said[] = [
  client('S', 0, 0, { options: SACK_AND_SCALE })('new'),
  server('S.', 1, 1)('established'),
  client('.', 1, 2)('established'),
]
const download: readonly Said[] = [1, 1001, 2001].flatMap((sequence) => [
  server('.', sequence + 1, 1, { length: 1000 })('established'),
  client('.', 1, sequence + 1001)('established'),
])

/**
 * What tools/testing/selftests/net/netfilter/packetdrill of Linux expects of
 * connection tracking, said again as tables: its files are named.
 */
export const KERNEL_CASES: readonly TrackedCase[] = [
  {
    name: 'conntrack_rst_invalid: RST beside the window are invalid, and the connection stays',
    packets: [
      ...handshake,
      ...download,
      server('R', 0, 0, { window: 0 })('invalid'),
      server('R', 1_000_000, 0, { window: 0 })('invalid'),
      server('R', 42, 0, { window: 0 })('invalid'),
      client('P.', 1, 3002, { length: 1000 })('established'),
      server('.', 3002, 1001)('established'),
      server('R.', 3001, 1001, { window: 0 })('invalid'),
      server('R.', 3002, 1001, { window: 0 })('established'),
    ],
  },
  {
    name: 'conntrack_inexact_rst: RST of a connection that closes already are good',
    packets: [
      ...handshake,
      ...download,
      client('P.', 1, 3002, { length: 1000 })('established'),
      server('F.', 3002, 1001)('established'),
      client('.', 1001, 3003)('established'),
      client('R.', 1001, 3003)('established'),
      server('R', 2002, 0, { window: 0 })('established'),
    ],
  },
  {
    name: 'conntrack_synack_old: a SYN-ACK of an older connection is invalid, and the right one is not',
    packets: [
      client('S', 0, 0, { options: SACK_AND_SCALE })('new'),
      server('S.', 145_824_453, 643_160_523, { window: 240 })('invalid'),
      client('S', 0, 0, { options: SACK_AND_SCALE })('new'),
      server('S.', 145_758_918, 1, { window: 250 })('established'),
      client('P.', 1, 145_758_919, { length: 1 })('established'),
    ],
  },
  {
    name: 'conntrack_syn_challenge_ack: the challenge, the RST that answers it, and the new connection pass',
    packets: [
      client('S', 0, 0, { options: SACK_AND_SCALE })('new'),
      server('.', 145_824_453, 643_160_523, { window: 240 })('established'),
      client('R', 643_160_523, 0, { window: 0 })('established'),
      client('S', 0, 0, { options: SACK_AND_SCALE })('new'),
      server('S.', 0, 1, { window: 250 })('established'),
      client('.', 1, 1, { window: 256 })('established'),
    ],
  },
  {
    name: 'conntrack_synack_reuse: a SYN into an established connection, its challenge and RST, and the SYN again',
    packets: [
      client('S', 0, 0, { window: 32_792 })('new'),
      server('S.', 0, 1)('established'),
      client('.', 1, 1, { window: 257 })('established'),
      client('P.', 1, 1, { window: 257, length: 100 })('established'),
      server('.', 1, 101, { window: 256 })('established'),
      client('S', 2000, 0, { window: 32_792 })('established'),
      server('.', 1, 101, { window: 256 })('established'),
      client('R.', 101, 1, { window: 257 })('established'),
      client('S', 2000, 0, { window: 32_792 })('new'),
      server('S.', 5000, 2001)('established'),
    ],
  },
  {
    name: 'conntrack_ack_loss_stall: what has been acknowledged long ago passes when it comes again',
    packets: [
      client('S', 0, 0, { window: 32_792 })('new'),
      server('S.', 0, 1)('established'),
      client('.', 1, 1)('established'),
      ...Array.from({ length: 46 }, (_, index) => [
        client('P.', 1 + index * 1460, 1, { window: 257, length: 1460 })('established'),
        server('.', 1, 1461 + index * 1460)('established'),
      ]).flat(),
      client('P.', 1, 1, { window: 257, length: 1460 })('established'),
      server('.', 1, 67_161)('established'),
    ],
  },
]

const udp = (from: 'client' | 'server', more: Partial<TrackedPacket> = {}): TrackedPacket => ({
  from,
  protocol: 'udp',
  port: 5353,
  serverPort: 53,
  payload: new Uint8Array(8),
  ...more,
})
const echo = (from: 'client' | 'server', more: Partial<TrackedPacket> = {}): TrackedPacket => ({
  from,
  protocol: 'icmp',
  port: 7,
  payload: new Uint8Array(16),
  ...more,
})

/** What the server, or a router before it, answers to a packet of the client. */
export const errorAbout = (quoted: TrackedPacket, more: Partial<TrackedPacket> = {}): TrackedPacket => ({
  from: 'server',
  protocol: 'icmp',
  type: quoted.family === 6 ? 1 : 3,
  code: quoted.family === 6 ? 4 : 1,
  payload: trackedIp(quoted),
  family: quoted.family ?? 4,
  ...more,
})

/** Destination options. */
const OPTIONS = 60
const extended = udp('client', { family: 6, port: 6100, extensions: [OPTIONS, OPTIONS] })

const EXTENDED: readonly TrackedCase[] = [
  {
    name: 'IPv6: extension headers are walked, of a packet as of one that is quoted',
    packets: [
      [errorAbout(extended), 'invalid'],
      [extended, 'new'],
      [errorAbout(extended), 'related'],
      [udp('server', { family: 6, port: 6100 }), 'established'],
      [udp('client', { family: 6, port: 6101, extensions: new Array<number>(8).fill(OPTIONS) }), 'new'],
      [udp('server', { family: 6, port: 6101 }), 'established'],
    ],
  },
]

/** Of protocols other than TCP, for one family; the kernel's answers. */
export const casesOf = (family: 4 | 6): readonly TrackedCase[] => [
  {
    name: `IPv${family}: UDP is new until it is answered`,
    packets: [
      [udp('client', { family }), 'new'],
      [udp('client', { family }), 'new'],
      [udp('server', { family }), 'established'],
      [udp('client', { family }), 'established'],
      [udp('client', { family, port: 5354 }), 'new'],
    ],
  },
  {
    name: `IPv${family}: echo; an answer without a request is invalid`,
    packets: [
      [echo('server', { family, port: 9 }), 'invalid'],
      [echo('client', { family }), 'new'],
      [echo('server', { family }), 'established'],
      [echo('client', { family }), 'established'],
    ],
  },
  {
    name: `IPv${family}: errors are related to the flow of what they quote`,
    packets: [
      [errorAbout(udp('client', { family, port: 6000 })), 'invalid'],
      [udp('client', { family, port: 6000 }), 'new'],
      [errorAbout(udp('client', { family, port: 6000 })), 'related'],
      [errorAbout(udp('client', { family, port: 6001 })), 'invalid'],
      [udp('client', { family, port: 6000 }), 'new'],
      [errorAbout(udp('client', { family, port: 6000 }), { type: family === 6 ? 2 : 11, code: 0 }), 'related'],
    ],
  },
  ...(family === 6 ? EXTENDED : []),
  {
    name: `IPv${family}: wrong checksums are invalid`,
    packets: [
      [udp('client', { family, port: 7000, hasWrongChecksum: true }), 'invalid'],
      [udp('client', { family, port: 7000 }), 'new'],
      [echo('client', { family, port: 70, hasWrongChecksum: true }), 'invalid'],
      [client('S', 0, 0, { family, port: 7001, hasWrongChecksum: true })('new')[0], 'invalid'],
    ],
  },
  {
    name: `IPv${family}: a protocol without ports`,
    packets: [
      [{ from: 'client', family, protocol: 'other' }, 'new'],
      [{ from: 'server', family, protocol: 'other' }, 'established'],
      [{ from: 'client', family, protocol: 'other' }, 'established'],
    ],
  },
]
