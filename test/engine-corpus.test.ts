import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import {
  type Capture,
  type CapturedPacket,
  type CaptureWriter,
  createCapture,
  createPcapng,
  openCapture,
  openCaptureDevice,
} from '../src/device/index.js'
import { draw, receive, type Stage, send, startEngine } from '../src/engine/index.js'
import * as stages from '../src/stages/index.js'
import { captureOf } from './support/capture-row.js'
import { type EngineBench, openBench } from './support/engine.js'
import { type Random, seededRandom } from './support/random.js'
import { CORPUS, skipUnless } from './support/require.js'
import { stageMakers } from './support/stage-makers.js'

/** Frames for the longest packets of the corpus, and for what GRO merges. */
const POOL = { 512: 512, 2048: 1024, 65536: 64 }
/** Mutated packets for each stage; SLUICE_PACKETS sets another number. */
const FUZZED = Number(process.env['SLUICE_PACKETS'] ?? 20_000)

/** How many files cannot come out the same, by the reason. */
const NOT_THE_SAME: Readonly<Record<string, number>> = {
  'a packet is longer than any frame': 13,
  'records are longer than the snapshot length, and are cut to it as libpcap does': 23,
}

function whyNotSame(file: Buffer, { snapLength }: Capture, tooLong: number): string {
  if (tooLong > 0) return 'a packet is longer than any frame'
  const isLittleEndian = [0xa1b2c3d4, 0xa1b23c4d].includes(file.readUInt32LE(0))
  for (let at = 24; at + 16 <= file.length; ) {
    const captured = isLittleEndian ? file.readUInt32LE(at + 8) : file.readUInt32BE(at + 8)
    if (captured > snapLength) return 'records are longer than the snapshot length, and are cut to it as libpcap does'
    at += 16 + captured
  }
  return 'nobody knows why'
}

interface Listed {
  readonly file: string
  readonly open_error?: string
}

/** Takes all packets of a capture through stages, one behind the other, to an end or a writer; gives what the device counted. */
function takeThrough(bench: EngineBench, reader: Capture, line: readonly Stage[], writer?: CaptureWriter) {
  const { space, code, worker } = bench
  const source = openCaptureDevice(space, code, worker, { name: 'source', reader })
  const target = writer && openCaptureDevice(space, code, worker, { name: 'target', writer })
  const end = target ? send(target) : stages.discard('end')
  const last = line.at(-1)!
  const whole = last.outputs.length === 0 ? line : [...line, end]
  const others = last.outputs.slice(1).map((output) => [`stage.${output}`, stages.discard(`to ${output}`)] as const)
  const engine = startEngine(space, code, worker, draw([receive(source), ...whole], ...others))
  while (engine.round() > 0) {}
  assert.equal(source.isAtEnd(), true)
  const statistics = engine.statistics()
  engine.close()
  for (const device of [source, target]) device?.close()
  assert.equal(bench.inUse(), 0, 'every frame is back in the pool')
  const { lastFrame: _, ...faults } = bench.pool.faults()
  assert.deepEqual(faults, { foreign: 0, doubleFree: 0, useAfterFree: 0, writeAfterFree: 0 })
  return { device: source.statistics(), stages: statistics }
}

/** A packet of the corpus with some bytes changed, cut, or lengthened. */
function mutate(random: Random, { data, wireLength, ...time }: CapturedPacket): CapturedPacket {
  const bytes = Uint8Array.from(data.subarray(0, random.below(4) === 0 ? random.below(data.length + 1) : data.length))
  for (let changes = random.below(6); changes > 0 && bytes.length > 0; changes--) {
    // Headers more often than what they carry.
    const at = random.below(random.below(2) === 0 ? Math.min(64, bytes.length) : bytes.length)
    bytes[at] = random.pick([0, 0xff, 0x45, random.below(256), bytes[at]! ^ (1 << random.below(8))])
  }
  return { data: bytes, wireLength: random.below(3) === 0 ? bytes.length : wireLength, ...time }
}

describe('captures of the corpus through the engine', { skip: skipUnless('corpus') }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  const captures = (JSON.parse(readFileSync(`${CORPUS}captures.json`, 'utf8')) as Listed[])
    .filter(({ open_error }) => open_error === undefined)
    .map(({ file }) => file)
  after(() => rmSync(folder, { recursive: true }))

  function* corpusPackets(): Generator<CapturedPacket> {
    for (const file of captures) yield* openCapture(CORPUS + file).packets()
  }

  it('pcap comes out as it went in, byte for byte', (context) => {
    const bench = openBench(POOL)
    const path = join(folder, 'out')
    const others: Record<string, number> = {}
    let same = 0
    for (const file of captures) {
      const reader = openCapture(CORPUS + file)
      const { fileHeader, format } = reader
      if (format !== 'pcap') continue
      const writer = createCapture(path, { ...reader, fileHeader })
      const { device } = takeThrough(bench, reader, [stages.count('stage')], writer)
      const packed = readFileSync(CORPUS + file)
      const wanted = packed.readUInt16BE(0) === 0x1f8b ? gunzipSync(packed) : packed
      const got = readFileSync(path)
      // Of a file that breaks, what stands before the break.
      if (got.equals(reader.error === null ? wanted : wanted.subarray(0, got.length))) same++
      else {
        const reason = whyNotSame(wanted, reader, device.drops['too long']!)
        others[reason] = (others[reason] ?? 0) + 1
      }
    }
    context.diagnostic(`${same} files are the same, others: ${JSON.stringify(others)}`)
    assert.deepEqual(others, NOT_THE_SAME)
  })

  it('pcapng keeps every packet, length on the wire and time, and is a fixed point', () => {
    const bench = openBench(POOL)
    const [once, twice] = [join(folder, 'once'), join(folder, 'twice')]
    let files = 0
    for (const file of captures) {
      const reader = openCapture(CORPUS + file)
      if (reader.format !== 'pcapng') continue
      files++
      takeThrough(bench, reader, [stages.count('stage')], createPcapng(once, reader))
      const copied = openCapture(once)
      assert.deepEqual([...copied.packets()], [...openCapture(CORPUS + file).packets()], file)
      takeThrough(bench, openCapture(once), [stages.count('stage')], createPcapng(twice, reader))
      assert.ok(readFileSync(once).equals(readFileSync(twice)), file)
    }
    assert.ok(files > 200)
  })

  it('every stage that there is has its place in this test', () => {
    const there = Object.entries(stages).filter(([, exported]) => typeof exported === 'function')
    assert.deepEqual(Object.keys(stageMakers).sort(), there.map(([name]) => name).sort())
  })

  for (const [name, make] of Object.entries(stageMakers)) {
    it(`${name} takes every packet, and loses no frame`, (context) => {
      const bench = openBench(POOL)
      const { device } = takeThrough(bench, captureOf(corpusPackets()), make(bench))
      context.diagnostic(`${device.receivedPackets} packets, ${device.drops['too long']} longer than a frame`)
      assert.ok(device.receivedPackets > 100_000)
    })
  }

  it('stages take mutated packets, and lose no frame', (context) => {
    const random = seededRandom(context, 'engine-corpus')
    const packets = [...corpusPackets()].filter(({ data }) => data.length <= 1514)
    function* mutated() {
      for (let count = 0; count < FUZZED; count++) yield mutate(random, random.pick(packets))
    }
    for (const make of Object.values(stageMakers)) {
      const bench = openBench(POOL)
      takeThrough(bench, captureOf(mutated()), make(bench))
    }
    context.diagnostic(`${FUZZED} packets for each of ${Object.keys(stageMakers).length} stages`)
  })
})
