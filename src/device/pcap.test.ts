import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { CORPUS, skipUnless } from '../../test/support/require.js'
import { CaptureError } from './capture.js'
import { openCapture } from './open-capture.js'
import { createCapture } from './pcap-writer.js'

const folder = mkdtempSync(join(tmpdir(), 'sluice-capture-'))
after(() => rmSync(folder, { recursive: true }))

interface Variant {
  readonly littleEndian?: boolean
  readonly magic?: number
  readonly version?: readonly [number, number]
  readonly snapLength?: number
  readonly linkField?: number
}

/** Each record: the words of its header in file order, then the bytes. */
type Record = readonly [header: readonly number[], data: readonly number[]]

function pcapBytes(variant: Variant, records: readonly Record[]): Buffer {
  const { littleEndian = true, magic = 0xa1b2c3d4, version = [2, 4], snapLength = 100, linkField = 1 } = variant
  const u32 = (...values: number[]) =>
    Buffer.concat(
      values.map((value) => {
        const word = Buffer.alloc(4)
        littleEndian ? word.writeUInt32LE(value) : word.writeUInt32BE(value)
        return word
      }),
    )
  const versionWord = littleEndian ? version[0] | (version[1] << 16) : (version[0] << 16) | version[1]
  const parts = [u32(magic, versionWord >>> 0, 0, 0, snapLength, linkField)]
  for (const [header, data] of records) parts.push(u32(...header), Buffer.from(data))
  return Buffer.concat(parts)
}

let files = 0
function fileOf(bytes: Uint8Array): string {
  const path = join(folder, `${files++}.pcap`)
  writeFileSync(path, bytes)
  return path
}

function readAll(path: string) {
  const capture = openCapture(path)
  const packets = [...capture.packets()].map(({ data, ...rest }) => ({ data: [...data], ...rest }))
  return { packets, capture }
}

const ONE = [{ data: [7, 8, 9], wireLength: 60, seconds: 5, nanoseconds: 6000 }]

test('either byte order, micro- and nanoseconds', () => {
  for (const littleEndian of [true, false]) {
    assert.deepEqual(
      readAll(
        fileOf(
          pcapBytes({ littleEndian }, [
            [
              [5, 6, 3, 60],
              [7, 8, 9],
            ],
          ]),
        ),
      ).packets,
      ONE,
    )
    const nanoseconds = { littleEndian, magic: 0xa1b23c4d }
    const { packets, capture } = readAll(
      fileOf(
        pcapBytes(nanoseconds, [
          [
            [5, 6000, 3, 60],
            [7, 8, 9],
          ],
        ]),
      ),
    )
    assert.deepEqual(packets, ONE)
    assert.equal(capture.resolution, 'nanoseconds')
  }
})

test('old and modified formats: lengths in the other order, longer record headers', () => {
  const wireFirst: Record = [
    [5, 6, 60, 3],
    [7, 8, 9],
  ]
  const capturedFirst: Record = [
    [5, 6, 3, 60],
    [7, 8, 9],
  ]
  assert.deepEqual(readAll(fileOf(pcapBytes({ version: [2, 2] }, [wireFirst]))).packets, ONE)
  assert.deepEqual(readAll(fileOf(pcapBytes({ version: [543, 0] }, [wireFirst]))).packets, ONE)
  const either = readAll(fileOf(pcapBytes({ version: [2, 3] }, [wireFirst, capturedFirst]))).packets
  assert.deepEqual(either, [...ONE, ...ONE])
  const modified = readAll(
    fileOf(
      pcapBytes({ magic: 0xa1b2cd34 }, [
        [
          [5, 6, 3, 60, 2, 0x0800],
          [7, 8, 9],
        ],
      ]),
    ),
  )
  assert.deepEqual(modified.packets, ONE)
  assert.equal(modified.capture.snapLength, 114)
})

test('the link type is in the low bits; what exceeds the snapshot length is left out', () => {
  const { packets, capture } = readAll(
    fileOf(
      pcapBytes({ linkField: 0x2400_0065, snapLength: 2 }, [
        [
          [5, 6, 3, 60],
          [7, 8, 9],
        ],
      ]),
    ),
  )
  assert.equal(capture.linkType, 'RAW')
  assert.deepEqual(packets[0]?.data, [7, 8])
})

test('gzip is unpacked; cut-off and damaged gzip give the packets before the break', () => {
  const records = Array.from(
    { length: 4000 },
    (_, index): Record => [[index, 0, 8, 8], Array.from({ length: 8 }, (_, byte) => (index * 7919 * (byte + 1)) & 255)],
  )
  const packed = gzipSync(pcapBytes({}, records))
  assert.equal(readAll(fileOf(packed)).packets.length, 4000)
  const cut = readAll(fileOf(packed.subarray(0, packed.length >> 1)))
  assert.ok(cut.packets.length > 0 && cut.packets.length < 4000)
  assert.match(cut.capture.error?.message ?? '', /ends inside its gzip data, before packet \d+/)
  const damaged = Buffer.from(packed)
  damaged.fill(0xff, packed.length >> 1)
  const { packets, capture } = readAll(fileOf(damaged))
  assert.ok(packets.length < 4000)
  // Damage may unpack to rubbish for a while before zlib can notice: then the rubbish is what is named.
  assert.match(capture.error?.message ?? '', /damaged gzip data at byte \d+|is broken at packet \d+/)
})

test('a break is named after the packets before it', () => {
  const whole = pcapBytes({}, [
    [
      [5, 6, 3, 60],
      [7, 8, 9],
    ],
    [
      [5, 6, 3, 60],
      [7, 8, 9],
    ],
  ])
  for (const cut of [1, 3, 4, 18]) {
    const { packets, capture } = readAll(fileOf(whole.subarray(0, whole.length - cut)))
    assert.equal(packets.length, 1)
    assert.ok(capture.error instanceof CaptureError)
    assert.match(capture.error.message, /ends inside packet 2, byte \d+: \d+ of \d+ bytes are there/)
  }
  const claims = readAll(fileOf(pcapBytes({}, [[[0, 0, 0x7fff_ffff, 60], []]])))
  assert.match(claims.capture.error?.message ?? '', /packet 1, byte 24: it claims 2147483647 captured bytes/)
})

test('what is no capture is refused with the reason', () => {
  const refusals: [string, RegExp][] = [
    [join(folder, 'nowhere.pcap'), /no such file/],
    [folder, /it is a directory/],
    [fileOf(Buffer.from('')), /is not a capture file/],
    [fileOf(Buffer.from('some text of no use')), /is not a capture file/],
    [fileOf(pcapBytes({}, []).subarray(0, 20)), /ends inside its file header, 20 of 24 bytes/],
    [fileOf(pcapBytes({ version: [2, 5] }, [])), /version 2\.5/],
  ]
  for (const [path, message] of refusals) assert.throws(() => openCapture(path), { name: 'CaptureError', message })
})

test('packets stay valid while later ones are read', () => {
  const records = Array.from(
    { length: 3000 },
    (_, index): Record => [[index, 0, 1000, 1000], Array(1000).fill(index & 255)],
  )
  const packets = [...openCapture(fileOf(pcapBytes({ snapLength: 2000 }, records))).packets()]
  assert.equal(packets.length, 3000)
  packets.forEach(({ data }, index) => {
    assert.ok(data.length === 1000 && data.every((byte) => byte === (index & 255)))
  })
})

test('a written file is not there before it is finished, and leaves nothing when discarded', () => {
  const path = join(folder, 'out.pcap')
  const packet = { data: Uint8Array.of(1, 2), wireLength: 9, seconds: 3, nanoseconds: 4005 }
  const header = { linkTypeNumber: 1, snapLength: 50, resolution: 'microseconds' } as const
  const discarded = createCapture(path, header)
  discarded.write(packet)
  discarded.discard()
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('out')),
    [],
  )
  const writer = createCapture(path, header)
  writer.write(packet)
  assert.throws(() => openCapture(path), CaptureError)
  writer.finish()
  assert.deepEqual(readAll(path).packets, [{ data: [1, 2], wireLength: 9, seconds: 3, nanoseconds: 4000 }])
})

test('tcpdump prints the same of a rewritten capture, to the nanosecond', {
  skip: skipUnless('corpus', 'tcpdump'),
}, () => {
  const names = [
    'pcap/gopacket/pcap/test_dns.pcap',
    'pcap/gopacket/pcapgo/tests/be/test001.pcapng',
    'pcap/gopacket/pcapgo/tests/le/test007.pcapng',
    'pcap/pcapplusplus/Packet++Test/PacketExamples/gtp-u.pcap',
    ...nanosecondCaptures(),
  ]
  for (const name of names) {
    const capture = openCapture(CORPUS + name)
    const path = join(folder, 'rewritten.pcap')
    const writer = createCapture(path, { ...capture, resolution: 'nanoseconds' })
    for (const packet of capture.packets()) writer.write(packet)
    writer.finish()
    assert.equal(dump(path), dump(CORPUS + name), name)
  }
})

const HEADER = { linkTypeNumber: 1, snapLength: 100, resolution: 'nanoseconds' } as const

function write(path: string): void {
  const writer = createCapture(path, HEADER)
  try {
    writer.write({ data: Uint8Array.of(7, 8, 9), wireLength: 60, seconds: 5, nanoseconds: 6000 })
    writer.finish()
  } finally {
    writer.discard()
  }
}

test('a symbolic link is followed, also to a file that is not there yet, and permissions stay', () => {
  const target = join(folder, 'target.pcap')
  const link = join(folder, 'link.pcap')
  symlinkSync('target.pcap', link)
  write(link)
  assert.equal(readlinkSync(link), 'target.pcap')
  chmodSync(target, 0o600)
  write(link)
  assert.equal(lstatSync(target).mode & 0o777, 0o600)
  assert.equal(readAll(target).packets.length, 1)
})

test('what is no file is written to and stays what it is', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] })
  const read = buffer(reader.stdout)
  write(pipe)
  assert.ok(lstatSync(pipe).isFIFO())
  const file = join(folder, 'same.pcap')
  write(file)
  assert.deepEqual(await read, readFileSync(file))
})

test('a write that fails is one sentence and leaves nothing', () => {
  const before = readdirSync(folder)
  assert.throws(() => write(folder), { name: 'CaptureError', message: /it is a directory/ })
  assert.throws(() => write(join(folder, 'no/folder.pcap')), { name: 'CaptureError', message: /no such folder/ })
  assert.deepEqual(readdirSync(folder), before)
  const full = join(folder, 'full')
  symlinkSync('/dev/full', full)
  assert.throws(() => write(full), {
    name: 'CaptureWriteError',
    message: /writing packets to .*full failed \(ENOSPC\)/,
  })
})

test('a process that is killed while it writes leaves no file', async () => {
  const place = mkdtempSync(join(folder, 'killed-'))
  const module = new URL('./pcap-writer.js', import.meta.url).href
  const script = `
    const { createCapture } = await import('${module}')
    const writer = createCapture('${place}/out.pcap', ${JSON.stringify(HEADER)})
    const packet = { data: new Uint8Array(300_000), wireLength: 300_000, seconds: 0, nanoseconds: 0 }
    for (let packets = 0; packets < 3; packets++) writer.write(packet)
    console.log('written')
    setInterval(() => {}, 1000)`
  const writing = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(writing.stdout, 'data')
  writing.kill('SIGKILL')
  await once(writing, 'close')
  assert.deepEqual(readdirSync(place), [])
})

interface Listed {
  readonly file: string
  readonly packets?: number
  readonly read_error?: string
}

function nanosecondCaptures(): string[] {
  const captures = JSON.parse(readFileSync(`${CORPUS}captures.json`, 'utf8')) as Listed[]
  const found: string[] = []
  for (const { file, packets = 0, read_error } of captures) {
    if (packets === 0 || packets > 500 || read_error !== undefined) continue
    if (openedResolution(CORPUS + file) === 'nanoseconds') found.push(file)
    if (found.length === 5) break
  }
  assert.ok(found.length > 0, 'the corpus has captures with nanoseconds')
  return found
}

function openedResolution(path: string): string {
  const capture = openCapture(path)
  capture.close()
  return capture.resolution
}

function dump(path: string): string {
  const arguments_ = ['-r', path, '-nn', '-tt', '-xx', '--nano', '-q']
  return execFileSync('tcpdump', arguments_, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}
