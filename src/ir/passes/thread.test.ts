import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { all, any, compare, not } from '../condition.js'
import { buildGraph } from '../graph.js'
import { printGraph } from '../print.js'
import { constant, load } from '../value.js'
import { threadJumps } from './thread.js'

const is = (offset: number, value: number) => compare(load({ base: null, offset }, 0, 1), '=', constant(value))
const ip = is(12, 8)
const ip6 = is(12, 6)
const udp = is(23, 17)

function threaded(...rules: Parameters<typeof buildGraph>[0]): string[] {
  return printGraph(threadJumps(buildGraph(rules)))
    .trim()
    .split('\n')
    .map((line) => line.replace(/ +/g, ' '))
}

describe('jump threading', () => {
  it('asks nothing twice', () => {
    assert.deepEqual(threaded(all(ip, udp, ip, is(30, 1))), [
      'n4 [12] = 8 ? n3 : no match',
      'n3 [23] = 17 ? n2 : no match',
      'n2 [30] = 1 ? rule 0 : no match',
    ])
  })

  it('takes from an equality that the other alternatives are out', () => {
    assert.deepEqual(threaded(all(ip, any(all(ip6, is(20, 17)), udp))), [
      'n3 [12] = 8 ? n2 : no match',
      'n2 [23] = 17 ? rule 0 : no match',
    ])
  })

  it('splits where ways meet that know different things', () => {
    const either = any(all(ip, udp), all(ip6, is(20, 17)))
    const ports = any(all(ip, is(34, 53)), all(ip6, is(54, 53)))
    const lines = threaded(all(either, ports))
    assert.equal(lines.length, 6)
    assert.equal(lines.filter((line) => line.includes('[12]')).length, 2)
  })

  it('carries what one rule found out to the next', () => {
    const lines = threaded(all(ip, udp), all(ip6, is(20, 17)), all(ip, is(23, 6)))
    assert.ok(lines.includes('n8 [23] = 17 ? rule 0 : n2'), lines.join('\n'))
    assert.ok(lines.includes('n2 [23] = 6 ? rule 2 : no match'), lines.join('\n'))
  })

  it('finds what contradicts itself', () => {
    assert.deepEqual(threaded(all(ip, not(ip))), ['n0 no match'])
  })
})
