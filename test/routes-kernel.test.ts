import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import {
  addAddress,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  setLink,
} from '../src/kernel/index.js'
import { createSpace, loadCode } from '../src/memory/index.js'
import { openRoutes, type RouteList, routesBytes } from '../src/route/index.js'
import { inside } from './support/joined-namespaces.js'
import { addressWords, bytesOf, someAddress, tableRoutes } from './support/plain-routes.js'
import { seededRandom } from './support/random.js'
import type { Family } from './support/random-prefixes.js'
import { skipUnless } from './support/require.js'

const SAMPLES = 3000
/** The last byte of a gateway's address tells them apart. */
const GATEWAYS = 250
const NONE = { rootBits: 8, nodes: 0, routes: 8 } as const

/** What stands in for a gateway; the device takes each as a neighbour (`onlink`). */
const gatewayOf = (family: Family, hop: number) => (family === 4 ? `10.255.0.${hop}` : `fe80::1:${hop.toString(16)}`)
const hopOf = (family: Family, gateway: string) =>
  Number.parseInt(gateway.split(family === 4 ? '.' : ':').at(-1)!, family === 4 ? 10 : 16)

function textOf(words: ArrayLike<number>): string {
  const bytes = bytesOf(words)
  if (bytes.length === 4) return bytes.join('.')
  return Array.from({ length: 8 }, (_, group) => ((bytes[2 * group]! << 8) | bytes[2 * group + 1]!).toString(16)).join(
    ':',
  )
}

/** Runs `ip` over a list of commands in a namespace, and gives what it printed; what fails is passed over. */
async function ipBatch(namespace: NetworkNamespace, family: Family, commands: Iterable<string>): Promise<string> {
  const [command, ...rest] = [...inside(namespace), 'ip', '-force', `-${family}`, '-batch', '-']
  const child = spawn(command!, rest, { stdio: ['pipe', 'pipe', 'ignore'] })
  let printed = ''
  child.stdout.setEncoding('latin1').on('data', (more: string) => {
    printed += more
  })
  child.stdin.end([...commands].join('\n'))
  await new Promise((resolve) => child.once('close', resolve))
  return printed
}

function* additions(family: Family, { words, lengths, hops }: RouteList): Iterable<string> {
  const width = words.length / lengths.length
  for (let route = 0; route < lengths.length; route++) {
    const prefix = `${textOf(words.subarray(route * width, (route + 1) * width))}/${lengths[route]}`
    yield `route add ${prefix} via ${gatewayOf(family, hops[route]!)} dev out onlink`
  }
}

/** The gateway's number for each address that has a route, by its words. */
async function askKernel(namespace: NetworkNamespace, family: Family, addresses: readonly string[]) {
  const printed = await ipBatch(
    namespace,
    family,
    addresses.map((address) => `route get ${address}`),
  )
  const lines = printed.matchAll(/^(\S+) (?:from :: )?via (\S+) dev out /gm)
  return new Map([...lines].map(([, address, gateway]) => [addressWords(address!).join(':'), hopOf(family, gateway!)]))
}

/** No address that the kernel has an answer of its own for. */
function isOrdinary([first]: readonly number[]): boolean {
  const byte = first! >>> 24
  return byte !== 0 && byte !== 127 && byte < 224 && byte !== 10
}

for (const [file, family, options] of [
  ['ipasn_20140513.dat.gz', 4, { rootBits: 24 }],
  ['ipasn6_20151101.dat.gz', 6, { rootBits: 16 }],
] as const) {
  test(`routes-kernel: IPv${family}, ${SAMPLES} addresses go where the kernel sends them by the same routes`, {
    skip: skipUnless('root', 'ip', 'corpus'),
  }, async (context) => {
    const random = seededRandom(context, 'routes-kernel')
    const list = tableRoutes(file, family, GATEWAYS)
    const both = family === 4 ? { v4: options, v6: NONE } : { v4: NONE, v6: options }
    const space = createSpace(routesBytes(both) + 65_536)
    const tables = openRoutes(space, loadCode(space), 'test', both)
    assert.equal(tables.replace(family === 4 ? { v4: list } : { v6: list }), 0)
    const namespace = createNamespace()
    try {
      const route = openRoute(namespace)
      createVeth(route, { name: 'out' }, { name: 'far' }, namespace)
      for (const name of ['out', 'far']) setLink(route, findLink(route, name).index, { up: true })
      // Without an address of its own the namespace takes no gateway for one.
      addAddress(route, findLink(route, 'out').index, '10.254.0.1/32')
      closeNetlink(route)
      await ipBatch(namespace, family, additions(family, list))
      const samples: number[][] = []
      while (samples.length < SAMPLES) {
        const address = someAddress(random, list)
        if (isOrdinary(address)) samples.push(address)
      }
      const answers = await askKernel(namespace, family, samples.map(textOf))
      context.diagnostic(`${answers.size} of ${SAMPLES} addresses have one of ${list.lengths.length} routes`)
      assert.ok(answers.size > SAMPLES / 2, `the kernel has a route for ${answers.size} addresses only`)
      for (const address of samples) {
        const { nextHop } = tables.lookup(bytesOf(address))
        assert.equal(nextHop, answers.get(address.join(':')) ?? 0, textOf(address))
      }
    } finally {
      closeNamespace(namespace)
    }
  })
}
