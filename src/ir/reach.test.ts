import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { seededRandom } from '../../test/support/random.js'
import { randomFilter } from '../../test/support/random-filter.js'
import { randomPacket } from '../../test/support/random-packet.js'
import { FilterError, parseFilter } from '../filter/index.js'
import { buildGraph, type Condition, interpret, lower, UnsupportedError, unreachableRules } from './index.js'

const sets = new Set(['some', 'other'])
const conditionOf = (text: string): Condition => lower(parseFilter(text, { sets }).expression)

/** Indexes of the expressions that are never reached; one with a leading `~` is not final. */
function unreached(...texts: readonly string[]): number[] {
  return unreachableRules(
    texts.map((text) => ({ condition: conditionOf(text.replace(/^~/, '')), isFinal: !text.startsWith('~') })),
  )
}

describe('rules that no packet reaches', () => {
  it('are those that an earlier one implies', () => {
    assert.deepEqual(unreached('udp', 'udp dst port 53'), [1])
    assert.deepEqual(unreached('src net 10.0.0.0/8', 'src host 10.1.2.3'), [1])
    assert.deepEqual(unreached('len > 100', 'greater 200 and udp'), [1])
    assert.deepEqual(unreached('udp port 53', 'udp port 53'), [1])
    assert.deepEqual(unreached('', 'arp', 'tcp'), [1, 2])
    assert.deepEqual(unreached('ip src net @some', 'ip src net @some and tcp'), [1])
    assert.deepEqual(unreached('tcp port 80', 'tcp dst port 80 and ip'), [1])
    assert.deepEqual(unreached('tcp or udp', 'udp'), [1])
  })

  it('are those that several earlier ones take together', () => {
    assert.deepEqual(unreached('ip', 'ip6', 'tcp'), [2])
    assert.deepEqual(unreached('tcp port 80', 'udp', 'tcp', 'ip proto 6 or ip proto 17'), [3])
  })

  it('are those that contradict themselves', () => {
    assert.deepEqual(unreached('ip and arp'), [0])
    assert.deepEqual(unreached('udp', 'ip proto 6 and ip proto 17'), [1])
    assert.deepEqual(unreached('ip src net @some and not ip src net @some'), [0])
  })

  it('are not those that anything is left for', () => {
    assert.deepEqual(unreached('udp dst port 53', 'udp'), [])
    assert.deepEqual(unreached('src net 10.0.0.0/9', 'src net 10.0.0.0/8'), [])
    assert.deepEqual(unreached('ip src net @some', 'ip src net @other'), [])
    // A packet without the 41st byte is none for the first rule.
    assert.deepEqual(unreached('ip[20] < 5 or ip[20] >= 5', 'ip'), [])
    assert.deepEqual(unreached('ip[20] < 5 or ip[20] >= 5', 'ip and ip[24] = 1'), [1])
    assert.deepEqual(unreached('1 / ip[8] = 1', 'ip and ip[8] = 0'), [])
  })

  it('are not behind a rule that is not final', () => {
    assert.deepEqual(unreached('~udp', 'udp'), [])
    assert.deepEqual(unreached('~', '~', 'tcp', '~tcp port 1'), [3])
  })

  it('are never reached by random packets', (context) => {
    const random = seededRandom(context, 'ir/reach')
    let named = 0
    for (let round = 0; round < 100; round++) {
      const conditions: Condition[] = []
      while (conditions.length < 4) {
        try {
          conditions.push(conditionOf(randomFilter(random, 1)))
        } catch (error) {
          if (!(error instanceof FilterError || error instanceof UnsupportedError)) throw error
        }
      }
      const unreachable = unreachableRules(conditions.map((condition) => ({ condition, isFinal: true })))
      named += unreachable.length
      const graph = buildGraph(conditions)
      for (let probe = 0; probe < 100; probe++) {
        const rule = interpret(graph, randomPacket(random))
        assert.ok(rule === null || !unreachable.includes(rule), `rule ${rule} of round ${round} is reached`)
      }
    }
    assert.ok(named > 8, `only ${named} were found unreachable`)
  })
})
