import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compileRule } from '../src/compile.js'
import { prepare } from '../src/ebpf/index.js'
import { FilterError } from '../src/filter/index.js'
import { interpret, UnsupportedError } from '../src/ir/index.js'
import {
  CLASSIC_LINK_TYPES,
  type ClassicLinkType,
  type ClassicProgram,
  compileClassic,
  runClassic,
} from './support/classic-bpf.js'
import { type Random, seededRandom } from './support/random.js'
import { randomFilter } from './support/random-filter.js'
import { type RandomPacket, randomPacket } from './support/random-packet.js'
import { skipUnless } from './support/require.js'
import { hasUselessReads } from './support/useless-reads.js'

const PACKETS = 250
const EXPRESSIONS = 600
/** Compared with libpcap; as many as SLUICE_PAIRS says, for those who have time. */
const PAIRS = Number(process.env['SLUICE_PAIRS'] ?? 200_000)
const EXPRESSIONS_PER_PACKETS = 20
const XDP_DROP = 1

describe('random expressions and packets', () => {
  it('give one answer in the graph as lowered, optimized, and as eBPF', (context) => {
    const random = seededRandom(context, 'compile-random')
    const packets = Array.from({ length: PACKETS }, () => randomPacket(random))
    let compared = 0
    let matched = 0
    forEachRule(random, EXPRESSIONS, 'EN10MB', (expression, { graph, optimized, program }) => {
      const machine = prepare(program)
      for (const packet of packets) {
        const wanted = interpret(graph, packet) === 0
        const answers = { optimized: interpret(optimized, packet) === 0, ebpf: runProgram(machine, packet) }
        assert.deepEqual(answers, { optimized: wanted, ebpf: wanted }, describePair(expression, packet))
        compared++
        if (wanted) matched++
      }
    })
    context.diagnostic(`${compared} pairs, ${matched} of them match`)
    assert.ok(matched > compared / 50 && matched < compared, 'the generator makes both matches and misses')
  })

  it('give the answer of libpcap, for every link type', { skip: skipUnless('tcpdump') }, (context) => {
    const random = seededRandom(context, 'compile-random')
    const totals = { pairs: 0, matched: 0, disputed: 0, refused: 0, long: 0 }
    for (const linkType of CLASSIC_LINK_TYPES) {
      const share = linkType === 'EN10MB' ? 0.3 : 0.7 / (CLASSIC_LINK_TYPES.length - 1)
      compareWithLibpcap(random, linkType, PAIRS * share, totals)
    }
    const { pairs, matched, disputed, refused, long } = totals
    context.diagnostic(`${pairs} pairs, ${matched} of them match, on ${CLASSIC_LINK_TYPES.length} link types`)
    context.diagnostic(`on ${disputed} pairs libpcap's two programs differ, and ours is as the plain one`)
    context.diagnostic(
      `${refused} expressions are refused by libpcap; on ${long} pairs it follows 7 headers of a chain or more`,
    )
    assert.ok(pairs >= PAIRS)
    assert.ok(matched > pairs / 50 && disputed < pairs / 50 && long < pairs / 1000)
  })
})

interface Totals {
  pairs: number
  matched: number
  disputed: number
  refused: number
  long: number
}

/** New expressions on new packets, until `wanted` pairs are compared. */
function compareWithLibpcap(random: Random, linkType: ClassicLinkType, wanted: number, totals: Totals): void {
  const end = totals.pairs + wanted
  while (totals.pairs < end) {
    const packets = Array.from({ length: PACKETS }, () => randomPacket(random, linkType))
    forEachRule(random, EXPRESSIONS_PER_PACKETS, linkType, (expression, { filters, optimized, program }) => {
      if (isOverwrittenInLibpcap(expression, linkType)) return
      const parsed = filters[0]!.expression!
      if (isPlainInLibpcap(expression, linkType) && hasUselessReads(parsed)) return
      const classic = compileClassic(expression, true, linkType)
      // libpcap refuses what its optimizer finds can never match, and words newer than it is.
      if (classic === null) {
        totals.refused++
        return
      }
      let plain: ClassicProgram | null = null
      const machine = prepare(program)
      for (const packet of packets) {
        const theirs = runClassic(classic, packet.bytes, packet.wireLength)
        if (theirs === null) {
          totals.long++
          continue
        }
        const ours = interpret(optimized, packet) === 0
        totals.pairs++
        if (ours) totals.matched++
        const where = `${linkType}: ${describePair(expression, packet)}`
        assert.equal(runProgram(machine, packet), ours, `eBPF and the graph differ on ${where}`)
        if (ours === theirs) continue
        // Where a read fails, libpcap's optimizer may have left out the test that makes it; its plain code has not.
        totals.disputed++
        plain ??= compileClassic(expression, false, linkType)
        const theirsPlain: boolean | null = plain !== null && runClassic(plain, packet.bytes, packet.wireLength)
        assert.equal(ours, theirsPlain, `libpcap says ${theirs} on ${where}`)
      }
    })
  }
}

/**
 * Over IEEE 802.11 libpcap 1.10.3 keeps where the payload starts in a register
 * that calculations before it in the text also write, and with `pppoes` it reads
 * the register of the radio header without having set it: no oracle for those.
 */
function isOverwrittenInLibpcap(expression: string, linkType: ClassicLinkType): boolean {
  if (!/^IEEE802_11/.test(linkType)) return false
  if (/pppoes/.test(expression)) return true
  if (!/[=<>]/.test(expression)) return false
  return /\b(and|or|not)\b/.test(expression) || /(ip|ip6|arp|tcp|udp|icmp|icmp6|sctp)\[/.test(expression)
}

/** libpcap does not optimize where it loops, or computes where headers lie. */
function isPlainInLibpcap(expression: string, linkType: ClassicLinkType): boolean {
  return /^IEEE802_11/.test(linkType) || /geneve|protochain/.test(expression)
}

/** Calls `visit` for `count` expressions that compile; the generator also makes some that mean nothing. */
function forEachRule(
  random: Random,
  count: number,
  linkType: ClassicLinkType,
  visit: (expression: string, rule: ReturnType<typeof compileRule>) => void,
): void {
  for (let made = 0; made < count; ) {
    const expression = randomFilter(random, random.below(4), linkType)
    const rule = compileOrNull(expression, linkType)
    if (rule === null) continue
    visit(expression, rule)
    made++
  }
}

function compileOrNull(expression: string, linkType: ClassicLinkType): ReturnType<typeof compileRule> | null {
  try {
    return compileRule({ match: expression, action: 'drop' }, { linkType, live: false, wireLength: 'metadata' })
  } catch (error) {
    if (error instanceof UnsupportedError || error instanceof FilterError) return null
    throw error
  }
}

function runProgram(machine: ReturnType<typeof prepare>, { bytes, wireLength }: RandomPacket): boolean {
  const outcome = machine.run(bytes, { metadata: new Uint8Array(new Uint32Array([wireLength]).buffer) })
  assert.equal(outcome.kind, 'return', outcome.kind === 'fault' ? outcome.reason : '')
  return outcome.kind === 'return' && outcome.value === XDP_DROP
}

function describePair(expression: string, { bytes, wireLength }: RandomPacket): string {
  return `'${expression}' on ${Buffer.from(bytes).toString('hex')} (${wireLength} bytes on the wire)`
}
