import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openBench } from '../../../test/support/engine.js'
import type { KernelRoute } from '../../kernel/index.js'
import { openRoutes } from '../../route/index.js'
import { openAdjacencies } from './adjacencies.js'
import { openRouteBook } from './route-book.js'

const DEVICE = 7
const CHANGES = 50_000
const SIZES = { rootBits: 8, nodes: 8, routes: 8 } as const

/** Bytes that stay of so many calls, after some to warm up. */
function staying(call: (n: number) => void): number {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  for (let n = 0; n < 1000; n++) call(n)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let n = 0; n < CHANGES; n++) call(n)
  collect()
  return process.memoryUsage().heapUsed - before
}

test('nothing stays of neighbours that have come and gone', () => {
  const { space, code } = openBench()
  const tables = openRoutes(space, code, 'test', { v4: SIZES, v6: SIZES, nextHops: 8, ports: 1 })
  tables.setPort(0, { mac: Uint8Array.of(2, 0, 0, 0, 0, 1), mtu: 1500 })
  const adjacencies = openAdjacencies(
    tables,
    () => 0,
    () => null,
  )
  const grown = staying((n) => {
    const address = Uint8Array.of(10, n >> 16, n >> 8, n)
    const id = adjacencies.takeHost(DEVICE, address, 0)
    assert.equal(adjacencies.resolve(DEVICE, address, Uint8Array.of(2, 0, 0, 0, 1, 1)), true)
    adjacencies.give(id)
    assert.equal(adjacencies.resolve(DEVICE, address, null), false)
  })
  assert.ok(grown < CHANGES * 16, `${grown} bytes`)
  tables.close()
})

test('nothing stays of next hop objects that routes have led to', () => {
  const book = openRouteBook()
  const grown = staying((n) => {
    const route: KernelRoute = {
      ...{ table: 254, tos: 0, type: 'unicast', metric: 0, mtuBytes: 0, isAdvertised: false },
      ...{ destination: Uint8Array.of(10, 0, 0, 0), lengthBits: 8, nextHopId: n + 1 },
      hops: [{ index: DEVICE, gateway: null, weight: 1, isDead: false, isTunnel: false }],
    }
    book.add(route, 'last')
    assert.equal(book.usesNextHop(n + 1), true)
    book.remove(route)
    assert.equal(book.usesNextHop(n + 1), false)
  })
  assert.ok(grown < CHANGES * 8, `${grown} bytes`)
})
