import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { keepRules, sshClient } from './keep.js'

/** What `sshClient` says of a process whose parents' environment is as given. */
async function clientOf(environment: Record<string, string>): Promise<string | null> {
  // The inner shell has an empty environment, as a command of sudo has: only its parent can tell.
  const script = 'env -i sh -c "echo \\$\\$; read line"; true'
  const child = spawn('sh', ['-c', script], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] })
  try {
    let said = ''
    while (!/^\d+$/m.test(said)) said += String((await once(child.stdout, 'data'))[0])
    return sshClient(Number(/^\d+$/m.exec(said)![0]))
  } finally {
    // At the end of its input the inner shell ends, and the outer one with it.
    child.stdin.end()
  }
}

const PATH = process.env['PATH'] ?? '/usr/bin:/bin'

test('the SSH client is found through parents, IPv4, IPv6, mapped and scoped', async () => {
  const cases = [
    ['192.0.2.7 50000 192.0.2.1 22', '192.0.2.7'],
    ['2001:db8::7 50000 2001:db8::1 22', '2001:db8::7'],
    ['::ffff:192.0.2.7 50000 ::ffff:192.0.2.1 22', '192.0.2.7'],
    ['fe80::7%eth0 50000 fe80::1%eth0 22', 'fe80::7'],
  ] as const
  for (const [variable, address] of cases) {
    assert.equal(await clientOf({ PATH, SSH_CONNECTION: variable }), address)
  }
})

test('what is not an address is not believed', async () => {
  assert.notEqual(await clientOf({ PATH, SSH_CONNECTION: 'or ip 1 2 3' }), 'or')
})

test('prefixes are kept with and without VLAN tags', () => {
  assert.deepEqual(keepRules(['10.0.0.0/8', '192.0.2.1'], false), [
    {
      expression: 'src net 10.0.0.0/8 or (vlan and (src net 10.0.0.0/8 or (vlan and src net 10.0.0.0/8)))',
      what: '10.0.0.0/8',
    },
    {
      expression: 'src host 192.0.2.1 or (vlan and (src host 192.0.2.1 or (vlan and src host 192.0.2.1)))',
      what: '192.0.2.1',
    },
  ])
})
