import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { FilterError, type NameResolver, parseFilter } from '../filter/index.js'

/** Where the machine keeps names of stations and networks: ethers(5), networks(5). */
const TABLES = { ethers: '/etc/ethers', networks: '/etc/networks' } as const

/**
 * Looks up every host name of `expressions`, as this machine does for other
 * programs (getaddrinfo), once each and all at once, and gives what an
 * expression is to be read with. A name that is not found stays unknown, which
 * the reading of the expression then says with its place.
 */
export async function resolveNames(
  expressions: readonly string[],
  tables: { readonly ethers: string; readonly networks: string } = TABLES,
): Promise<NameResolver> {
  const names = [...new Set(expressions.flatMap(hostNames))]
  const hosts = new Map(await Promise.all(names.map(async (name) => [name, await addressesOf(name)] as const)))
  const ethers = readTable(tables.ethers, (fields) => [fields[1], fields[0]])
  const networks = readTable(tables.networks, (fields) => [fields[0], fields[1]])
  return {
    host: (name) => hosts.get(name),
    network: (name) => networks.get(name),
    ethernet: (name) => ethers.get(name),
  }
}

/** The host names of an expression: what a reading asks for that is given an answer for each. */
function hostNames(expression: string): string[] {
  const names: string[] = []
  const recorder: NameResolver = {
    host(name) {
      names.push(name)
      return ['0.0.0.0', '::']
    },
    network: () => '0.0.0.0',
    ethernet: () => '00:00:00:00:00:00',
  }
  try {
    // A link type that is not known refuses nothing.
    parseFilter(expression, { linkType: 'ANY', resolver: recorder })
  } catch (error) {
    // It is read once more, and told then.
    if (!(error instanceof FilterError)) throw error
  }
  return names
}

async function addressesOf(name: string): Promise<string[]> {
  try {
    const found = await lookup(name, { all: true })
    return [...new Set(found.map(({ address }) => address.replace(/%.*$/, '')))]
  } catch {
    return []
  }
}

/** Lines of fields, `#` begins a comment; a file that is not there holds no names. */
function readTable(
  path: string,
  entryOf: (fields: readonly string[]) => readonly [name: string | undefined, value: string | undefined],
): Map<string, string> {
  const table = new Map<string, string>()
  for (const line of read(path).split('\n')) {
    const [name, value] = entryOf(line.replace(/#.*/, '').trim().split(/\s+/))
    if (name !== undefined && value !== undefined) table.set(name, value)
  }
  return table
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
