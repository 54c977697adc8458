import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, statSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RuleList } from '../src/control/service/protocol.js'
import type { RuleRate } from '../src/control/service/rates.js'
import { CLI, runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { attachedMode, attachedProgram, inside, RECEIVER } from './support/joined-namespaces.js'
import { startCommand, startProtecting } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { RUN_DIRECTORY } from './support/run-directory.js'
import { DATAGRAMS, openServed, POLICY, PORT, refused, run } from './support/served-policy.js'

const skip = skipUnless('root', 'ip', 'tcpdump')
const { network, folder, write, list, rule, send, sockets, serve } = openServed(skip)

test('status and list say what runs and what it has counted', { skip }, async () => {
  assert.equal(runCli(['status']).status, 1)
  assert.match(runCli(['status']).stderr, /^sluice: no Sluice service runs here; start one with: sluice protect /)
  const { child, end } = await serve(['--keep', '192.0.2.9'])
  send()
  const [service] = JSON.parse(run('status', '--json')).services
  assert.deepEqual(
    [service.pid, service.name, service.devices[0], service.mode, service.programId, service.policy.rules],
    [child.pid, 'protect', 'far', 'native', attachedProgram(network()).programId, 3],
  )
  const { rules, sets, keptPrefixes } = list()
  assert.deepEqual(
    rules.map(({ name, packets, secondsLeft, isAdded }) => [name, packets, secondsLeft, isAdded]),
    [
      ['seen', DATAGRAMS, null, false],
      ['blocked', 0, null, false],
      ['rest', DATAGRAMS, null, false],
    ],
  )
  assert.equal(service.dropped, rules[2]!.overPackets)
  assert.deepEqual(sets, [
    { name: 'blocked', ipv4: 1, ipv6: 0 },
    { name: 'other', ipv4: 1, ipv6: 1 },
  ])
  assert.deepEqual(keptPrefixes, ['192.0.2.9'])
  assert.match(run('status'), /│ protect +│ far +│ native/)
  assert.match(run('list'), /│ rest +│ udp dst port 9999 +│ limit +│ +100 │ 14200 │ +\d+ │/)
  assert.match(run('status', '--memory'), /protect \d+ has no engine/)
  await end()
  assert.deepEqual(sockets(), [])
})

test('where nothing runs they say what would, and who named something has made a mistake', () => {
  for (const [args, status, said] of [
    [
      ['top'],
      1,
      /: no Sluice service runs here; start one with: sluice protect DEVICE --policy FILE; sluice drop, route and bridge are some as well\n$/,
    ],
    [
      ['trace', 'udp'],
      1,
      /: no engine runs here; sluice route and sluice bridge have one, and a program shows its own by serveEngine of the package sluice/,
    ],
    [['capture', 'a.b', '-w', '-'], 1, /: no engine runs here; sluice route and sluice bridge have one/],
    [
      ['status', '--device', 'nope'],
      2,
      /at nope; sluice status lists those that run, or start one with: sluice protect nope/,
    ],
    [
      ['list', '--device', 'nope'],
      2,
      /at nope; sluice status lists those that run, or start one with: sluice protect nope/,
    ],
    [
      ['trace', 'udp', '--device', 'nope'],
      2,
      /at nope; sluice status lists those that run, or sluice route and sluice bridge have one/,
    ],
    [['top', '--process', '1'], 2, /no service runs as 1; sluice status lists them/],
  ] as const) {
    const result = refused(...args)
    assert.equal(result.status, status, args.join(' '))
    assert.match(result.stderr, said)
  }
})

test('only its owner can reach the socket', { skip }, async () => {
  const { child } = await serve()
  const path = join(RUN_DIRECTORY, `${child.pid}.sock`)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(RUN_DIRECTORY).mode & 0o777, 0o700)
  const other = spawnSync(
    'setpriv',
    ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, CLI, 'status'],
    { encoding: 'utf8', env: process.env },
  )
  assert.equal(other.status, 1)
  assert.match(other.stderr, /^sluice: the control sockets in .* cannot be listed \(EACCES\); try with sudo/)
})

test('in a directory that is open to others it protects, and says that it cannot be asked', { skip }, async () => {
  chmodSync(RUN_DIRECTORY, 0o755)
  try {
    const protecting = await startProtecting(network().receiver, 'far', write())
    assert.match(protecting.stderr(), /warning: .* is open to other users; close it/)
    assert.equal(attachedMode(network()), 'native')
    assert.equal(sockets().includes(`${protecting.child.pid}.sock`), false)
    assert.equal((await protecting.end()).status, 0)
  } finally {
    chmodSync(RUN_DIRECTORY, 0o700)
  }
})

test('of two services the one that is meant is asked', { skip }, async () => {
  const first = await serve()
  const other = await startProtecting(network().sender, 'near', write(POLICY.replace('name: seen', 'name: out')))
  const { status, stderr } = refused('list')
  assert.equal(status, 2)
  assert.match(
    stderr,
    /2 services run: \d+ \(protect, (far|near)\), \d+ \(protect, (far|near)\); choose one with --device/,
  )
  const names = (...args: string[]) =>
    (JSON.parse(run('list', '--json', ...args)) as RuleList).rules.map(({ name }) => name)
  assert.equal(names('--device', 'far')[0], 'seen')
  assert.equal(names('--process', `${other.child.pid}`)[0], 'out')
  run('remove', 'out', '--device', 'near')
  assert.deepEqual([names('--device', 'far').length, names('--device', 'near').length], [3, 2])
  assert.equal(JSON.parse(run('status', '--json')).services.length, 2)
  assert.equal(JSON.parse(run('status', '--json', '--device', 'near')).services[0].pid, other.child.pid)
  await first.end()
  assert.equal(names().length, 2)
})

test('after SIGKILL only a file is left, which whoever comes next removes', { skip }, async () => {
  for (const next of [() => void runCli(['status']), async () => void (await (await serve()).end())]) {
    const { end, child } = await serve()
    await end('SIGKILL')
    assert.deepEqual(sockets(), [`${child.pid}.sock`])
    await eventually('the program is gone', () => attachedMode(network()) === 'none')
    await next()
    assert.deepEqual(sockets(), [])
  }
})

test('nothing that a client sends harms the service', { skip }, async () => {
  const { child, end } = await serve()
  const path = join(RUN_DIRECTORY, `${child.pid}.sock`)
  const answers: [sent: string, said: RegExp][] = [
    ['garbage\n', /^a line is not JSON: "garbage"; send one document a line$/],
    ['\n', /^a line is not JSON/],
    ['[1]\n', /^a line is no JSON object/],
    [`${'['.repeat(100_000)}\n`, /^a line is not JSON/],
    ['{"do":"status"}\n', /^this service speaks version 1 of the protocol and not none/],
    ['{"v":2,"do":"status"}\n', /^this service speaks version 1 of the protocol and not 2/],
    ['{"v":1,"do":"reboot"}\n', /^this service has no request "reboot"; its requests are "status", /],
    ['{"v":1,"do":"remove"}\n', /^the request "remove" is not as it has to be at "name"/],
    ['{"v":1,"do":"status","more":1}\n', /^the request "status" is not as it has to be/],
    ['{"v":1,"do":"stages"}\n', /^this service has no engine/],
    ['{"v":1,"do":"add","place":"last","rule":{"__proto__":{"action":"drop"}}}\n', /^rule\.action|^rule: /],
    [`{"v":1,"do":"add","place":"last","rule":{"action":"drop","match":"${'('.repeat(1_000_000)}"}}\n`, /./],
    [`${'x'.repeat(5 << 20)}\n`, /^a line is longer than 4194304 bytes; send less at once$/],
  ]
  for (const [sent, said] of answers) {
    const { error, isInput } = JSON.parse((await exchange(path, sent))[0]!)
    assert.match(error, said)
    assert.ok(isInput, error)
  }
  // Several at once are answered in order; what is not finished is not answered.
  const several = await exchange(path, '{"v":1,"do":"list"}\nno\n{"v":1,"do":"status"}\n{"v":1,"do":"sta')
  assert.deepEqual(
    several.map((line) => Object.keys(JSON.parse(line))[1]),
    ['result', 'error', 'result'],
  )
  // Clients that go in the middle, that read nothing, and that are too many.
  const idle: Socket[] = []
  for (let n = 0; n < 100; n++) {
    const socket = createConnection(path).on('error', () => {})
    socket.write('{"v":1,"do":"list"}\n'.repeat(200))
    if (n % 2 === 0) socket.on('connect', () => socket.destroy())
    else idle.push(socket.pause())
  }
  await eventually('they are there', () => idle.every(({ connecting }) => !connecting))
  for (const socket of idle) socket.destroy()
  send()
  await eventually('it answers again', () => runCli(['list', '--json']).status === 0)
  assert.equal(rule('seen').packets, DATAGRAMS)
  assert.equal(rule('blocked').packets, 0)
  assert.equal((await end()).status, 0)
})

/** Sends text and gives the lines that come until the other side ends. */
async function exchange(path: string, text: string): Promise<string[]> {
  const socket = createConnection(path)
  let received = ''
  socket.on('data', (data) => {
    received += data
  })
  socket.on('error', () => {})
  socket.end(text)
  await once(socket, 'close')
  return received.split('\n').slice(0, -1)
}

test('top gives rates by rule', { skip }, async () => {
  await serve()
  const sender = startCommand([...inside(network().sender), process.execPath, '-e', SENDING])
  await eventually('packets come', () => rule('seen').packets > 0)
  const before = rule('seen')
  const { devices, rules, seconds } = JSON.parse(run('top', '--json', '--interval', '2s'))
  sender.kill('SIGKILL')
  const after = rule('seen')
  assert.deepEqual(devices, ['far'])
  assert.ok(seconds >= 1.9)
  const seen = (rules as RuleRate[]).find(({ name }) => name === 'seen')!
  const packets = Math.round(seen.packetsPerSecond * seconds)
  assert.ok(packets > 0 && packets <= after.packets - before.packets, `${packets} packets`)
  assert.ok(Math.abs(seen.packetsPerSecond * seconds - packets) < 1e-6)
  assert.ok(Math.abs(seen.bytesPerSecond * seconds - packets * 142) < 1e-6)
  assert.ok(seen.packets >= before.packets + packets && seen.packets <= after.packets)
  assert.match(run('top', '--once'), /^protect \d+ at far\n.*\n│ rule +│ action +│ packets\/s/)
})

/** A datagram of 100 bytes every few milliseconds, until it is ended. */
const SENDING = `
  const socket = require('dgram').createSocket('udp4')
  setInterval(() => socket.send(Buffer.alloc(100), ${PORT}, '${RECEIVER}'), 5)`

test('an engine of a program is seen by its stages, and measured while somebody looks', { skip }, async () => {
  const example = new URL('../examples/answer-ping.js', import.meta.url).pathname
  const engine = startCommand([...inside(network().receiver), process.execPath, example, 'far'])
  await eventually('its socket is there', () => sockets().includes(`${engine.pid}.sock`))
  const stop = pinging()
  try {
    await eventually('pings are answered and measured', () => {
      const { stages, devices } = JSON.parse(run('top', '--json'))
      assert.deepEqual(devices, ['far'])
      const reflect = stages.find(({ stage }: { stage: string }) => stage.startsWith('reflect'))
      return reflect.packetsPerSecond > 0 && reflect.packetsPerBundle >= 1 && reflect.nanosecondsPerPacket > 0
    })
    assert.match(run('top', '--once'), /│ handler of queue 0 +│/)
    const { packets } = JSON.parse(run('trace', 'icmp[icmptype] == icmp-echo', '--limit', '3', '--json'))
    assert.deepEqual(
      packets.map(({ number, lengthBytes }: { number: number; lengthBytes: number }) => [number, lengthBytes]),
      [
        [1, 98],
        [2, 98],
        [3, 98],
      ],
    )
    assert.match(packets[0].begin, /^[0-9a-f]{128}$/)
    const way = new RegExp(
      '^1: 98 bytes from far queue 0: [0-9a-f]{128}\n' +
        ' {3}handler of queue 0 ─ answered ─▶ reflect queue 0: bytes \\d+ to \\d+ changed\n' +
        ' {3}reflect queue 0 ─ out ─▶ send far queue 0: bytes \\d+ to \\d+ changed\n' +
        ' {3}send far queue 0: sent\n$',
    )
    assert.match(run('trace', 'icmp', '--limit', '1'), way)
    assert.equal(run('trace', 'tcp', '--for', '1s'), '')
    const path = join(folder(), 'answers.pcapng')
    const captured = run('capture', 'reflect queue 0.out', 'icmp', '-w', path, '--limit', '2', '--json')
    assert.deepEqual(
      { ...JSON.parse(captured), id: '' },
      { id: '', devices: ['far'], edge: 'reflect queue 0.out', packets: 2, lost: 0 },
    )
    const read = execFileSync('tcpdump', ['-n', '-r', path], { encoding: 'utf8', stdio: 'pipe' })
    assert.match(read, /^(.* ICMP echo reply, .*\n){2}$/)
    const lost = refused('capture', 'reflect.out', '-w', path)
    assert.equal(lost.status, 2)
    assert.match(
      lost.stderr,
      /no edge "reflect.out"; choose one of\n {2}receive far queue 0\n {2}handler of queue 0.answered\n/,
    )
    const faulty = refused('trace', 'icpm')
    assert.equal(faulty.status, 2)
    assert.match(faulty.stderr, /\n {2}icpm\n {2}\^{4}\n/)
  } finally {
    stop()
  }
  assert.match(run('status', '--memory'), /packets \d+: \d+ bytes\n(0x[0-9a-f]{8} .*\n)+.* frames +pool 2048 frames\n/)
  assert.doesNotMatch(run('status', '--memory'), / 0\.0 KiB | 0 B /)
  assert.match(run('status'), /│ packets +│ far +│ native/)
  const { status, stderr } = refused('add', 'udp')
  assert.equal(status, 2)
  assert.match(stderr, /this service has no rules/)
  engine.kill('SIGINT')
  await once(engine, 'close')
  assert.deepEqual(sockets(), [])
})

/** A ping every 10 ms from the sender, until it is stopped. */
function pinging(): () => void {
  const child = startCommand([...inside(network().sender), 'ping', '-q', '-i', '0.01', '-W', '1', '198.51.100.2'])
  return () => child.kill('SIGINT')
}
