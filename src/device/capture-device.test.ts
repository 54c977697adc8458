import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { testDevice } from '../../test/support/device-suite.js'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { skipUnless } from '../../test/support/require.js'
import { draw, receive, startEngine } from '../engine/index.js'
import { discard } from '../stages/index.js'
import type { CapturedPacket, CaptureWriter } from './capture.js'
import { openCaptureDevice } from './capture-device.js'
import { createLink } from './link.js'
import { openCapture } from './open-capture.js'
import { createCapture } from './pcap-writer.js'
import { createPcapng } from './pcapng-writer.js'

const FIELDS = { linkTypeNumber: 1, snapLength: 65535, resolution: 'nanoseconds' } as const

/** Two devices, each of which follows the file that the other writes. */
for (const [format, create] of [
  ['pcap', (path: string) => createCapture(path, FIELDS, { isInPlace: true })],
  ['pcapng', (path: string) => createPcapng(path, FIELDS, { isInPlace: true })],
] as const) {
  testDevice(`capture-device, ${format} files that grow`, ({ space, code, worker }) => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
    const [there, back] = [join(folder, 'there'), join(folder, 'back')]
    const writers = [create(there), create(back)] as const
    for (const writer of writers) writer.flush()
    const open = (name: string, from: string, writer: CaptureWriter) =>
      openCaptureDevice(space, code, worker, {
        name,
        reader: openCapture(from, { grows: true }),
        writer,
        flushes: true,
      })
    return {
      device: open('device', back, writers[0]),
      peer: open('peer', there, writers[1]),
      close: () => rmSync(folder, { recursive: true }),
    }
  })
}

describe('capture files as devices', () => {
  let folder: string
  let bench: EngineBench
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-'))
    bench = openBench({ 2048: 64, 65536: 8 })
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
    assert.equal(bench.inUse(), 0)
  })

  /** A pcap file with one packet of each length, wire length and time. */
  function writeFile(name: string, packets: readonly Partial<CapturedPacket>[]): string {
    const path = join(folder, name)
    const writer = createCapture(path, FIELDS)
    for (const packet of packets)
      writer.write({ data: new Uint8Array(60), wireLength: 60, seconds: 0, nanoseconds: 0, ...packet })
    writer.finish()
    return path
  }

  /** Everything from a reader to a writer, by bundles of 7. */
  function copy(from: string, create: (path: string) => CaptureWriter, to: string) {
    const { space, code, worker } = bench
    const [source, target] = [
      openCaptureDevice(space, code, worker, { name: 'source', reader: openCapture(from) }),
      openCaptureDevice(space, code, worker, { name: 'target', writer: create(join(folder, to)) }),
    ]
    const bundle = bench.bundle('copied')
    while (source.receive(bundle, 7) > 0) target.send(bundle)
    assert.equal(source.isAtEnd(), true)
    for (const device of [source, target]) device.close()
    bench.space.free('test copied')
    return { source, target, path: join(folder, to) }
  }

  const PACKETS = [
    { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
    { seconds: 4_294_967_295, nanoseconds: 999_999_999, wireLength: 9000 },
    { seconds: 1, nanoseconds: 1, data: new Uint8Array(9000).fill(7), wireLength: 9000 },
    { data: new Uint8Array(0), wireLength: 1514 },
  ]

  it('keep length on the wire and time in pcapng, which comes out the same the second time', () => {
    const first = copy(writeFile('a.pcap', PACKETS), (path) => createPcapng(path, FIELDS), 'b.pcapng')
    const fields = (path: string) => [...openCapture(path).packets()].map(({ data, ...rest }) => [data.length, rest])
    assert.deepEqual(fields(first.path), fields(join(folder, 'a.pcap')))
    const second = copy(first.path, (path) => createPcapng(path, FIELDS), 'c.pcapng')
    assert.deepEqual(readFileSync(second.path), readFileSync(first.path))
    assert.equal(second.source.statistics().receivedBytes, 60 + 9000 + 9000 + 1514)
    assert.equal(second.source.statistics().copiedPackets, 4)
  })

  it('read and write what is packed with gzip', () => {
    const plain = writeFile('a.pcap', PACKETS)
    const packed = copy(plain, (path) => createCapture(path, FIELDS), 'b.pcap.gz')
    assert.deepEqual(gunzipSync(readFileSync(packed.path)), readFileSync(plain))
    const again = copy(packed.path, (path) => createCapture(path, FIELDS), 'c.pcap')
    assert.deepEqual(readFileSync(again.path), readFileSync(plain))
  })

  it('write pcapng as tcpdump reads it', { skip: skipUnless('tcpdump') }, () => {
    const { path } = copy(writeFile('a.pcap', PACKETS), (to) => createPcapng(to, FIELDS), 'b.pcapng')
    const print = (file: string) =>
      execFileSync('tcpdump', ['-r', file, '-tt', '-nn', '-e', '--nano'], { encoding: 'utf8', stdio: 'pipe' })
    assert.equal(print(path), print(join(folder, 'a.pcap')))
    assert.match(print(path), /^1700000000\.123456789 /)
  })

  it('give what is sent without a time the present one', () => {
    const { space, code, worker } = bench
    const path = join(folder, 'now.pcap')
    const device = openCaptureDevice(space, code, worker, { name: 'now', writer: createCapture(path, FIELDS) })
    const bundle = bench.bundle('now')
    bench.fill(bundle, [new Uint8Array(60)])
    const before = Math.floor(Date.now() / 1000)
    device.look(bundle)
    assert.equal(bench.count(bundle), 1, 'looked at, and left')
    device.send(bundle)
    device.close()
    const packets = [...openCapture(path).packets()]
    assert.equal(packets.length, 2)
    for (const { seconds, nanoseconds } of packets) {
      assert.ok(seconds >= before && seconds <= Date.now() / 1000)
      assert.ok(nanoseconds >= 0 && nanoseconds < 1e9)
    }
    assert.equal(device.statistics().copiedPackets, 2)
  })

  it('that have ended do not keep an engine awake that has another source', async () => {
    const { space, code, worker } = bench
    const ended = openCaptureDevice(space, code, worker, {
      name: 'ended',
      reader: openCapture(writeFile('a.pcap', [{}])),
    })
    const [near, far] = createLink(space, code, worker, 'wire')
    const engine = startEngine(
      space,
      code,
      worker,
      draw([receive(ended), discard('all')], [receive(far), discard('all too')]),
    )
    assert.deepEqual([engine.round(), engine.round(), ended.isAtEnd()], [1, 0, true])
    const woken = engine.wait(60_000).then(() => 'woken')
    assert.equal(await Promise.race([woken, setTimeout(20, 'asleep')]), 'asleep')
    const bundle = bench.bundle('other')
    bench.fill(bundle, [new Uint8Array(60)])
    near.send(bundle)
    near.flush()
    assert.equal(await woken, 'woken')
    assert.equal(engine.round(), 1)
    engine.close()
    for (const device of [ended, near, far]) device.close()
  })

  it('count what no frame holds, and wait where there is no frame now', () => {
    const path = writeFile('a.pcap', [{ data: new Uint8Array(65_500) }, {}, {}, {}])
    const small = openBench({ 2048: 2 })
    const device = openCaptureDevice(small.space, small.code, small.worker, { name: 'few', reader: openCapture(path) })
    const arrived = small.bundle('arrived')
    assert.equal(device.receive(arrived, 64), 2)
    assert.equal(device.statistics().drops['too long'], 1)
    assert.equal(device.receive(arrived, 64), 0)
    assert.equal(device.isAtEnd(), false)
    small.empty(arrived)
    assert.equal(device.receive(arrived, 64), 1)
    small.empty(arrived)
    assert.equal(device.isAtEnd(), true)
    device.close()
    assert.equal(small.inUse(), 0)
  })

  it('say why nothing more is written, and throw nothing', () => {
    const { space, code, worker } = bench
    const writer = createCapture('/dev/full', FIELDS)
    const device = openCaptureDevice(space, code, worker, { name: 'full', writer, flushes: true })
    const bundle = bench.bundle('full')
    bench.fill(bundle, [new Uint8Array(60), new Uint8Array(60)])
    assert.equal(device.send(bundle), 2)
    device.flush()
    assert.match(String(device.error()), /writing packets to \/dev\/full failed \(ENOSPC\); make room/)
    bench.fill(bundle, [new Uint8Array(60)])
    assert.equal(device.send(bundle), 0)
    bench.empty(bundle)
    device.close()
  })
})
