import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createCapture, openCapture } from '../src/device/index.js'
import { frameTemplates, parseSizes } from '../src/generate/index.js'
import { setFeatures, withNamespace } from '../src/kernel/index.js'
import { receiveThroughNapi } from '../src/lab/network.js'
import { CLI, runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'
import { frameSpec } from './support/traffic.js'
import { createVethPair, type PairEnd, type VethPair } from './support/veth-pair.js'

const skip = skipUnless('root')

describe('sluice generate and replay at devices', { skip }, () => {
  let pair: VethPair
  let folder = ''
  let capture = ''
  /** How the command line names a device of this process's namespaces. */
  const at = ({ namespace, name }: PairEnd) => `${namespace.path}/${name}`
  /** Packets that the kernel counted in at a device (proc(5), /proc/net/dev). */
  const arrived = ({ namespace, name }: PairEnd) => {
    const text = withNamespace(namespace, () => readFileSync('/proc/thread-self/net/dev', 'utf8'))
    return Number(new RegExp(`${name}: *\\d+ +(\\d+)`).exec(text)![1])
  }
  let before_ = 0
  const sentByKernel = () => arrived(pair.far) - before_
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = runCli([...args, '--json'])
    assert.equal(status, 0, stderr)
    return JSON.parse(stdout)
  }

  before(() => {
    pair = createVethPair()
    folder = mkdtempSync(join(tmpdir(), 'sluice-generate-'))
    capture = join(folder, 'packets.pcap')
    const writer = createCapture(capture, { linkTypeNumber: 1, snapLength: 65535, resolution: 'nanoseconds' })
    frameTemplates(frameSpec({ sizes: parseSizes('60-79') })).forEach(({ bytes }, index) => {
      writer.write({ data: bytes, wireLength: bytes.length, seconds: 1000, nanoseconds: index * 1e6 })
    })
    writer.finish()
  })
  after(() => {
    rmSync(folder, { recursive: true })
    pair.close()
  })
  beforeEach(() => {
    before_ = arrived(pair.far)
  })

  const TO = ['--to', '192.0.2.2', '--for', '20s']

  for (const way of ['', 'xdp:']) {
    it(`${way || 'packet'}: the kernel counts as many in as were asked for, and all are measured`, () => {
      const { near, far } = pair
      const report = run(
        'generate',
        'udp',
        '--on',
        way + at(near),
        '--measure',
        way + at(far),
        ...TO,
        '--rate',
        '5k',
        '--count',
        '3000',
      )
      const { sent, measured, lost, endedBy } = report
      assert.equal(endedBy, 'done')
      assert.deepEqual([sent.packets, sent.bytes, sent.drops, lost], [3000, 180_000, {}, 0])
      assert.deepEqual(
        [measured.received, measured.expected, measured.duplicates, measured.reordered],
        [3000, 3000, 0, 0],
      )
      assert.ok(measured.delaysNs.least > 0 && measured.delaysNs.least <= measured.delaysNs.p50)
      // A program that takes packets away before the kernel counts them is counted elsewhere.
      if (way === '') assert.equal(sentByKernel(), 3000)
    })
  }

  it('at a rate: what was sent and what was left out is the rate times the time, by the clock', () => {
    for (const arrivals of ['constant', 'poisson', 'bursts']) {
      const report = run(
        'generate',
        'syn',
        '--on',
        at(pair.near),
        '--to',
        '192.0.2.2:80',
        '--rate',
        '20k',
        '--for',
        '1s',
        '--arrivals',
        arrivals,
      )
      const counted = report.sent.packets + report.sent.leftOut
      // At equal gaps it ends with the last packet, before its time is over.
      const most = arrivals === 'constant' ? 20_000 + report.sent.leftOut : Number.POSITIVE_INFINITY
      const due = Math.min(report.seconds * 20_000, most)
      // Six deviations of a Poisson count, and what may be late: the slack of 13 ms and a bundle.
      assert.ok(
        Math.abs(counted - due) < 6 * Math.sqrt(due) + 0.0128 * 20_000 + 256,
        `${arrivals}: ${counted} of ${due}`,
      )
    }
  })

  it('live: what was sent either arrived by the kernel’s count or is said to have been refused', async () => {
    const live = ['generate', 'udp', '--on', `live:${at(pair.near)}`, ...TO, '--rate', '50k', '--count', '20k']
    const { sent: none } = run(...live)
    assert.deepEqual([none.packets, Object.values(none.drops), sentByKernel()], [20_000, [20_000], 0])
    receiveThroughNapi(pair.far, pair.near)
    const { sent } = run(...live)
    const refused = Object.values<number>(sent.drops).reduce((sum, count) => sum + count, 0)
    assert.equal(sent.packets, 20_000)
    // The receiver may come to its ring later than the sender to its end.
    await eventually('all are counted', () => sentByKernel() + refused >= 20_000)
    assert.equal(sentByKernel() + refused, 20_000)
    setFeatures(pair.far.name, { 'rx-gro': false }, pair.far.namespace)
  })

  it('tap: the kernel receives what is sent there', () => {
    const { namespace } = pair.near
    const report = run(
      'generate',
      'udp',
      '--on',
      `tap:${namespace.path}/made`,
      ...TO,
      '--rate',
      'max',
      '--count',
      '5000',
      '--size',
      'imix',
    )
    assert.equal(report.sent.packets, 5000)
  })

  it('link: everything that is sent is measured at its other end', () => {
    const report = run(
      'generate',
      'udp',
      '--on',
      'link:',
      ...TO,
      '--rate',
      'max',
      '--count',
      '200k',
      '--size',
      '60-1514',
    )
    assert.deepEqual([report.sent.packets, report.measured.received, report.lost], [200_000, 200_000, 0])
    assert.equal(report.sent.bytes, report.measured.bytes)
  })

  it('a file gets the same packets from the same seed, each at its time', () => {
    const [one, other] = ['one.pcap', 'other.pcap'].map((name) => join(folder, name))
    for (const file of [one!, other!])
      run(
        'generate',
        'dns',
        '--on',
        file,
        ...TO,
        '--rate',
        '1000',
        '--arrivals',
        'poisson',
        '--seed',
        '42',
        '--count',
        '100',
      )
    const read = (file: string) =>
      [...openCapture(file).packets()].map((packet) => ({ ...packet, data: Uint8Array.from(packet.data) }))
    const [first, second] = [read(one!), read(other!)]
    assert.equal(first.length, 100)
    assert.deepEqual(
      first.map(({ data }) => data),
      second.map(({ data }) => data),
    )
    const times = first.map(({ seconds, nanoseconds }) => (seconds - first[0]!.seconds) * 1e9 + nanoseconds)
    assert.ok(times.every((time, index) => index === 0 || time >= times[index - 1]!))
  })

  it('replay sends a capture byte for byte, as often as asked, and keeps its times', () => {
    const file = join(folder, 'again.pcap')
    assert.equal(run('replay', capture, '--on', file, '--loops', '3').sent.packets, 60)
    const read = (path: string) => [...openCapture(path).packets()].map(({ data }) => Uint8Array.from(data))
    assert.deepEqual(read(file), [...read(capture), ...read(capture), ...read(capture)])
    const gaps = [...openCapture(file).packets()].map(({ nanoseconds }) => nanoseconds)
    assert.ok(gaps.slice(1).every((time, index) => (time - gaps[index]! + 1e9) % 1e9 === 1e6))
    assert.equal(run('replay', capture, '--on', at(pair.near), '--loops', '5').sent.packets, 100)
    assert.equal(sentByKernel(), 100)
    const report = run('replay', capture, '--on', at(pair.near), '--rate', 'max', '--loops', '50')
    assert.deepEqual([report.sent.packets, sentByKernel()], [1000, 1100])
  })

  it('a capture as template: new flows each round, all with room measured, the rest named', () => {
    const varied = (way: string, ...more: string[]) =>
      run('generate', '--template', capture, '--on', way + at(pair.near), '--measure', way + at(pair.far), ...more)
    for (const way of ['', 'xdp:']) {
      const ranges = ['--from', '198.18.0.0/15:1024-65535', '--to', '203.0.113.0/28:53', '--arrivals', 'bursts']
      const { sent, measured, lost } = varied(way, ...ranges, '--rate', '5k', '--count', '2000')
      assert.deepEqual([sent.packets, sent.stamped, sent.unstamped, lost], [2000, 2000, {}, 0])
      assert.deepEqual([measured.received, measured.expected, measured.corrupted, measured.others], [2000, 2000, 0, 0])
    }
    const mixed = join(folder, 'mixed.pcap')
    const writer = createCapture(mixed, { linkTypeNumber: 1, snapLength: 65535, resolution: 'nanoseconds' })
    const [whole] = frameTemplates(frameSpec({ sizes: parseSizes('80') }))
    const [small] = frameTemplates(frameSpec({ kind: 'syn', sizes: parseSizes('60') }))
    for (const [data, wireLength] of [
      [whole!.bytes, 80],
      [small!.bytes, 60],
      [whole!.bytes.slice(0, 70), 80],
    ] as const)
      writer.write({ data, wireLength, seconds: 0, nanoseconds: 0 })
    writer.finish()
    const [near, far] = [at(pair.near), at(pair.far)]
    const { sent, measured, lost } = run(
      ...['generate', '--template', mixed, '--on', near, '--measure', far, '--to', '192.0.2.2', '--count', '300'],
    )
    assert.deepEqual([sent.packets, sent.stamped, measured.received, measured.others, lost], [300, 100, 100, 200, 0])
    assert.deepEqual(sent.unstamped, { 'no room in the payload': 100, 'cut off when it was captured': 100 })
  })

  it('a kind whose packets have no room is not measured, and not lost', () => {
    const small = ['generate', 'syn', '--on', 'link:', ...TO, '--rate', 'max', '--count', '500']
    const { sent, measured, lost } = run(...small)
    assert.deepEqual([sent.packets, sent.stamped, measured.others, lost], [500, 0, 500, 0])
    assert.deepEqual(sent.unstamped, { 'no room in the payload': 500 })
  })

  it('a template keeps its recorded times, varied or not', () => {
    const file = join(folder, 'timed.pcapng')
    const timed = ['--on', file, '--to', '192.0.2.2', '--arrivals', 'recorded', '--count', '60']
    assert.equal(run('generate', '--template', capture, ...timed).sent.packets, 60)
    assert.equal(openCapture(file).format, 'pcapng')
    const times = [...openCapture(file).packets()].map(({ nanoseconds }) => nanoseconds)
    assert.ok(times.slice(1).every((time, index) => (time - times[index]! + 1e9) % 1e9 === 1e6))
  })

  it('ends on Ctrl-C with the totals', async () => {
    const child = spawn(process.execPath, [
      CLI,
      'generate',
      'udp',
      '--on',
      at(pair.near),
      '--to',
      '192.0.2.2',
      '--for',
      '60s',
      '--json',
    ])
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    await new Promise((resolve) => child.stderr.once('data', resolve))
    child.kill('SIGINT')
    const status = await new Promise((resolve) => child.once('close', resolve))
    assert.equal(status, 0)
    const report = JSON.parse(output)
    assert.equal(report.endedBy, 'SIGINT')
    assert.equal(sentByKernel(), report.sent.packets)
  })

  describe('refuses, with status 2 and before anything is sent', () => {
    const refused = (message: RegExp, ...args: string[]) => {
      const { status, stdout, stderr } = runCli(args)
      assert.equal(status, 2, stderr)
      assert.match(stderr, message)
      assert.equal(stderr.trim().split('\n').length, 1, stderr)
      assert.equal(stdout, '')
    }
    const NOT_INSIDE =
      /^sluice: [^;]* goes to 192\.0\.2\.2, (which is no loopback address, and lo may hand it on|and from sluice-none it may leave this machine); add --confirm 192\.0\.2\.2 if its owner agrees, or send in a network namespace of its own\n$/

    it('an address outside of this machine that nobody has confirmed', () => {
      refused(NOT_INSIDE, 'generate', 'udp', '--on', 'lo', '--to', '192.0.2.2')
      refused(NOT_INSIDE, 'generate', 'udp', '--on', 'tap:sluice-none', '--to', '192.0.2.2', '--confirm', '192.0.2.3')
      refused(NOT_INSIDE, 'replay', capture, '--on', 'lo', '--confirm', '127.0.0.1')
      refused(NOT_INSIDE, 'generate', '--template', capture, '--on', 'lo')
      refused(/goes to 192\.0\.2\.6,/, 'generate', '--template', capture, '--on', 'lo', '--to', '192.0.2.6')
      refused(
        /"192.0.2.0\/24" cannot be confirmed/,
        'generate',
        'udp',
        '--on',
        'lo',
        '--to',
        '192.0.2.2',
        '--confirm',
        '192.0.2.0/24',
      )
    })

    it('what cannot be sent', () => {
      const near = at(pair.near)
      refused(/no network device "none"/, 'generate', 'udp', '--on', 'none', '--to', '127.0.0.1')
      refused(/no network namespace \/run\/netns\/none/, 'generate', 'udp', '--on', 'none/veth0', '--to', '127.0.0.1')
      refused(/give --to ADDRESS/, 'generate', 'udp', '--on', near)
      refused(/no Ethernet address for 192\.0\.2\.9/, 'generate', 'udp', '--on', near, '--to', '192.0.2.9')
      refused(/no size/, 'generate', 'udp', '--on', near, '--to', '192.0.2.2', '--size', 'big')
      refused(/give either a kind/, 'generate', '--on', near)
      refused(
        /live: keeps rates from 20000/,
        'generate',
        'udp',
        '--on',
        `live:${near}`,
        '--to',
        '192.0.2.2',
        '--rate',
        '5k',
      )
      refused(
        /live: sends udp and syn only/,
        'generate',
        'dns',
        '--on',
        `live:${near}`,
        '--to',
        '192.0.2.2',
        '--rate',
        '50k',
      )
      refused(
        /their sizes and their order; leave --size/,
        'generate',
        '--template',
        capture,
        '--on',
        near,
        '--size',
        '60',
      )
      const template = ['generate', '--template', capture, '--on', near]
      refused(/recorded times and a rate/, ...template, '--arrivals', 'recorded', '--rate', '5k')
      refused(/two families/, ...template, '--from', '2001:db8::1', '--to', '192.0.2.2')
      refused(/live: sends no captures/, 'generate', '--template', capture, '--on', `live:${near}`, '--to', '192.0.2.2')
      refused(/no packet of IPv6/, ...template, '--to', '2001:db8::1')
      refused(/"file:" names no file/, 'generate', 'udp', '--on', 'file:', ...TO)
      refused(/no kind "tcp"/, 'generate', 'tcp', '--on', near, ...TO)
      refused(/nowhere to send/, 'generate', '--measure', near, '--rate', '5k')
      refused(/leave --measure out/, 'generate', 'udp', '--on', 'link:', '--measure', 'link:', ...TO)
      refused(/only the packets of a capture/, 'generate', 'udp', '--on', near, ...TO, '--arrivals', 'recorded')
      refused(/--burst says how long/, 'generate', 'udp', '--on', near, ...TO, '--burst', '5')
      refused(/no rate/, 'generate', 'udp', '--on', near, '--to', '192.0.2.2', '--rate', 'fast')
      refused(/give --policy FILE .* or --on DEVICE/, 'replay', capture)
      refused(/are for sending/, 'replay', capture, '--policy', 'none.yaml', '--loops', '2')
      assert.equal(sentByKernel(), 0)
    })
  })
})

describe('sluice generate into a file', { skip: skipUnless('tcpdump') }, () => {
  it('needs no rights, and tcpdump finds every checksum right', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-generate-'))
    const file = join(folder, 'syn.pcap')
    const { status, stderr } = runCli([
      'generate',
      'syn',
      '--on',
      file,
      '--to',
      '192.0.2.0/28:80-90',
      '--size',
      'imix',
      '--count',
      '500',
    ])
    assert.equal(status, 0, stderr)
    const text = execFileSync('tcpdump', ['-vvnr', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    rmSync(folder, { recursive: true })
    assert.equal(text.match(/cksum 0x[0-9a-f]+ \(correct\)/g)?.length, 500)
    assert.doesNotMatch(text, /bad cksum|incorrect/)
  })
})
