import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
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
import { endChildren, type ProtectSummary, startCommand, startProtecting } from './support/protecting.js'
import { skipUnless } from './support/require.js'

const PORT = 9999
const DATAGRAMS = 200
const FRAME_BYTES = 14 + 20 + 8 + 100

let network: JoinedNamespaces
let folder = ''

const skip = skipUnless('root', 'ip')

before(() => {
  if (skip) return
  network = joinNamespaces()
  folder = mkdtempSync(join(tmpdir(), 'sluice-protect-'))
})

after(() => {
  if (skip) return
  network.close()
  rmSync(folder, { recursive: true })
})

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

afterEach(endChildren)

/** Counts all UDP, lets nothing of @blocked in, and keeps the others to 50 packets at once. */
const POLICY = `
sets:
  blocked: { file: blocked.txt }
rules:
  - { name: seen, action: count, match: udp }
  - { name: blocked, action: drop, match: src net @blocked and udp }
  - { name: rest, action: limit, match: udp dst port ${PORT}, per: source, rate: 1 pps, burst: 50 }
`

const startProtect = (policy: string, args: readonly string[] = [], environment = {}) =>
  startProtecting(network.receiver, 'far', policy, args, environment)

const send = () => sendDatagrams(network, DATAGRAMS, PORT)
const packetsOf = ({ rules }: ProtectSummary) => Object.fromEntries(rules.map(({ name, packets }) => [name, packets]))

test('a policy judges real packets, and counts them by rule', { skip }, async () => {
  write('blocked.txt', '203.0.113.0/24\n')
  const protect = await startProtect(write('policy.yaml', POLICY))
  assert.equal(attachedMode(network), 'native')
  const begin = performance.now()
  send()
  const most = 50 + Math.ceil((performance.now() - begin) / 1000)
  const { status, summary } = await protect.end('SIGTERM')
  assert.deepEqual([status, summary!.endedBy, summary!.mode], [0, 'SIGTERM', 'native'], protect.stderr())
  assert.deepEqual(packetsOf(summary!), { seen: DATAGRAMS, blocked: 0, rest: DATAGRAMS })
  const [seen, , rest] = summary!.rules
  assert.equal(seen!.bytes, DATAGRAMS * FRAME_BYTES)
  // The burst, and one packet a second while they come.
  const passed = DATAGRAMS - rest!.overPackets
  assert.ok(passed >= 50 && passed <= most, `${passed} passed`)
  assert.equal(summary!.dropped, rest!.overPackets)
  assert.equal(attachedMode(network), 'none')
})

test('SIGHUP puts a changed policy in force, and rules that stay keep their counters', { skip }, async () => {
  write('blocked.txt', '203.0.113.0/24\n')
  const protect = await startProtect(write('policy.yaml', POLICY))
  send()
  await protect.reload(/policy\.yaml was read again; nothing has changed/)
  write('policy.yaml', POLICY.replace('name: rest, action: limit', 'name: more, action: limit'))
  await protect.reload(/was read again; 3 rules are in force/)
  send()
  const { summary } = await protect.end()
  assert.deepEqual(packetsOf(summary!), { seen: 2 * DATAGRAMS, blocked: 0, more: DATAGRAMS })
  assert.deepEqual(summary!.reloads, { done: 2, refused: 0 })
})

test('a list that has changed is put into the map of its set', { skip }, async () => {
  write('blocked.txt', '203.0.113.0/24\n')
  const protect = await startProtect(write('policy.yaml', POLICY))
  const { programId } = attachedProgram(network)
  send()
  write('blocked.txt', `203.0.113.0/24\n${SENDER}\n`)
  await protect.reload(/was read again; new contents: @blocked\n/)
  assert.equal(attachedProgram(network).programId, programId, 'the program stays')
  send()
  // More than the map had room for.
  const lines = Array.from({ length: 200_000 }, (_, n) => `10.${n >> 14}.${(n >> 6) & 255}.${(n & 63) * 4}`)
  write('blocked.txt', lines.join('\n'))
  await protect.reload(/was read again; new contents: @blocked\n/)
  assert.notEqual(attachedProgram(network).programId, programId, 'a larger map has a program of its own')
  send()
  const { summary } = await protect.end()
  assert.deepEqual(packetsOf(summary!), { seen: 3 * DATAGRAMS, blocked: DATAGRAMS, rest: 2 * DATAGRAMS })
})

test('a faulty policy or list is one message, and the old policy stays', { skip }, async () => {
  write('blocked.txt', `${SENDER}\n`)
  const protect = await startProtect(write('policy.yaml', POLICY))
  const million = Array.from({ length: 1_000_000 }, (_, n) => `${11 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.0/24`)
  million[765_432] = '203.0.113.300'
  const faults: [name: string, text: string, said: RegExp][] = [
    [
      'policy.yaml',
      POLICY.replace('burst: 50', 'brust: 50'),
      /^sluice: .*policy\.yaml:7:\d+: .*did you mean "burst"\?\n/,
    ],
    [
      'policy.yaml',
      POLICY.replace('burst: 50', 'burst: 1 MB'),
      /^sluice: .*the burst is in bytes and the rate in packets/,
    ],
    ['policy.yaml', POLICY.replace('match: udp }', 'match: upd }'), /^sluice: .*policy\.yaml:5:\d+: /],
    [
      'policy.yaml',
      POLICY.replace('match: udp }', 'match: inbound }'),
      /^sluice: .*policy\.yaml:5:41: .* which way they went/,
    ],
    [
      'policy.yaml',
      `${POLICY}  - { action: steer, match: icmp, cpu: 4095 }`,
      /^sluice: .*policy\.yaml:8:\d+: rule 4 "steer icmp" steers to CPU 4095/,
    ],
    [
      'policy.yaml',
      `${POLICY}  - { action: forward, match: icmp, device: nowhere0 }`,
      /^sluice: .*policy\.yaml:8:\d+: rule 4 "forward icmp": there is no network device "nowhere0"; choose one of: .*far/,
    ],
    ['blocked.txt', million.join('\n'), /^sluice: blocked\.txt:765433: "203\.0\.113\.300" is no address or prefix/],
  ]
  for (const [name, text, said] of faults) {
    write('policy.yaml', POLICY)
    write(name, text)
    const before = protect.stderr().length
    await protect.reload(/the policy of before stays in force/)
    const message = protect
      .stderr()
      .slice(before)
      .replace(/^(\d+s: |0s: | {2}).*\n/gm, '')
    assert.match(message, said)
    assert.match(message, /\nsluice: the policy of before stays in force; correct this and send SIGHUP again\n$/)
  }
  send()
  const { status, summary } = await protect.end()
  assert.equal(status, 0)
  assert.deepEqual(packetsOf(summary!), { seen: DATAGRAMS, blocked: DATAGRAMS, rest: 0 })
  assert.deepEqual(summary!.reloads, { done: 0, refused: faults.length })
})

test('a package that goes while it runs takes neither the policy nor an answer with it', { skip }, async () => {
  write('blocked.txt', `${SENDER}\n`)
  const policy = write('policy.yaml', POLICY)
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const installed = join(folder, 'installed')
  mkdirSync(installed)
  for (const part of ['package.json', 'dist/bin']) cpSync(join(root, part), join(installed, part), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'))
  const protect = await startProtecting(network.receiver, 'far', policy, [], {}, join(installed, 'dist/bin/sluice.cjs'))
  rmSync(installed, { recursive: true })
  write('policy.yaml', POLICY.replace('burst: 50', 'brust: 50'))
  await protect.reload(/did you mean "burst"\?\nsluice: the policy of before stays in force/)
  write('policy.yaml', `${POLICY}  - { action: drop, match: icmp }\n`)
  await protect.reload(/was read again; 4 rules are in force/)
  const asked = runCli(['list', '--process', String(protect.child.pid)])
  assert.equal(asked.status, 0, asked.stderr)
  send()
  const { status, summary } = await protect.end()
  assert.equal(status, 0, protect.stderr())
  assert.equal(packetsOf(summary!)['blocked'], DATAGRAMS)
})

test('nothing is loaded of a policy that is faulty at the start', { skip }, () => {
  write('blocked.txt', '203.0.113.0/24\n203.0.113.0/33\n')
  const policy = write('policy.yaml', POLICY)
  const refused = runCli(['protect', 'far', '--policy', policy], inside(network.receiver))
  assert.deepEqual([refused.status, refused.stdout], [2, ''])
  assert.match(refused.stderr, /^sluice: blocked\.txt:2: "203\.0\.113\.0\/33" is no address or prefix.*\n$/)
  assert.equal(attachedMode(network), 'none')
})

test('the SSH client and --keep pass before the first rule, also after a change', { skip }, async () => {
  const session = { SSH_CONNECTION: `${SENDER} 50000 ${RECEIVER} 22` }
  const all = write('all.yaml', 'rules: [{ name: all, action: drop, match: "" }]')
  for (const [args, environment] of [
    [[], session],
    [['--keep', `${SENDER}/32`], {}],
  ] as const) {
    write('all.yaml', 'rules: [{ name: all, action: drop, match: "" }]')
    const protect = await startProtect(all, args, environment)
    send()
    write('all.yaml', 'rules: [{ name: every, action: drop, match: ip }, { action: drop, match: arp }]')
    await protect.reload(/2 rules are in force/)
    send()
    const { summary } = await protect.end()
    assert.match(protect.stderr(), /never dropped: what comes from 198\.51\.100\.1/)
    assert.equal(summary!.dropped, 0)
    assert.ok(summary!.kept.packets >= 2 * DATAGRAMS, `${summary!.kept.packets} kept`)
    assert.ok(summary!.keptPrefixes.length >= 1)
  }
  // Only what is sent here: the two ask for each other's address now and then.
  const datagrams = write('datagrams.yaml', 'rules: [{ action: drop, match: udp }]')
  const open = await startProtect(datagrams, ['--no-keep-ssh'], session)
  send()
  assert.equal((await open.end()).summary!.dropped, DATAGRAMS)
})

test('warnings, and what nobody takes, are said at the start', { skip }, async () => {
  const policy = write(
    'odd.yaml',
    'rules: [{ action: sample, match: icmp, oneIn: 2 }, { action: drop, match: tcp }, { action: divert, match: tcp port 9 }]',
  )
  const protect = await startProtect(policy)
  await protect.end()
  assert.match(protect.stderr(), /warning: rule 3 "divert tcp port 9" is never reached, because rule 2 "drop tcp"/)
  assert.match(protect.stderr(), /warning: rule 1 "sample icmp" takes samples, and this command shows none/)
  assert.match(protect.stderr(), /warning: rule 3 "divert tcp port 9" diverts to an AF_XDP socket/)
})

test('live lines name the busiest rules, and a table is printed', { skip }, async () => {
  write('blocked.txt', `${SENDER}\n`)
  const policy = write('policy.yaml', POLICY)
  const command = [process.execPath, CLI, 'protect', 'far', '--policy', policy]
  const child = startCommand([...inside(network.receiver), ...command], { ...process.env, SSH_CONNECTION: '' })
  let [stdout, stderr] = ['', '']
  child.stdout!.on('data', (data) => {
    stdout += data
  })
  child.stderr!.on('data', (data) => {
    stderr += data
  })
  const ended = once(child, 'close')
  await eventually('the policy stands', () => stderr.includes('protecting by'))
  send()
  const line = /^\d+s: 200 packets dropped\n( {2}(seen|blocked): 200 packets \(.*\/s\)\n){2}/m
  await eventually('a line with all of them', () => line.test(stderr))
  child.kill('SIGINT')
  assert.equal((await ended)[0], 0, stderr)
  assert.match(stdout, /blocked +│ drop +│ +200 │ +28400/)
  assert.match(stdout, /^200 packets dropped at far in \d+s$/m)
})

test('--for ends it', { skip }, () => {
  write('blocked.txt', '')
  const command = ['protect', 'far', '--policy', write('policy.yaml', POLICY), '--for', '1s', '--json']
  const { status, stdout, stderr } = runCli(command, inside(network.receiver))
  assert.deepEqual([status, JSON.parse(stdout).endedBy], [0, 'time'], stderr)
})

test('nothing stays attached, also after SIGKILL', { skip }, async () => {
  write('blocked.txt', '')
  const protect = await startProtect(write('policy.yaml', POLICY))
  assert.equal(attachedMode(network), 'native')
  await protect.end('SIGKILL')
  await eventually('the program is gone', () => attachedMode(network) === 'none')
})

test('it ends with its terminal, though SIGHUP else reads the policy again', { skip }, async () => {
  write('blocked.txt', '')
  const own = `${process.execPath} ${CLI} protect far --policy ${write('policy.yaml', POLICY)}`
  const command = [...inside(network.receiver), 'script', '--quiet', '--command', own, '/dev/null']
  const terminal = startCommand(command, { ...process.env, SSH_CONNECTION: '' })
  let said = ''
  terminal.stdout!.on('data', (data) => {
    said += data
  })
  await eventually('the policy stands', () => said.includes('protecting by'))
  assert.equal(attachedMode(network), 'native')
  terminal.kill('SIGKILL')
  await eventually('the program is gone', () => attachedMode(network) === 'none')
})

test('a device that goes away ends it, with one sentence and status 1', { skip }, async () => {
  write('blocked.txt', '')
  const protect = await startProtect(write('policy.yaml', POLICY))
  const route = openRoute(network.receiver)
  deleteLink(route, 'far')
  closeNetlink(route)
  const { status, summary } = await protect.ended
  assert.deepEqual([status, summary!.endedBy], [1, 'detached'])
  assert.match(protect.stderr(), /\nsluice: the policy is not at far any more: .*\n$/)
})
