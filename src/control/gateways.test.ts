import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gatewaysTowards } from './gateways.js'

const folder = mkdtempSync(join(tmpdir(), 'sluice-route-'))
after(() => rmSync(folder, { recursive: true }))

/** Default by 192.0.2.1, 10.0.0.0/8 by 192.0.2.9, 10.1.0.0/16 and 192.0.2.0/24 on the link. */
const TABLE = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	0000000A	090200C0	0003	0	0	0	000000FF	0	0	0
eth1	0000010A	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
`

test('every gateway on a way to a prefix, whether its route is wider or narrower', () => {
  const path = join(folder, 'route')
  writeFileSync(path, TABLE)
  const [byDefault, ten] = ['192.0.2.1', '192.0.2.9']
  const cases: [string, string[]][] = [
    ['198.51.100.7', [byDefault]],
    ['10.2.3.4', [byDefault, ten]],
    ['10.2', [byDefault, ten]],
    ['10.0.0.0/7', [byDefault, ten]],
    ['0.0.0.0/0', [byDefault, ten]],
    ['11.0.0.0/8', [byDefault]],
    ['2001:db8::1', []],
    ['no prefix', []],
  ]
  for (const [prefix, gateways] of cases) assert.deepEqual(gatewaysTowards(prefix, path), gateways, prefix)
  writeFileSync(path, TABLE.split('\n')[0]!)
  assert.deepEqual(gatewaysTowards('198.51.100.7', path), [])
  assert.deepEqual(gatewaysTowards('198.51.100.7', join(folder, 'none')), [])
})
