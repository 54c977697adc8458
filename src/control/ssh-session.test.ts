import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { findSshSession, type SshSession } from './ssh-session.js'
import type { TcpConnection } from './tcp-table.js'

/** What is found for a process whose parent has `variable` as its SSH_CONNECTION. */
async function sessionOf(variable: string, connections: readonly TcpConnection[]): Promise<SshSession | null> {
  // The inner shell has an empty environment, as a command of sudo has: only its parent can tell.
  const script = 'env -i sh -c "echo \\$\\$; read line"; true'
  const environment = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', SSH_CONNECTION: variable }
  const child = spawn('sh', ['-c', script], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] })
  try {
    let said = ''
    while (!/^\d+$/m.test(said)) said += String((await once(child.stdout, 'data'))[0])
    return findSshSession(Number(/^\d+$/m.exec(said)![0]), () => connections)
  } finally {
    // At the end of its input the inner shell ends, and the outer one with it.
    child.stdin.end()
  }
}

function connection(client: string, clientPort: number, server: string, serverPort: number): TcpConnection {
  return { local: { address: server, port: serverPort }, remote: { address: client, port: clientPort } }
}

test('the SSH client is found through parents, IPv4, IPv6, mapped and scoped, while its connection stands', async () => {
  const cases = [
    ['192.0.2.7 50000 192.0.2.1 22', '192.0.2.7', '192.0.2.1'],
    ['2001:DB8::7 50000 2001:db8:0::1 22', '2001:db8::7', '2001:db8::1'],
    ['::ffff:192.0.2.7 50000 ::ffff:192.0.2.1 22', '192.0.2.7', '192.0.2.1'],
    ['fe80::7%eth0 50000 fe80::1%eth0 22', 'fe80::7', 'fe80::1'],
  ] as const
  for (const [variable, client, server] of cases) {
    assert.deepEqual(await sessionOf(variable, [connection(client, 50000, server, 22)]), {
      client,
      isEstablished: true,
      others: [],
    })
  }
})

test('of a session that has ended, the clients of the SSH connections that stand are told', async () => {
  const stale = '192.0.2.7 50000 192.0.2.1 2222'
  const connections = [
    connection('192.0.2.7', 50001, '192.0.2.1', 443),
    connection('192.0.2.8', 50000, '192.0.2.1', 2222),
    connection('192.0.2.9', 50000, '192.0.2.1', 22),
    connection('192.0.2.9', 50009, '192.0.2.1', 22),
  ]
  const expected = { client: '192.0.2.7', isEstablished: false, others: ['192.0.2.8', '192.0.2.9'] }
  assert.deepEqual(await sessionOf(stale, connections), expected)
})

test('what is not an address is not believed', async () => {
  const session = await sessionOf('or ip 1 2 3', [])
  assert.notEqual(session?.client, 'or')
})
