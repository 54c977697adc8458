import {
  KINDS,
  NEXT_IGNORED,
  NEXT_INVALID,
  STATE_CLOSE,
  STATE_CLOSE_WAIT,
  STATE_ESTABLISHED,
  STATE_FIN_WAIT,
  STATE_ICMP,
  STATE_LAST_ACK,
  STATE_NONE,
  STATE_OTHER,
  STATE_SYN_RECEIVED,
  STATE_SYN_SENT,
  STATE_SYN_SENT_TWICE,
  STATE_TIME_WAIT,
  STATE_UDP,
  STATE_UDP_STREAM,
  TCP_STATES,
  TIMEOUT_RETRANSMITTED,
  TIMEOUT_UNACKNOWLEDGED,
} from './formats.js'

/** States of flows by name, with their numbers. */
export const FLOW_STATES = {
  none: STATE_NONE,
  'SYN sent': STATE_SYN_SENT,
  'SYN received': STATE_SYN_RECEIVED,
  established: STATE_ESTABLISHED,
  'FIN wait': STATE_FIN_WAIT,
  'close wait': STATE_CLOSE_WAIT,
  'last ACK': STATE_LAST_ACK,
  'time wait': STATE_TIME_WAIT,
  close: STATE_CLOSE,
  'SYN sent by both': STATE_SYN_SENT_TWICE,
  udp: STATE_UDP,
  'udp stream': STATE_UDP_STREAM,
  icmp: STATE_ICMP,
  other: STATE_OTHER,
} as const

export type FlowState = keyof typeof FLOW_STATES

/** Seconds that a flow lives without a packet, by its state. */
export type Timeouts = Readonly<Record<Exclude<FlowState, 'none'> | 'retransmitted' | 'unacknowledged', number>>

/** Those of Linux (net/netfilter/nf_conntrack_proto_*.c). */
export const TIMEOUTS_SECONDS: Timeouts = {
  'SYN sent': 120,
  'SYN received': 60,
  established: 5 * 24 * 3600,
  'FIN wait': 120,
  'close wait': 60,
  'last ACK': 30,
  'time wait': 120,
  close: 10,
  'SYN sent by both': 120,
  retransmitted: 300,
  unacknowledged: 300,
  udp: 30,
  'udp stream': 120,
  icmp: 30,
  other: 600,
}

/** The number by which `FLOWS_TIMEOUTS` has a timeout. */
export const TIMEOUT_NUMBERS: Readonly<Record<keyof Timeouts, number>> = {
  ...FLOW_STATES,
  retransmitted: TIMEOUT_RETRANSMITTED,
  unacknowledged: TIMEOUT_UNACKNOWLEDGED,
}

/**
 * The state that follows, by direction, kind of segment and state, as
 * `tcp_conntracks` of Linux 6.18 has it. A letter for each state: none, Sent,
 * Received, Established, Fin wait, Close wait, Last ACK, Time wait, closed (X),
 * sent by Both; `-` passes and changes nothing, `!` is invalid.
 *
 *                 n S R E F C L T X B
 */
const NEXT_STATES = {
  original: {
    syn: '        S S - - - - - S S B',
    'syn ack': '  ! ! R ! ! ! ! ! ! R',
    fin: '        ! ! F F L L L T X !',
    ack: '        E ! E E C C T T X !',
    rst: '        ! X X X X X X X X X',
    none: '       ! ! ! ! ! ! ! ! ! !',
  },
  reply: {
    syn: '        ! B ! ! ! ! ! S ! B',
    'syn ack': '  ! R - - - - - - - R',
    fin: '        ! ! F F L L L T X !',
    ack: '        ! - R E C C T T X -',
    rst: '        ! X X X X X X X X X',
    none: '       ! ! ! ! ! ! ! ! ! !',
  },
} as const

const LETTERS: Readonly<Record<string, number>> = {
  S: STATE_SYN_SENT,
  R: STATE_SYN_RECEIVED,
  E: STATE_ESTABLISHED,
  F: STATE_FIN_WAIT,
  C: STATE_CLOSE_WAIT,
  L: STATE_LAST_ACK,
  T: STATE_TIME_WAIT,
  X: STATE_CLOSE,
  B: STATE_SYN_SENT_TWICE,
  '-': NEXT_IGNORED,
  '!': NEXT_INVALID,
}

/** The table as bytes: directions of kinds of states. */
export function nextStates(): Uint8Array {
  const rows = Object.values(NEXT_STATES).flatMap((kinds) => Object.values(kinds))
  const bytes = rows.flatMap((row) =>
    row
      .trim()
      .split(' ')
      .map((letter) => LETTERS[letter]!),
  )
  if (bytes.length !== 2 * KINDS * TCP_STATES) throw new Error('the table of states has lost a row or a column')
  return Uint8Array.from(bytes)
}
