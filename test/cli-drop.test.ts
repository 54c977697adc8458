import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import {
  addAddress,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  deleteLink,
  findLink,
  type NetworkNamespace,
  openRoute,
  setLink,
  writeSysctl,
} from '../src/kernel/index.js'
import { CLI, runCli } from './support/cli.js'
import { skipUnless } from './support/require.js'

/** `sender` and `receiver` are joined by a veth pair; the rule stands at the receiver's end. */
const SENDER = '198.51.100.1'
const RECEIVER = '198.51.100.2'
const PORT = 9999
const DATAGRAMS = 200

let sender: NetworkNamespace
let receiver: NetworkNamespace

const skip = skipUnless('root', 'ip')

before(() => {
  if (skip) return
  sender = createNamespace()
  receiver = createNamespace()
  // The kernel's own neighbour and router solicitations would be counted too, now and then.
  for (const namespace of [sender, receiver]) writeSysctl(namespace, 'ipv6/conf/default/disable_ipv6', 1)
  const [near, far] = [openRoute(sender), openRoute(receiver)]
  createVeth(near, { name: 'near' }, { name: 'far' }, receiver)
  for (const [route, name, address] of [
    [near, 'near', SENDER],
    [far, 'far', RECEIVER],
  ] as const) {
    const { index } = findLink(route, name)
    setLink(route, index, { up: true })
    addAddress(route, index, `${address}/24`)
    closeNetlink(route)
  }
})

after(() => {
  if (skip) return
  closeNamespace(sender)
  closeNamespace(receiver)
})

function inside({ path }: NetworkNamespace): string[] {
  return ['nsenter', `--net=${path}`]
}

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
  const [command, ...rest] = [...inside(receiver), process.execPath, CLI, 'drop', ...args, '--on', 'far', '--json']
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

/** Sends datagrams of 100 bytes; returns when all have left. */
function sendDatagrams(): void {
  const script = `
    const socket = require('dgram').createSocket('udp4')
    let left = ${DATAGRAMS}
    const next = () => left-- > 0 ? socket.send(Buffer.alloc(100), ${PORT}, '${RECEIVER}', next) : socket.close()
    next()`
  const [command, ...rest] = [...inside(sender), process.execPath, '-e', script]
  execFileSync(command!, rest)
}

const RULE = `udp and dst port ${PORT}`
const FRAME_BYTES = 14 + 20 + 8 + 100

test('a rule drops what it matches and counts it, until Ctrl-C or SIGTERM', { skip }, async () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const drop = await startDrop([RULE])
    sendDatagrams()
    drop.child.kill(signal)
    const { status, summary } = await drop.end
    assert.equal(status, 0, drop.stderr())
    assert.equal(summary!.endedBy, signal)
    assert.equal(summary!.mode, 'native')
    assert.deepEqual(summary!.dropped, { packets: DATAGRAMS, bytes: DATAGRAMS * FRAME_BYTES })
    assert.deepEqual(summary!.kept, { packets: 0, bytes: 0 })
  }
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
    sendDatagrams()
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
  const [command, ...rest] = inside(receiver)
  const serve = `require('net').createServer().listen(22, '${RECEIVER}', () => console.log('listening'))`
  const server = spawn(command!, [...rest, process.execPath, '-e', serve], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(server.stdout, 'data')
  const dial = `const socket = require('net').connect(22, '${RECEIVER}', () => console.log(socket.localPort))`
  const [near, ...with_] = inside(sender)
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
    const refused = runCli(['drop', 'udp', '--on', 'far', ...second!], inside(receiver))
    drop.child.kill('SIGINT')
    await drop.end
    assert.deepEqual([refused.status, refused.stdout], [1, ''])
    assert.match(refused.stderr, /^sluice: far already has an XDP program: .*bpftool link detach id N"\n$/)
  }

  const wrong = runCli(['drop', 'udp', '--on', 'far', '--keep', '10.0.0.1/8'], inside(receiver))
  assert.deepEqual([wrong.status, wrong.stdout], [2, ''])
  assert.match(wrong.stderr, /^sluice: --keep 10\.0\.0\.1\/8 cannot be used: .*\n$/)
})

test('nothing stays attached, also after SIGKILL', { skip }, async () => {
  const drop = await startDrop([RULE])
  const attached = () => findFar().xdp.mode
  assert.equal(attached(), 'native')
  drop.child.kill('SIGKILL')
  await drop.end
  assert.equal(attached(), 'none')
})

test('a rule goes on when nobody reads its standard error any more', { skip }, async () => {
  const drop = await startDrop([RULE, '--for', '3s'])
  drop.child.stderr!.destroy()
  const { status, summary } = await drop.end
  assert.deepEqual([status, summary!.endedBy], [0, 'time'])
})

test('a device that goes away ends the rule, with one sentence and status 1', { skip }, async () => {
  const drop = await startDrop([RULE])
  const route = openRoute(receiver)
  deleteLink(route, 'far')
  closeNetlink(route)
  const { status, summary } = await drop.end
  assert.deepEqual([status, summary!.endedBy], [1, 'detached'])
  assert.match(drop.stderr(), /\nsluice: the rule is not at far any more: .*\n$/)
})

function findFar() {
  const route = openRoute(receiver)
  try {
    return findLink(route, 'far')
  } finally {
    closeNetlink(route)
  }
}
