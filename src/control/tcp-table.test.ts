import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { canonicalAddress, establishedConnections, parseTcpTable } from './tcp-table.js'

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 010200C0:0016 070200C0:C350 01 00000000:00000000 02:00000000 00000000     0        0 2 2 0 20 4 29 10 -1
   2: 010200C0:0016 080200C0:C350 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
`

const TABLE6 = `  sl  local_address                         remote_address                        st
   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000007000000:C350 01 00000000:00000000
   1: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000070200C0:C351 01 00000000:00000000
`

test('established connections of IPv4, IPv6 and IPv4 in IPv6 sockets', () => {
  assert.deepEqual(parseTcpTable(TABLE), [
    { local: { address: '192.0.2.1', port: 22 }, remote: { address: '192.0.2.7', port: 50000 } },
  ])
  assert.deepEqual(parseTcpTable(TABLE6), [
    { local: { address: '2001:db8::1', port: 22 }, remote: { address: '2001:db8::7', port: 50000 } },
    { local: { address: '192.0.2.1', port: 22 }, remote: { address: '192.0.2.7', port: 50001 } },
  ])
})

test('equal addresses are equal texts', () => {
  assert.equal(canonicalAddress('2001:DB8:0::0:7'), '2001:db8::7')
  assert.equal(canonicalAddress('fe80::7%eth0'), 'fe80::7')
  assert.equal(canonicalAddress('::ffff:192.0.2.7'), '192.0.2.7')
})

test('a connection of this process is found while it stands', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect(port, '127.0.0.1')
  const [accepted] = await once(server, 'connection')
  const stands = () => establishedConnections('self').some(({ remote }) => remote.port === accepted.remotePort)
  try {
    assert.ok(stands())
    client.destroy()
    accepted.destroy()
    await once(accepted, 'close')
    assert.equal(stands(), false)
  } finally {
    accepted.destroy()
    client.destroy()
    server.close()
  }
})
