import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parseFilter } from '../filter/index.js'
import { resolveNames } from './resolve.js'

const folder = mkdtempSync(join(tmpdir(), 'sluice-names-'))
after(() => rmSync(folder, { recursive: true }))

test('hosts, stations and networks by the names of this machine', async () => {
  const tables = { ethers: join(folder, 'ethers'), networks: join(folder, 'networks') }
  writeFileSync(tables.ethers, '# stations\n02:00:00:00:00:07 desk # mine\n')
  writeFileSync(tables.networks, 'lab 192.0.2\n')
  const resolver = await resolveNames(['src host localhost or ether host desk or net lab'], tables)
  assert.ok(resolver.host?.('localhost')?.includes('127.0.0.1'))
  const meanings = [
    ['ip host localhost', 'ip host 127.0.0.1'],
    ['ether host desk', 'ether host 02:00:00:00:00:07'],
    ['net lab', 'net 192.0.2'],
  ] as const
  const shape = (text: string) =>
    JSON.stringify(parseFilter(text, { resolver }).expression, (key, value) => (key === 'span' ? undefined : value))
  for (const [named, written] of meanings) assert.equal(shape(named), shape(written), named)
})

test('an unknown name and a broken expression are left to the reading of the expression', async () => {
  const resolver = await resolveNames(['host no-such-host.invalid', 'host localhost and and'])
  assert.throws(
    () => parseFilter('host no-such-host.invalid', { resolver }),
    /no host or network is called "no-such-host.invalid"; correct it, or write an address/,
  )
})
