import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { type EngineBench, openBench } from '../../test/support/engine.js'
import { type PcapngPacket, type PlacedBlock, pcapngBlocks, randomPcapng } from '../../test/support/pcapng-blocks.js'
import { type Random, seededRandom } from '../../test/support/random.js'
import { skipUnless } from '../../test/support/require.js'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
} from '../memory/index.js'
import { type Capture, CaptureError, type CaptureWriter } from './capture.js'
import { openCaptureDevice } from './capture-device.js'
import { openCapture } from './open-capture.js'
import { createCapture, createCopy } from './pcap-writer.js'

let folder: string
let bench: EngineBench
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  bench = openBench({ 512: 64, 2048: 64, 524288: 4 })
})
afterEach(() => {
  rmSync(folder, { recursive: true })
  assert.equal(bench.inUse(), 0)
})

function file(name: string, ...parts: readonly Uint8Array[]): string {
  const path = join(folder, name)
  writeFileSync(path, Buffer.concat(parts))
  return path
}

/** Everything from a reader to a writer, in bundles of 7, with what happens to each of them on the way. */
function copy(reader: Capture, writer: CaptureWriter, change: (bundle: number) => void = () => {}): void {
  const { space, code, worker } = bench
  const source = openCaptureDevice(space, code, worker, { name: 'source', reader })
  const target = openCaptureDevice(space, code, worker, { name: 'target', writer })
  const bundle = space.reserve({ name: 'test copied', kind: 'bundle', bytes: BUNDLE_BYTES }).offset
  while (source.receive(bundle, 7) > 0) {
    change(bundle)
    target.send(bundle)
  }
  for (const device of [source, target]) {
    device.close()
    assert.equal(device.error(), null)
  }
  space.free('test copied')
}

/** As `copy`, without a device. */
function copyPackets(reader: Capture, to: string): void {
  const writer = createCopy(to, reader)
  for (const packet of reader.packets()) writer.write(packet)
  writer.finish()
}

/** A file copied by `copy`, as it comes out. */
function copied(path: string, change?: (bundle: number) => void): Buffer {
  const reader = openCapture(path, { whole: true })
  const to = join(folder, 'out')
  copy(reader, createCopy(to, reader), change)
  return readFileSync(to)
}

const descriptorOf = (bundle: number, index: number) => bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES

/** Gives the frame of a packet of the bundle back. */
function drop(bundle: number, index: number): void {
  const { words } = bench.space
  const [descriptor, count] = [descriptorOf(bundle, index), words[bundle / 4]!]
  bench.worker.give(descriptor, 1)
  words.copyWithin(descriptor / 4, (descriptor + DESCRIPTOR_BYTES) / 4, descriptorOf(bundle, count) / 4)
  words[bundle / 4] = count - 1
}

/** Appends a copy of a packet of the bundle. */
function double(bundle: number, index: number): void {
  assert.equal(bench.code.find('poolCopy')(bench.worker.address, descriptorOf(bundle, index), bundle), 1)
}

/** Changes some packets of a bundle, drops others, and gives the blocks that these ought to become. */
function disturb(random: Random, bundle: number, blocks: readonly PlacedBlock[]): (Buffer | null)[] {
  const { words, bytes } = bench.space
  let index = 0
  return blocks.map((placed) => {
    const packet = placed.packet!
    const what = random.below(5)
    if (what === 0) {
      drop(bundle, index)
      return null
    }
    const descriptor = descriptorOf(bundle, index++)
    const at = words[(descriptor + DESCRIPTOR_ADDRESS) / 4]!
    let changed: PcapngPacket = packet
    if (what === 1 && packet.data.length > 0) {
      bytes[at]! ^= 0xff
      changed = { ...packet, data: bytes.slice(at, at + packet.data.length) }
    }
    if (what === 2 && packet.form !== 'simple') {
      const length = random.below(300)
      words[(descriptor + DESCRIPTOR_CAPTURED) / 4] = length
      words[(descriptor + DESCRIPTOR_WIRE) / 4] = length + 1
      const padding = length === packet.data.length ? packet.padding : 0
      changed = { ...packet, data: bytes.slice(at, at + length), wireLength: length + 1, padding }
    }
    return placed.blocks.packet(changed)
  })
}

describe('pcapng that is written again', () => {
  it('is the same, but for packets that were dropped or changed', (context) => {
    const random = seededRandom(context, 'capture-copy')
    for (let turn = 0; turn < 200; turn++) {
      const blocks = randomPcapng(random)
      const path = file('in', ...blocks.map(({ bytes }) => bytes))
      assert.deepEqual(copied(path), readFileSync(path))
      const packets = blocks.filter(({ packet }) => packet !== null)
      const expected = new Map<PlacedBlock, Buffer | null>()
      const result = copied(path, (bundle) => {
        const those = packets.splice(0, bench.count(bundle))
        const became = disturb(random, bundle, those)
        for (const [index, placed] of those.entries()) expected.set(placed, became[index]!)
      })
      const wanted = blocks.map((placed) => (placed.packet === null ? placed.bytes : expected.get(placed)!))
      assert.deepEqual(result, Buffer.concat(wanted.filter((bytes) => bytes !== null)))
    }
  })

  const { section, description, packet, block, words, option } = pcapngBlocks(false)
  const nanoseconds = option(9, Uint8Array.of(9))
  const comment = option(1, Buffer.from('seen'))
  const PACKET: PcapngPacket = {
    form: 'enhanced',
    interfaceNumber: 0,
    drops: 0,
    time: [0, 1_500_000_000],
    data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    wireLength: 60,
    padding: 0,
    options: [],
  }
  /** As interfaces of our own are. */
  const own = description(1, 65_535, option(9, Uint8Array.of(9)), words(0))
  const [first, second] = [description(1, 65_535, nanoseconds), description(1, 65_535, nanoseconds, comment)]

  it('is packed and unpacked', () => {
    const bytes = Buffer.concat([section(comment), first, packet(PACKET), block(0xbad)])
    const reader = openCapture(file('in.gz', gzipSync(bytes)), { whole: true })
    const to = join(folder, 'out.gz')
    copy(reader, createCopy(to, reader))
    assert.deepEqual(gunzipSync(readFileSync(to)), bytes)
  })

  it('has an interface more for copies, behind which others have other numbers', {
    skip: skipUnless('tcpdump'),
  }, () => {
    const noted = { ...PACKET, options: [comment] }
    const [obsolete, simple] = (['obsolete', 'simple'] as const).map((form) => ({ ...PACKET, form, wireLength: 15 }))
    const path = file(
      'in',
      ...[section(), first, packet(noted), second, packet({ ...noted, interfaceNumber: 1 })],
      ...[packet({ ...obsolete!, interfaceNumber: 1 }), packet(simple!), block(5, words(1, 2, 3))],
    )
    let isFirst = true
    const result = copied(path, (bundle) => {
      if (isFirst) {
        double(bundle, 0)
        // The copy comes second.
        const last = bench.count(bundle) - 1
        const { words: memory } = bench.space
        const [from, to] = [descriptorOf(bundle, last) / 4, descriptorOf(bundle, 1) / 4]
        const descriptor = memory.slice(from, from + DESCRIPTOR_BYTES / 4)
        memory.copyWithin(to + DESCRIPTOR_BYTES / 4, to, from)
        memory.set(descriptor, to)
      }
      isFirst = false
    })
    assert.deepEqual(
      result,
      Buffer.concat([
        ...[section(), first, packet(noted), own, packet({ ...PACKET, interfaceNumber: 1 })],
        ...[second, packet({ ...noted, interfaceNumber: 2 }), packet({ ...obsolete!, interfaceNumber: 2 })],
        ...[packet(simple!), block(5, words(2, 2, 3))],
      ]),
    )
    const print = execFileSync('tcpdump', ['-r', join(folder, 'out'), '-tt', '-nn', '--nano'], { stdio: 'pipe' })
    assert.equal(String(print).match(/^1\.500000000 /gm)?.length, 4)
  })

  it('has packets that come late in the section that is being written', () => {
    const parts = [section(), first, packet(PACKET), section(comment), second, packet(PACKET)]
    const result = copied(file('in', ...parts), (bundle) => {
      // Both change places.
      const { words: memory } = bench.space
      const [one, other] = [descriptorOf(bundle, 0) / 4, descriptorOf(bundle, 1) / 4]
      const descriptor = memory.slice(one, other)
      memory.copyWithin(one, other, other + DESCRIPTOR_BYTES / 4)
      memory.set(descriptor, other)
    })
    const late = [own, packet({ ...PACKET, interfaceNumber: 1 })]
    assert.deepEqual(result, Buffer.concat([section(), first, section(comment), second, packet(PACKET), ...late]))
  })

  it('keeps what it can of a simple packet that has become shorter', () => {
    const simple = { ...PACKET, form: 'simple', wireLength: 15 } as const
    const result = copied(file('in', section(), first, packet(simple)), (bundle) => {
      bench.space.words[(descriptorOf(bundle, 0) + DESCRIPTOR_CAPTURED) / 4] = 8
    })
    const data = PACKET.data.subarray(0, 8)
    const shorter = packet({ ...PACKET, data, wireLength: 15, time: [0, 0], interfaceNumber: 1 })
    assert.deepEqual(result, Buffer.concat([section(), first, own, shorter]))
  })

  it('is read to its end only where it was opened whole, when its interfaces differ', () => {
    const path = file('in', section(), first, packet(PACKET), description(101, 65_535), packet(PACKET))
    for (const [whole, packets] of [
      [true, 2],
      [false, 1],
    ] as const) {
      const reader = openCapture(path, { whole })
      assert.equal([...reader.packets()].length, packets)
      assert.equal(reader.error === null, whole)
    }
  })

  it('may have no interface', () => {
    const path = file('in', section(comment), block(0xbad, words(1, 2)))
    assert.deepEqual(copied(path), readFileSync(path))
    assert.throws(() => openCapture(path), /without an interface description/)
  })

  it('is written again once for each time it is opened', () => {
    const path = file('in', section(), first, packet(PACKET))
    const reader = openCapture(path, { whole: true })
    const writers = [createCopy(join(folder, 'out'), reader)]
    assert.throws(() => createCopy(join(folder, 'other'), reader), /open it twice/)
    copy(reader, writers[0]!)
    assert.deepEqual(readFileSync(join(folder, 'out')), readFileSync(path))
  })

  it('ends where it breaks, with all that stands before', (context) => {
    const random = seededRandom(context, 'capture-copy')
    const to = join(folder, 'out')
    for (let turn = 0; turn < 500; turn++) {
      const blocks = randomPcapng(random).map(({ bytes }) => bytes)
      const all = Buffer.concat(blocks)
      const cut = random.below(all.length)
      const ends = blocks.map((_, index) => blocks.slice(0, index + 1).reduce((sum, { length }) => sum + length, 0))
      const whole = ends.findLast((end) => end <= cut) ?? 0
      const path = file('in', all.subarray(0, cut))
      const firstInterface = blocks.findIndex((bytes) => [bytes.readUInt32LE(0), bytes.readUInt32BE(0)].includes(1))
      if (whole < cut && (firstInterface < 0 || ends[firstInterface]! > cut)) {
        assert.throws(() => openCapture(path, { whole: true }), CaptureError)
        continue
      }
      if (cut === 0) continue
      const reader = openCapture(path, { whole: true })
      copyPackets(reader, to)
      assert.equal(reader.error === null, whole === cut)
      assert.deepEqual(readFileSync(to), all.subarray(0, whole))
    }
  })

  it('throws nothing but that a file is broken, whatever is in it', (context) => {
    const random = seededRandom(context, 'capture-copy')
    for (let turn = 0; turn < 1000; turn++) {
      const bytes = Buffer.concat(randomPcapng(random).map((placed) => placed.bytes))
      for (let changes = 1 + random.below(4); changes > 0; changes--)
        bytes[random.below(bytes.length)] = random.pick([0, 0xff, random.below(256)])
      try {
        copyPackets(openCapture(file('in', bytes), { whole: true }), join(folder, 'out'))
      } catch (error) {
        assert.ok(error instanceof CaptureError, String(error))
      }
    }
  })
})

describe('pcap that is written again', () => {
  const words = (...values: readonly number[]) => pcapngBlocks(true).words(...values)
  const header = (magic: number, snapLength: number) => words(magic, 0x0004_0002, 0, 0, snapLength, 1)
  const BYTES = Uint8Array.from({ length: 40 }, (_, index) => index)

  it('has what lies beyond its snapshot length, which stages do not see', () => {
    const path = file('in', header(0xa1b2c3d4, 16), words(1, 2, 40, 60), BYTES, words(3, 4, 8, 8), BYTES.subarray(0, 8))
    const seen: number[] = []
    const result = copied(path, (bundle) => seen.push(...bench.read(bundle).map(({ length }) => length)))
    assert.deepEqual(seen, [16, 8])
    assert.deepEqual(result, readFileSync(path))
  })

  it('has no more of a packet than what it was cut to', () => {
    const path = file('in', header(0xa1b2c3d4, 16), words(1, 2, 40, 60), BYTES)
    const result = copied(path, (bundle) => {
      bench.space.words[(descriptorOf(bundle, 0) + DESCRIPTOR_CAPTURED) / 4] = 12
    })
    assert.deepEqual(result, Buffer.concat([header(0xa1b2c3d4, 16), words(1, 2, 12, 60), BYTES.subarray(0, 12)]))
  })

  it('has longer record headers where the file has', () => {
    const more = words(7, 0x0800_0102)
    const path = file('in', header(0xa1b2cd34, 96), words(1, 2, 40, 60), more, BYTES)
    assert.deepEqual(copied(path), readFileSync(path))
    const doubled = copied(path, (bundle) => double(bundle, 0))
    const record = [words(1, 2, 40, 60), words(0, 0), BYTES]
    assert.deepEqual(doubled, Buffer.concat([readFileSync(path), ...record]))
  })

  it('has the longest packet that libpcap reads', () => {
    const longest = Buffer.alloc(262_144, 7)
    const path = file('in', header(0xa1b2c3d4, 262_144), words(1, 2, longest.length, longest.length), longest)
    assert.deepEqual(copied(path), readFileSync(path))
  })

  it('is asked for: another writer cuts, and a file that was not opened whole is refused', () => {
    const path = file('in', header(0xa1b2c3d4, 16), words(1, 2, 40, 60), BYTES)
    const reader = openCapture(path, { whole: true })
    const to = join(folder, 'out')
    copy(reader, createCapture(to, reader))
    assert.deepEqual(readFileSync(to).subarray(24), Buffer.concat([words(1, 2, 16, 60), BYTES.subarray(0, 16)]))
    const other = openCapture(path)
    assert.throws(() => createCopy(to, other), /cannot be written again; open it with whole: true/)
    other.close()
  })
})
