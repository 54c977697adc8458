import type { Stage } from '../engine/index.js'
import {
  ERRORS_BYTES,
  ERRORS_DROPS,
  ERRORS_FROM_INCOMING,
  ERRORS_HOPS,
  ERRORS_IDENTIFICATION,
  ERRORS_KINDS,
  ERRORS_NOW,
  ERRORS_PORTS,
  ERRORS_READER,
  ERRORS_SEED,
  ERRORS_SET_MASK,
  ERRORS_SETTINGS,
  ERRORS_TABLES,
  ERRORS_TARGET_BURST,
  ERRORS_TARGET_RATE,
  ERRORS_TARGETS,
  KIND_BURST,
  KIND_BYTES,
  KIND_RATE,
  KIND_SINCE,
  KIND_TOKENS,
  TARGET_BYTES,
  TARGETS_A_SET,
} from './errors-formats.js'
import { openReader } from './readers.js'
import type { RoutesPlace } from './routes.js'

/** A token bucket: so many a second, and so many at once after a pause. */
export interface ErrorRate {
  readonly perSecond: number
  readonly burst: number
}

/** What answers are about: a life that is over; no route, nobody there, a prohibition; a packet longer than the MTU. */
export type ErrorKind = 'time exceeded' | 'unreachable' | 'too big'

export interface ErrorsOptions {
  /** Time to live of the answers when they leave, 1 to 254; 64 where it is not said. */
  readonly hops?: number
  /**
   * Which port's address they come from: of the one that leads back to the
   * source (`outgoing`; RFC 1812, 4.3.2.4; where it is not said), or of the one
   * that the packet came by (as the kernel's `icmp_errors_use_inbound_ifaddr`).
   */
  readonly source?: 'outgoing' | 'incoming'
  /** For all targets together; 1,000 a second and 50 at once of each kind where it is not said. */
  readonly rates?: Partial<Readonly<Record<ErrorKind, ErrorRate | 'off'>>>
  /**
   * For each target, whatever the kind but `too big`, without which a connection
   * stands still; 1 a second and 6 at once where it is not said, as the kernel's.
   */
  readonly perTarget?: ErrorRate | 'off'
  /** Targets that are remembered, a power of two from 4 on; 1,024 where it is not said, of 32 bytes each. */
  readonly targets?: number
}

/** In the order of FAULT_… of error-words.inline.as.ts. */
const DROPS = [
  'about an error',
  'later fragment',
  'to many',
  'from no host',
  'from a link-local address',
  'no address',
  'limit of its kind',
  'limit of its target',
  'no frame',
  'no note',
  'malformed',
] as const

/** In the order of ERROR_…. */
const KINDS: readonly ErrorKind[] = ['time exceeded', 'unreachable', 'too big']
const EACH_KIND: ErrorRate = { perSecond: 1000, burst: 50 }
const EACH_TARGET: ErrorRate = { perSecond: 1, burst: 6 }
const MOST_HOPS = 254

/**
 * Makes of each packet that `forward` or `hold` has noted a fault about the
 * ICMP error that its source is to have (RFC 792, RFC 1812, RFC 1191, RFC
 * 4443), in a frame of its own. Answers are for a `forward` of `inPort: null`,
 * which takes one hop off and finds the way back. Who gets no answer is dropped,
 * with the reason. Throws RangeError.
 */
export function errors(name: string, tables: RoutesPlace, options: ErrorsOptions = {}): Stage {
  const { hops = 64, source = 'outgoing', rates = {}, perTarget = EACH_TARGET, targets = 1024 } = options
  if (!(hops >= 1 && hops <= MOST_HOPS)) throw new RangeError(`answers make 1 to ${MOST_HOPS} hops, not ${hops}`)
  if (!(targets >= TARGETS_A_SET && Number.isInteger(Math.log2(targets))))
    throw new RangeError(`targets are a power of two from ${TARGETS_A_SET} on, not ${targets}`)
  const ofKinds = KINDS.map((kind) => bucketOf(rates[kind] ?? EACH_KIND))
  const ofTarget = bucketOf(perTarget)
  return {
    name,
    outputs: ['answers'],
    drops: DROPS,
    kind: 'errors',
    settings: {
      address: tables.address,
      hops,
      source,
      targets,
      perTarget: String(ofTarget),
      ...Object.fromEntries(KINDS.map((kind, index) => [kind, String(ofKinds[index])])),
    },
    start({ space, code, pool, drops, reserve }) {
      const { words, counters } = space
      const state = reserve('settings', 'state', ERRORS_BYTES)
      const settings = {
        [ERRORS_TABLES]: tables.address,
        [ERRORS_READER]: openReader(space, tables, pool.number),
        [ERRORS_PORTS]: tables.ports,
        [ERRORS_SETTINGS]: source === 'incoming' ? ERRORS_FROM_INCOMING : 0,
        [ERRORS_HOPS]: hops + 1,
        [ERRORS_DROPS]: drops,
        [ERRORS_TARGETS]: reserve('targets', 'table', targets * TARGET_BYTES),
        [ERRORS_SET_MASK]: targets / TARGETS_A_SET - 1,
        [ERRORS_SEED]: Math.floor(Math.random() * 2 ** 32),
        [ERRORS_IDENTIFICATION]: Math.floor(Math.random() * 2 ** 16),
      }
      for (const [field, value] of Object.entries(settings)) words[(state + Number(field)) / 4] = value
      const write = (at: number, value: number) => {
        counters[(state + at) / 8] = value
      }
      const now = performance.now()
      ofKinds.forEach(([rate, burst], kind) => {
        const at = ERRORS_KINDS + kind * KIND_BYTES
        write(at + KIND_RATE, rate)
        write(at + KIND_BURST, burst)
        write(at + KIND_TOKENS, burst)
        write(at + KIND_SINCE, now)
      })
      write(ERRORS_TARGET_RATE, ofTarget[0])
      write(ERRORS_TARGET_BURST, ofTarget[1])
      const run = code.find('errors')
      return {
        run(bundle) {
          write(ERRORS_NOW, performance.now())
          run(state, pool.address, bundle)
        },
      }
    },
  }
}

/** Tokens a millisecond, and at most. */
function bucketOf(rate: ErrorRate | 'off'): readonly [perMs: number, most: number] {
  return rate === 'off' ? [0, Number.POSITIVE_INFINITY] : [rate.perSecond / 1000, rate.burst]
}
