import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { closeNetlink, deleteLink, openRoute } from '../src/kernel/index.js'
import { CLI, runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import {
  attachedMode,
  attachedProgram,
  inside,
  type JoinedNamespaces,
  joinNamespaces,
  RECEIVER,
  SENDER,
  sendDatagrams,
} from './support/joined-namespaces.js'
import { skipUnless } from './support/require.js'
import { RUN_DIRECTORY } from './support/run-directory.js'

/** The rule stands at the receiver's end. */
const PORT = 9999
const DATAGRAMS = 200

let network: JoinedNamespaces

const skip = skipUnless('root', 'ip')

before(() => {
  if (!skip) network = joinNamespaces()
})

after(() => {
  if (!skip) network.close()
})

interface Drop {
  readonly child: ChildProcess
  readonly stderr: () => string
  /** Status, and the JSON document of standard output. */
  readonly end: Promise<{ status: number | null; signal: string | null; summary: Summary | null }>
}

interface Summary {
  readonly endedBy: string
  readonly mode: string
  readonly dropped: { packets: number; bytes: number }
  readonly kept: { packets: number; bytes: number }
  readonly keptPrefixes: string[]
}

/** Starts `sluice drop … --json` at the receiver and waits until the rule stands. */
async function startDrop(args: readonly string[], environment: Record<string, string> = {}): Promise<Drop> {
  const [command, ...rest] = [
    ...inside(network.receiver),
    process.execPath,
    CLI,
    'drop',
    ...args,
    '--on',
    'far',
    '--json',
  ]
  const env = { ...process.env, SSH_CONNECTION: '', ...environment }
  const child = spawn(command!, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data) => {
    stdout += data
  })
  const end = once(child, 'close').then(([status, signal]) => ({
    status,
    signal,
    summary: stdout === '' ? null : (JSON.parse(stdout) as Summary),
  }))
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (data) => {
      stderr += data
      if (stderr.includes('dropping at')) resolve()
    })
    end.then(() => reject(new Error(`drop ended early: ${stderr}`)), reject)
  })
  return { child, stderr: () => stderr, end }
}

const RULE = `udp and dst port ${PORT}`
const FRAME_BYTES = 14 + 20 + 8 + 100

test('a rule drops what it matches and counts it, until Ctrl-C or SIGTERM', { skip }, async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const drop = await startDrop([RULE])
    sendDatagrams(network, DATAGRAMS, PORT)
    drop.child.kill(signal)
    const { status, summary } = await drop.end
    assert.equal(status, 0, drop.stderr())
    assert.equal(summary!.endedBy, signal)
    assert.equal(summary!.mode, 'native')
    assert.deepEqual(summary!.dropped, { packets: DATAGRAMS, bytes: DATAGRAMS * FRAME_BYTES })
    assert.deepEqual(summary!.kept, { packets: 0, bytes: 0 })
  }
})

test('status, list and top see the rule while it runs, and nobody changes it', { skip }, async () => {
  const drop = await startDrop([RULE, '--for', '1h', '--keep', '192.0.2.9'])
  const asked = (...args: string[]) => JSON.parse(runCli([...args, '--json']).stdout)
  await eventually('it can be asked', () => runCli(['status']).status === 0)
  sendDatagrams(network, DATAGRAMS, PORT)
  const [{ name, kind, devices, mode, dropped, programId, policy }] = asked('status').services
  assert.deepEqual(
    [name, kind, devices, mode, dropped, programId, policy],
    ['drop', 'rule', ['far'], 'native', DATAGRAMS, attachedProgram(network).programId, null],
  )
  const { rules, keptPrefixes } = asked('list')
  assert.deepEqual(keptPrefixes, ['192.0.2.9'])
  const [{ secondsLeft, ...rule }] = rules
  assert.ok(secondsLeft > 3500 && secondsLeft <= 3600)
  const counted = { packets: DATAGRAMS, bytes: DATAGRAMS * FRAME_BYTES, overPackets: 0, overBytes: 0 }
  const named = { name: `drop ${RULE}`, match: RULE, action: 'drop', mode: 'enforce', isAdded: false }
  assert.deepEqual([rule, rules.length], [{ ...named, ...counted }, 1])
  assert.equal(asked('top').rules[0].packets, DATAGRAMS)
  const refused = runCli(['add', 'tcp'])
  assert.deepEqual([refused.status, refused.stdout], [2, ''])
  assert.match(refused.stderr, /cannot be changed: it is no sluice protect/)
  drop.child.kill('SIGINT')
  assert.equal((await drop.end).status, 0)
  assert.deepEqual(readdirSync(RUN_DIRECTORY), [])
})

test('--for ends the rule, and generic mode says what it costs', { skip }, async () => {
  const drop = await startDrop([RULE, '--for', '1s', '--generic'])
  const { status, summary } = await drop.end
  assert.equal(status, 0)
  assert.deepEqual([summary!.endedBy, summary!.mode], ['time', 'generic'])
  assert.match(drop.stderr(), /warning: far runs in generic mode: .*about four times as much/)
})

test('the SSH client and --keep are never dropped, also by a rule that matches everything', { skip }, async () => {
  const session = { SSH_CONNECTION: `${SENDER} 50000 ${RECEIVER} 22` }
  const cases: [string[], Record<string, string>, RegExp | null][] = [
    [[''], session, /never dropped: .*198\.51\.100\.1 \(the SSH client that this session began with\)/],
    [['vlan', 'or', 'udp'], session, /warning: the SSH connection .* is not there any more, .*--keep/],
    [[RULE, '--keep', '192.0.2.0/24', '--keep', '198.51.100.0/24'], {}, /never dropped: .*198\.51\.100\.0\/24/],
    [[RULE, '--no-keep-ssh'], session, null],
  ]
  for (const [args, environment, said] of cases) {
    const drop = await startDrop(args, environment)
    sendDatagrams(network, DATAGRAMS, PORT)
    drop.child.kill('SIGINT')
    const { summary } = await drop.end
    if (said === null) {
      assert.equal(summary!.dropped.packets, DATAGRAMS)
      assert.doesNotMatch(drop.stderr(), /never dropped/)
    } else {
      assert.match(drop.stderr(), said)
      assert.equal(summary!.dropped.packets, 0, args.join(' '))
      assert.ok(summary!.kept.packets >= DATAGRAMS)
    }
  }
})

test('the SSH client is known by its connection, where that stands', { skip }, async () => {
  const [command, ...rest] = inside(network.receiver)
  const serve = `require('net').createServer().listen(22, '${RECEIVER}', () => console.log('listening'))`
  const server = spawn(command!, [...rest, process.execPath, '-e', serve], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(server.stdout, 'data')
  const dial = `const socket = require('net').connect(22, '${RECEIVER}', () => console.log(socket.localPort))`
  const [near, ...with_] = inside(network.sender)
  const client = spawn(near!, [...with_, process.execPath, '-e', dial], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const port = Number((await once(client.stdout, 'data'))[0])
    const drop = await startDrop([''], { SSH_CONNECTION: `${SENDER} ${port} ${RECEIVER} 22` })
    drop.child.kill('SIGINT')
    await drop.end
    assert.match(drop.stderr(), /198\.51\.100\.1 \(your SSH client\)/)
    assert.doesNotMatch(drop.stderr(), /warning/)
  } finally {
    client.kill('SIGKILL')
    server.kill('SIGKILL')
  }
})

test('a device that has a program already, in either mode; a wrong prefix: one sentence', { skip }, async () => {
  for (const [first, second] of [
    [[], []],
    [[], ['--generic']],
    [['--generic'], []],
  ]) {
    const drop = await startDrop([RULE, ...first!])
    const refused = runCli(['drop', 'udp', '--on', 'far', ...second!], inside(network.receiver))
    drop.child.kill('SIGINT')
    await drop.end
    assert.deepEqual([refused.status, refused.stdout], [1, ''])
    assert.match(refused.stderr, /^sluice: far already has an XDP program: .*bpftool link detach id N"\n$/)
  }

  const wrong = runCli(['drop', 'udp', '--on', 'far', '--keep', '10.0.0.1/8'], inside(network.receiver))
  assert.deepEqual([wrong.status, wrong.stdout], [2, ''])
  assert.match(wrong.stderr, /^sluice: --keep 10\.0\.0\.1\/8 cannot be used: .*\n$/)
})

test('nothing stays attached, also after SIGKILL', { skip }, async () => {
  const drop = await startDrop([RULE])
  assert.equal(attachedMode(network), 'native')
  drop.child.kill('SIGKILL')
  await drop.end
  await eventually('the program is gone', () => attachedMode(network) === 'none')
})

test('a rule goes on when nobody reads its standard error any more', { skip }, async () => {
  const drop = await startDrop([RULE, '--for', '3s'])
  drop.child.stderr!.destroy()
  const { status, summary } = await drop.end
  assert.deepEqual([status, summary!.endedBy], [0, 'time'])
})

test('a device that goes away ends the rule, with one sentence and status 1', { skip }, async () => {
  const drop = await startDrop([RULE])
  const route = openRoute(network.receiver)
  deleteLink(route, 'far')
  closeNetlink(route)
  const { status, summary } = await drop.end
  assert.deepEqual([status, summary!.endedBy], [1, 'detached'])
  assert.match(drop.stderr(), /\nsluice: the rule is not at far any more: .*\n$/)
})
