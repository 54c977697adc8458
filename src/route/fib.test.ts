import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bytesOf, PlainRoutes, plainOf, someAddress, tableRoutes } from '../../test/support/plain-routes.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import type { Family } from '../../test/support/random-prefixes.js'
import { skipUnless } from '../../test/support/require.js'
import { createSpace, loadCode } from '../memory/index.js'
import { type FibOptions, openRoutes, type RouteList, type Routes, routesBytes } from './index.js'

const SAMPLES = 100_000
const NO_V4 = { rootBits: 8, nodes: 0, routes: 8 } as const
const NO_V6 = { rootBits: 8, nodes: 0, routes: 8 } as const

/** Tables of one family, in a memory just large enough. */
function open(family: Family, options: FibOptions): Routes {
  const both = family === 4 ? { v4: options, v6: NO_V6 } : { v4: NO_V4, v6: options }
  const space = createSpace(routesBytes(both) + 65_536)
  return openRoutes(space, loadCode(space), 'test', both)
}

function statisticsOf(tables: Routes, family: Family) {
  return tables.statistics()[family === 4 ? 'v4' : 'v6']
}

function replace(tables: Routes, family: Family, list: RouteList): number {
  return tables.replace(family === 4 ? { v4: list } : { v6: list })
}

const TABLES = [
  ['ipasn_20140513.dat.gz', 4, 512_621, { rootBits: 24 }],
  ['ipasn_20140513.dat.gz', 4, 512_621, { rootBits: 16, nodes: 40_000 }],
  ['ipasn6_20151101.dat.gz', 4, 606_138, { rootBits: 24 }],
  ['ipasn6_20151101.dat.gz', 6, 27_693, { rootBits: 16 }],
  ['ipasn6_20151101.dat.gz', 6, 27_693, { rootBits: 24 }],
] as const

for (const [file, family, prefixes, options] of TABLES) {
  test(`IPv${family} of ${file} below a root of ${options.rootBits} bits: ${SAMPLES} addresses as by brute force`, {
    skip: skipUnless('corpus'),
  }, (context) => {
    const random = seededRandom(context, 'route/fib')
    const list = tableRoutes(file, family, 4000)
    assert.equal(list.lengths.length, prefixes)
    const tables = open(family, options)
    assert.equal(replace(tables, family, list), 0)
    assert.equal(statisticsOf(tables, family).routes, prefixes)
    const plain = plainOf(list)
    for (let sample = 0; sample < SAMPLES; sample++) {
      const address = someAddress(random, list)
      assert.deepEqual(tables.lookup(bytesOf(address)), plain.lookup(address), address.join(':'))
    }
  })
}

/** Prefixes that lie in one another and touch, of all lengths, so that nodes come and go. */
function randomRoute(random: Random, family: Family, bases: readonly (readonly number[])[]) {
  const width = family === 4 ? 1 : 4
  const words = [...random.pick(bases)]
  words[random.below(width)]! ^= random.word() >>> random.below(32)
  const length = random.below(8) === 0 ? random.below(32 * width + 1) : 32 * width - random.below(12 * width)
  return { words: words.map((word) => word >>> 0), length }
}

describe('random inserts and removes', () => {
  for (const [family, options] of [
    [4, { rootBits: 8, nodes: 400, routes: 500 }],
    [4, { rootBits: 16, nodes: 60, routes: 500 }],
    [4, { rootBits: 24, nodes: 30, routes: 500 }],
    [6, { rootBits: 16, nodes: 900, routes: 500 }],
    [6, { rootBits: 24, nodes: 500, routes: 300 }],
  ] as const) {
    test(`IPv${family}, root of ${options.rootBits} bits, ${options.nodes} nodes: as a plain table, also when refused`, (context) => {
      const random = seededRandom(context, 'route/fib')
      const tables = open(family, options)
      const plain = new PlainRoutes()
      const present: { words: number[]; length: number }[] = []
      const bases = Array.from({ length: 6 }, () => Array.from({ length: family === 4 ? 1 : 4 }, random.word))
      let refused = 0
      for (let turn = 0; turn < 6000; turn++) {
        // Filled and emptied in turn, beyond what there is room for.
        const isGrowing = Math.floor(turn / 1500) % 2 === 0
        const route =
          random.below(3) === 0 && present.length > 0 ? random.pick(present) : randomRoute(random, family, bases)
        const prefix = { address: bytesOf(route.words), length: route.length }
        if (random.below(10) < (isGrowing ? 8 : 2)) {
          const hop = 1 + random.below(5)
          if (tables.insert(prefix, hop) === null) {
            plain.insert(route.words, route.length, hop)
            present.push(route)
          } else refused++
        } else assert.equal(tables.remove(prefix), plain.remove(route.words, route.length))
        if (turn % 20 !== 0) continue
        for (let sample = 0; sample < 20; sample++) {
          const address = random.below(2) === 0 ? route.words : randomRoute(random, family, bases).words
          assert.deepEqual(tables.lookup(bytesOf(address)), plain.lookup(address), `turn ${turn}, ${address.join(':')}`)
        }
      }
      const statistics = statisticsOf(tables, family)
      assert.equal(statistics.routes, plain.size)
      assert.equal(statistics.refused['no node'] + statistics.refused['table full'], refused)
      assert.ok(refused > 0, 'there was too much room for this test')
      for (const { words, length } of present) tables.remove({ address: bytesOf(words), length })
      const { routes, nodes } = statisticsOf(tables, family)
      assert.deepEqual({ routes, nodes }, { routes: 0, nodes: 0 })
    })
  }
})

test('replacing all routes leaves those of the list, whatever there was', (context) => {
  const random = seededRandom(context, 'route/fib')
  for (const family of [4, 6] as const) {
    const tables = open(family, { rootBits: 16, nodes: 4000, routes: 1000 })
    const bases = Array.from({ length: 4 }, () => Array.from({ length: family === 4 ? 1 : 4 }, random.word))
    for (let turn = 0; turn < 30; turn++) {
      const routes = Array.from({ length: random.below(200) }, () => randomRoute(random, family, bases))
      const list = {
        words: Uint32Array.from(routes.flatMap(({ words }) => words)),
        lengths: Uint8Array.from(routes, ({ length }) => length),
        hops: Uint32Array.from(routes, () => 1 + random.below(100)),
      }
      assert.equal(replace(tables, family, list), 0)
      const plain = plainOf(list)
      assert.equal(statisticsOf(tables, family).routes, plain.size)
      for (let sample = 0; sample < 200; sample++) {
        const { words } = randomRoute(random, family, bases)
        assert.deepEqual(tables.lookup(bytesOf(words)), plain.lookup(words))
      }
    }
  }
})

test('a million IPv4 routes fit into what is built where nothing is said', (context) => {
  const random = seededRandom(context, 'route/fib')
  const space = createSpace(routesBytes({ v6: NO_V6 }) + 65_536)
  const tables = openRoutes(space, loadCode(space), 'test', { v6: NO_V6 })
  const count = 1_000_000
  const list = {
    words: Uint32Array.from({ length: count }, (_, route) => (16 + (route >>> 16)) * 2 ** 24 + (route & 0xffff) * 256),
    lengths: new Uint8Array(count).fill(24),
    hops: Uint32Array.from({ length: count }, () => 1 + random.below(4000)),
  }
  assert.equal(tables.replace({ v4: list }), 0)
  assert.equal(tables.statistics().v4.routes, count)
  for (let sample = 0; sample < 1000; sample++) {
    const route = random.below(count)
    const address = bytesOf([list.words[route]! + random.below(256)])
    assert.deepEqual(tables.lookup(address), { prefixLength: 24, nextHop: list.hops[route] })
  }
})

test('what does not fit is refused in a sentence, and what is there stays', () => {
  const tables = open(4, { rootBits: 16, nodes: 2, routes: 3 })
  const prefix = (last: number, length: number) => ({ address: Uint8Array.of(10, last, last, last), length })
  assert.equal(tables.insert(prefix(1, 32), 1), null)
  assert.match(tables.insert(prefix(2, 24), 2)!, /all 2 nodes of the IPv4 table are in use/)
  assert.equal(tables.insert(prefix(2, 16), 2), null)
  assert.equal(tables.insert(prefix(3, 16), 3), null)
  assert.match(tables.insert(prefix(4, 16), 4)!, /the IPv4 table has its 3 routes/)
  assert.deepEqual(tables.lookup(Uint8Array.of(10, 1, 1, 1)), { prefixLength: 32, nextHop: 1 })
  assert.deepEqual(tables.lookup(Uint8Array.of(10, 1, 1, 2)), { prefixLength: 0, nextHop: 0 })
  assert.deepEqual(tables.statistics().v4.refused, { 'no node': 1, 'table full': 1 })
  // The nodes of a removed route are there for another at once, since nobody is looking.
  assert.equal(tables.remove(prefix(1, 32)), true)
  assert.equal(tables.insert(prefix(2, 32), 5), null)
  assert.deepEqual(tables.lookup(Uint8Array.of(10, 2, 2, 2)), { prefixLength: 32, nextHop: 5 })
})

test('what is no prefix is refused before it is written', () => {
  const tables = open(4, { rootBits: 16, nodes: 2, routes: 3 })
  for (const [bytes, length] of [
    [4, 33],
    [4, -1],
    [4, 8.5],
    [3, 8],
    [16, 129],
  ] as const) {
    const wrong = {
      name: 'RangeError',
      message: new RegExp(`^${length} bits of an address of ${bytes} bytes are no prefix; `),
    }
    assert.throws(() => tables.insert({ address: new Uint8Array(bytes), length }, 1), wrong)
    assert.throws(() => tables.remove({ address: new Uint8Array(bytes), length }), wrong)
  }
  assert.equal(tables.statistics().v4.routes, 0)
})

test('the generation grows with each change, and with nothing else', () => {
  const tables = open(4, { rootBits: 16, nodes: 8, routes: 8 })
  const prefix = { address: Uint8Array.of(10, 0, 0, 0), length: 8 }
  const generations = [
    () => tables.insert(prefix, 1),
    () => tables.insert(prefix, 1),
    () => tables.insert(prefix, 2),
    () => tables.lookup(prefix.address),
    () => tables.remove(prefix),
    () => tables.remove(prefix),
  ].map((change) => {
    change()
    return tables.generation()
  })
  assert.deepEqual(generations, [2, 2, 3, 3, 4, 4])
})
