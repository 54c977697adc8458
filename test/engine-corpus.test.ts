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
  createCopy,
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
const POOL = { 512: 512, 2048: 1024, 65536: 64, 524288: 64 }
/** Mutated packets for each stage; SLUICE_PACKETS sets another number. */
const FUZZED = Number(process.env['SLUICE_PACKETS'] ?? 20_000)

/** What cannot be read to its end, by the end of its path: where reading ends, or that it does not begin. All else comes out the same. */
const DAMAGED: Readonly<Record<string, { readonly why: RegExp; readonly bytes: number }>> = {
  'libpcap/pcap-invalid-version-2.pcap': { why: /pcap version 2\.5, which nobody defines/, bytes: 0 },
  'libpcap/shb-option-too-long.pcapng': { why: /the two lengths of a block differ/, bytes: 0 },
  'tests/be/test901.pcapng': { why: /a section has version 2, only 1 is defined/, bytes: 480 },
  'tests/le/test901.pcapng': { why: /a section has version 2, only 1 is defined/, bytes: 480 },
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
  const listed = JSON.parse(readFileSync(`${CORPUS}captures.json`, 'utf8')) as Listed[]
  const captures = listed.filter(({ open_error }) => open_error === undefined).map(({ file }) => file)
  after(() => rmSync(folder, { recursive: true }))

  function* corpusPackets(): Generator<CapturedPacket> {
    for (const file of captures) yield* openCapture(CORPUS + file).packets()
  }

  it('every file comes out as it went in, byte for byte', (context) => {
    const bench = openBench(POOL)
    const path = join(folder, 'out')
    const same: Record<string, number> = {}
    for (const { file } of listed) {
      const damaged = Object.entries(DAMAGED).find(([end]) => file.endsWith(end))?.[1]
      const packed = readFileSync(CORPUS + file)
      const wanted = packed.readUInt16BE(0) === 0x1f8b ? gunzipSync(packed) : packed
      if (damaged?.bytes === 0) {
        assert.throws(() => openCapture(CORPUS + file, { whole: true }), damaged.why, file)
        continue
      }
      const reader = openCapture(CORPUS + file, { whole: true })
      const { device } = takeThrough(bench, reader, [stages.count('stage')], createCopy(path, reader))
      assert.equal(device.drops['too long'], 0, file)
      const got = readFileSync(path)
      if (damaged === undefined) {
        assert.equal(reader.error, null, file)
        assert.ok(got.equals(wanted), file)
        same[reader.format] = (same[reader.format] ?? 0) + 1
      } else {
        assert.match(String(reader.error), damaged.why, file)
        assert.equal(got.length, damaged.bytes, file)
        assert.ok(got.equals(wanted.subarray(0, got.length)), file)
      }
    }
    const whole = Object.values(same).reduce((sum, files) => sum + files, 0)
    context.diagnostic(`${whole} of ${listed.length} files are the same: ${JSON.stringify(same)}`)
    assert.equal(whole, listed.length - Object.keys(DAMAGED).length)
  })

  it('every stage that there is has its place in this test', () => {
    const there = Object.entries(stages).filter(([, exported]) => typeof exported === 'function')
    assert.deepEqual(Object.keys(stageMakers).sort(), there.map(([name]) => name).sort())
  })

  for (const [name, make] of Object.entries(stageMakers)) {
    it(`${name} takes every packet, and loses no frame`, (context) => {
      const bench = openBench(POOL)
      const { device } = takeThrough(bench, captureOf(corpusPackets()), make(bench))
      context.diagnostic(`${device.receivedPackets} packets`)
      assert.equal(device.drops['too long'], 0)
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
