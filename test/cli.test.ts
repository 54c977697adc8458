import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type CapturedPacket, createCapture, openCapture } from '../src/device/index.js'
import { isValidModule } from '../src/wasm/index.js'
import { CLI, runCli } from './support/cli.js'
import { skipUnless } from './support/require.js'

const folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
after(() => rmSync(folder, { recursive: true }))

const COMMANDS = ['demo', 'match', 'compile', 'drop', 'doctor']

/** An Ethernet frame with an IPv4 header without options, and ports where the protocol has them. */
function frame(protocol: number, sourcePort: number, destinationPort: number): CapturedPacket {
  const data = new Uint8Array(60)
  const view = new DataView(data.buffer)
  view.setUint16(12, 0x0800)
  data[14] = 0x45
  data[23] = protocol
  view.setUint32(26, 0xc6336401)
  view.setUint16(34, sourcePort)
  view.setUint16(36, destinationPort)
  return { data, wireLength: 60, seconds: 1, nanoseconds: 0 }
}

const UDP = 17
const TCP = 6

function captureOf(name: string, packets: readonly CapturedPacket[], linkTypeNumber = 1): string {
  const path = join(folder, name)
  const writer = createCapture(path, { linkTypeNumber, snapLength: 65535, resolution: 'microseconds' })
  for (const packet of packets) writer.write(packet)
  writer.finish()
  return path
}

/** Packets 2 and 4 are DNS queries. */
const MIXED = captureOf('mixed.pcap', [
  frame(TCP, 1000, 80),
  frame(UDP, 1000, 53),
  frame(TCP, 53, 1000),
  frame(UDP, 9, 53),
])

/** One sentence, no stack: what every error must look like. */
function assertSentence(stderr: string, pattern: RegExp): void {
  assert.match(stderr, /^sluice: /)
  assert.match(stderr, pattern)
  assert.doesNotMatch(stderr, /\n\s+at |node:internal/)
}

test('every command has help with an example', () => {
  for (const command of COMMANDS) {
    const { status, stdout, stderr } = runCli([command, '--help'])
    assert.deepEqual({ command, status, stderr }, { command, status: 0, stderr: '' })
    assert.match(stdout, /Examples?:\n\s+(\$ )?.*sluice/, command)
    assert.match(stdout, /--json/, command)
  }
  const { status, stdout } = runCli(['--help'])
  assert.equal(status, 0)
  for (const command of COMMANDS) assert.match(stdout, new RegExp(`^  ${command} `, 'm'))
})

test('wrong usage ends with 2 and one sentence that names the help', () => {
  const cases: [string[], RegExp][] = [
    [['shovel'], /unknown command 'shovel'; see sluice --help\n$/],
    [['match', 'udp'], /'-r, --read <file>' not specified; see sluice match --help\n$/],
    [['match', 'udp', '-r', MIXED, '--frobnicate'], /unknown option '--frobnicate'.*see sluice match --help\n$/],
    [['match', 'udp', '-r', MIXED, '--engine', 'magic'], /'magic' is invalid.*see sluice match --help\n$/],
    [['compile'], /there is nothing to look at; give an expression, or --policy FILE\n$/],
    [
      ['compile', 'udp', '--link-type', 'CARRIER_PIGEON'],
      /--link-type: rules cannot be compiled for link type CARRIER_PIGEON, only for EN10MB/,
    ],
    [['drop', 'udp'], /'--on <device>' not specified; see sluice drop --help\n$/],
    [['drop', 'udp', '--on', 'lo', '--for', 'ever'], /"ever" is no duration.*30s, 10m or 1h\n$/],
    [['match', '-r', MIXED], /needs an expression, or --expressions FILE/],
    [['match', 'udp', '-r', MIXED, '--count', '--numbers'], /exclude each other/],
    [['match', 'udp', '-r', MIXED, '-w', '-', '--count'], /-w - puts packets on standard output/],
    [['match', '-r', MIXED, '--expressions', join(folder, 'none')], /cannot read the expressions of .*ENOENT/],
  ]
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = runCli(args)
    assert.deepEqual({ args, status, stdout }, { args, status: 2, stdout: '' })
    assertSentence(stderr, message)
    assert.equal(stderr.trim().split('\n').length, 1, stderr)
  }
  const { status, stdout, stderr } = runCli([])
  assert.deepEqual({ status, stdout }, { status: 2, stdout: '' })
  assert.match(stderr, /Usage: sluice/)
})

test('a wrong expression has a caret under the fault', () => {
  for (const args of [
    ['match', 'udp and portt 53', '-r', MIXED],
    ['compile', 'udp and portt 53'],
    ['drop', 'udp and portt 53', '--on', 'lo'],
  ]) {
    const { status, stdout, stderr } = runCli(args)
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' })
    assertSentence(stderr, /\n {2}udp and portt 53\n {10}\^{5}\n/)
  }
})

test('a stack is shown only to who asks for it', () => {
  const env = { ...process.env, SLUICE_DEBUG: '1' }
  const { status, stderr } = spawnSync(process.execPath, [CLI, 'compile', 'udp udp'], { encoding: 'utf8', env })
  assert.equal(status, 2)
  assert.match(stderr, /FilterError: .*[\s\S]*\n\s+at /)
})

test('match prints a sentence, a count, numbers or JSON', () => {
  const dns = ['match', 'udp port 53', '-r', MIXED]
  assert.deepEqual(runCli(dns), { status: 0, stdout: '2 of 4 packets match\n', stderr: '' })
  assert.equal(runCli([...dns, '--count']).stdout, '2\n')
  assert.equal(runCli([...dns, '--numbers']).stdout, '2\n4\n')
  assert.deepEqual(JSON.parse(runCli([...dns, '--json']).stdout), {
    expression: 'udp port 53',
    file: MIXED,
    linkType: 'EN10MB',
    engine: 'wasm',
    packets: 4,
    matched: 2,
    numbers: [2, 4],
    error: null,
  })
  assert.equal(runCli(['match', 'udp', 'port', '53', '-r', MIXED, '--count']).stdout, '2\n')
  assert.equal(runCli(['match', '', '-r', MIXED, '--count']).stdout, '4\n')
  assert.equal(runCli(['match', 'tcp', '-r', '-', '--count'], [], readFileSync(MIXED)).stdout, '2\n')
})

test('match --expressions prints a count a line, and a dash for what cannot be used', () => {
  const path = join(folder, 'expressions')
  writeFileSync(path, 'udp\nudp or tcp\n\nportt 53\nport 80\n')
  const { status, stdout, stderr } = runCli(['match', '--expressions', path, '-r', MIXED])
  assert.deepEqual({ status, stdout }, { status: 2, stdout: '2\n4\n4\n-\n1\n' })
  assertSentence(stderr, /^sluice: line 4 of .*expressions: [\s\S]*\^/)
  const json = JSON.parse(runCli(['match', '--expressions', path, '-r', MIXED, '--json']).stdout)
  assert.deepEqual(
    json.results.map(({ matched }: { matched: number | null }) => matched),
    [2, 4, 4, null, 1],
  )
})

test('match -w writes the packets that match, and nothing where it fails', () => {
  const output = join(folder, 'dns.pcap')
  assert.equal(runCli(['match', 'udp', '-r', MIXED, '-w', output]).status, 0)
  const written = [...openCapture(output).packets()]
  assert.deepEqual(
    written.map(({ data }) => Buffer.from(data).toString('hex')),
    [frame(UDP, 1000, 53), frame(UDP, 9, 53)].map(({ data }) => Buffer.from(data).toString('hex')),
  )
  assert.equal(runCli(['match', 'portt', '-r', MIXED, '-w', join(folder, 'never.pcap')]).status, 2)
  const { status, stderr } = runCli(['match', 'udp', '-r', MIXED, '-w', join(folder, 'no/such/folder.pcap')])
  assert.equal(status, 2)
  assertSentence(stderr, /cannot write .*folder\.pcap/)
  assert.deepEqual(
    readdirSync(folder).filter((name) => /never|part/.test(name)),
    [],
  )
})

test('tcpdump reads what match writes', { skip: skipUnless('tcpdump') }, () => {
  const output = join(folder, 'tcp.pcap')
  runCli(['match', 'tcp', '-r', MIXED, '-w', output])
  const read = spawnSync('tcpdump', ['-r', output, '-nn', '-t', 'udp or port 80 or port 53'], { encoding: 'utf8' })
  assert.equal(read.stdout.trim().split('\n').length, 2, read.stderr)
})

test('broken and foreign captures: what could be read, and a sentence', () => {
  const cut = join(folder, 'cut.pcap')
  writeFileSync(cut, readFileSync(MIXED).subarray(0, -10))
  const { status, stdout, stderr } = runCli(['match', 'udp', '-r', cut, '--count'])
  assert.deepEqual({ status, stdout }, { status: 2, stdout: '1\n' })
  assertSentence(stderr, /cut\.pcap ends inside packet 4.*the packets before it were read\n$/)

  const refusals: [string, RegExp][] = [
    [join(folder, 'nowhere.pcap'), /cannot read .*nowhere\.pcap: no such file; check the path\n$/],
    [folder, /it is a directory/],
    [CLI, /is not a capture file/],
    [captureOf('usb.pcap', [], 189), /usb\.pcap: rules cannot be compiled for link type USB_LINUX, only for EN10MB/],
  ]
  for (const [path, message] of refusals) {
    const refused = runCli(['match', 'udp', '-r', path])
    assert.deepEqual({ path, status: refused.status, stdout: refused.stdout }, { path, status: 2, stdout: '' })
    assertSentence(refused.stderr, message)
  }
})

/** A packet of 3 bytes, one of 60, and one of 60 that was cut from 900. */
const SHORT = captureOf('short.pcap', [
  { data: Uint8Array.of(1, 2, 3), wireLength: 60, seconds: 0, nanoseconds: 0 },
  frame(UDP, 1, 53),
  { ...frame(TCP, 1, 53), wireLength: 900 },
])
const ON_SHORT = ['udp', 'greater 60', 'greater 61', 'less 61', 'ether[2] = 3', 'not tcp']

test('WebAssembly and the interpreter agree, also on a packet that is longer than what is left of a page of memory', () => {
  const long = new Uint8Array(65_535)
  long[65_534] = 9
  const path = captureOf('long.pcap', [frame(UDP, 1, 53), { ...frame(UDP, 1, 53), data: long, wireLength: 65_535 }])
  for (const [file, expressions] of [
    [SHORT, ON_SHORT],
    [path, ['ether[65534] = 9', 'ether[65531:4] = 9', 'udp', 'not udp', 'ether[65535] = 0']],
  ] as const) {
    for (const expression of expressions) {
      const interpreter = runCli(['match', expression, '-r', file, '--numbers', '--engine', 'interpreter'])
      const wasm = runCli(['match', expression, '-r', file, '--numbers', '--engine', 'wasm'])
      assert.deepEqual(wasm, interpreter, expression)
    }
  }
  assert.equal(runCli(['match', 'ether[65534] = 9', '-r', path, '--numbers']).stdout, '2\n')
})

test('the kernel and the interpreter agree, on packets too short for the kernel as well', {
  skip: skipUnless('root'),
}, () => {
  for (const expression of ON_SHORT) {
    const interpreter = runCli(['match', expression, '-r', SHORT, '--numbers', '--engine', 'interpreter'])
    const kernel = runCli(['match', expression, '-r', SHORT, '--numbers', '--engine', 'ebpf'])
    assert.equal(kernel.stdout, interpreter.stdout, expression)
    assert.match(kernel.stderr, /1 packets are too short or too long/)
  }
})

test('compile shows each form', () => {
  assert.match(runCli(['compile', 'udp port 53']).stdout, /^ +0: \(/)
  assert.match(runCli(['compile', 'udp port 53', '--to', 'ir']).stdout, /no match/)
  assert.equal(JSON.parse(runCli(['compile', 'udp port 53', '--to', 'ast']).stdout).kind, 'port')
  const json = JSON.parse(runCli(['compile', 'udp port 53', '--json']).stdout)
  assert.equal(json.to, 'ebpf')
  assert.match(json.code, /^([0-9a-f]{16})+$/)
  assert.equal(json.instructions.at(-1).includes('exit'), true)
  assert.match(runCli(['compile', 'udp port 53', '--to', 'wasm']).stdout, /^\(module\n[\s\S]*\(func \$judge/)
  const wasm = JSON.parse(runCli(['compile', 'udp port 53', '--to', 'wasm', '--json']).stdout)
  assert.equal(wasm.text[0], '(module')
  assert.ok(isValidModule(new Uint8Array(Buffer.from(wasm.module, 'base64'))))
})

test('a reader that goes away early is no error', () => {
  const many = captureOf('many.pcap', Array(50_000).fill(frame(UDP, 1, 2)))
  const script = `set -o pipefail; "$0" "$1" match udp -r "$2" --numbers | head -n 1`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, CLI, many], {
    encoding: 'utf8',
  })
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '1\n', stderr: '' })
})

test('packets go through a pipe whose reader is slow, or goes away', () => {
  const many = captureOf('pipe.pcap', Array(50_000).fill(frame(UDP, 1, 2)))
  const shell = (reader: string) => {
    const script = `set -o pipefail; "$0" "$1" match udp -r "$2" -w - | (${reader})`
    return spawnSync('bash', ['-c', script, process.execPath, CLI, many], { encoding: 'utf8' })
  }
  const slow = shell('sleep 1; cksum')
  assert.equal(slow.stdout, execFileSync('cksum', { input: readFileSync(many), encoding: 'utf8' }))
  assert.deepEqual([slow.status, slow.stderr], [0, '50000 of 50000 packets match\n'])
  const { status, stderr } = shell('head -c 100 > /dev/null')
  assert.deepEqual([status, stderr], [0, ''])
})

test('standard input in non-blocking mode is waited for', async () => {
  // Node sets O_NONBLOCK on its own standard input, which is the child's as well.
  const script = `
    const { spawn } = require('node:child_process')
    spawn(process.execPath, [...process.argv.slice(1), 'match', 'udp', '-r', '-', '--count'], { stdio: 'inherit' })
    process.stdin.pause()`
  const feeder = spawn(process.execPath, ['-e', script, CLI], { stdio: ['pipe', 'pipe', 'pipe'] })
  const said = Promise.all([text(feeder.stdout), text(feeder.stderr)])
  const bytes = readFileSync(MIXED)
  for (const part of [bytes.subarray(0, 50), bytes.subarray(50)]) {
    await setTimeout(600)
    feeder.stdin.write(part)
  }
  feeder.stdin.end()
  assert.deepEqual(await said, ['2\n', ''])
})

test('doctor says what there is; an unknown device is a wrong input', () => {
  const { status, stdout, stderr } = runCli(['doctor', 'lo', '--json'])
  assert.equal(stderr, '')
  const { ok, machine, device } = JSON.parse(stdout)
  assert.equal(status, ok ? 0 : 1)
  assert.equal(device.name, 'lo')
  for (const check of [...machine, ...device.checks]) {
    assert.match(check.status, /^(ok|note|missing)$/)
    assert.equal(check.remedy === null, check.status === 'ok', check.name)
  }
  const hardware = device.checks.find(({ name }: { name: string }) => name === 'flows in hardware')
  assert.match(hardware.found, /^not offered/)
  const unknown = runCli(['doctor', 'no-such-device0'])
  assert.deepEqual({ status: unknown.status, stdout: unknown.stdout }, { status: 2, stdout: '' })
  assertSentence(unknown.stderr, /no-such-device0.*choose one of: .*lo/)
})

test('doctor finds a fit machine where there is one', { skip: skipUnless('root') }, () => {
  const { status, stdout } = runCli(['doctor'])
  assert.equal(status, 0, stdout)
  assert.match(stdout, /rules in the driver \(native XDP\) +│ ok +│ works on a veth pair/)
})

/** Root without any capability: what a container or a service manager may leave. */
const POWERLESS = ['setpriv', '--bounding-set=-all', '--inh-caps=-all']

test('without the right to send: status 1, where, and the remedy', { skip: skipUnless('root') }, () => {
  for (const [args, said] of [
    [['--on', 'lo'], /may not send packets at lo \(.*: EPERM\); run it as root \(sudo\), or give it CAP_NET_RAW\n$/],
    [['--on', 'xdp:lo'], /may not send packets at lo \(.*: EPERM\); .* CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF\n$/],
  ] as const) {
    const { status, stdout, stderr } = runCli(
      ['generate', 'udp', '--to', '127.0.0.1', '--count', '1', ...args],
      POWERLESS,
    )
    assert.deepEqual({ args, status, stdout }, { args, status: 1, stdout: '' })
    assertSentence(stderr, said)
  }
})

test('without the right to load programs: status 1 and the remedy', { skip: skipUnless('root') }, () => {
  execFileSync('setpriv', ['--version'])
  for (const args of [
    ['drop', 'udp', '--on', 'lo'],
    ['match', 'udp', '-r', MIXED, '--engine', 'ebpf'],
  ]) {
    const { status, stdout, stderr } = runCli(args, POWERLESS)
    assert.deepEqual({ args, status, stdout }, { args, status: 1, stdout: '' })
    assertSentence(stderr, /sudo.*CAP_BPF and CAP_NET_ADMIN/)
  }
  const { status, stdout } = runCli(['doctor', '--json'], POWERLESS)
  assert.equal(status, 1)
  const [missing] = JSON.parse(stdout).machine.filter((check: { status: string }) => check.status === 'missing')
  assert.match(missing.remedy, /CAP_BPF and CAP_NET_ADMIN/)
})
