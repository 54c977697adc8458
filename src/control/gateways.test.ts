import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { nextHopTo } from './next-hop.js'

const folder = mkdtempSync(join(tmpdir(), 'sluice-route-'))
after(() => rmSync(folder, { recursive: true }))

/** Default by 192.0.2.1, 10.0.0.0/8 by 192.0.2.9, 10.1.0.0/16 and 192.0.2.0/24 on the link. */
const TABLE = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	0000000A	090200C0	0003	0	0	0	000000FF	0	0	0
eth1	0000010A	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
`

test('the longest match names the router; on the link there is none', () => {
  const path = join(folder, 'route')
  writeFileSync(path, TABLE)
  assert.equal(nextHopTo('198.51.100.7', path), '192.0.2.1')
  assert.equal(nextHopTo('10.2.3.4', path), '192.0.2.9')
  assert.equal(nextHopTo('10.1.3.4', path), null)
  assert.equal(nextHopTo('192.0.2.200', path), null)
  writeFileSync(path, TABLE.split('\n')[0]!)
  assert.equal(nextHopTo('198.51.100.7', path), null)
})
