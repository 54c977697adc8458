import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { compileRule } from '../src/compile.js'
import { prepare, XDP } from '../src/ebpf/index.js'
import { mapId, readStatistics, withNamespace } from '../src/kernel/index.js'
import { nextMessage } from '../src/lab/child.js'
import { type FloodGenerator, openFloodGenerator } from '../src/lab/flood.js'
import { type FloodSpec, floodTemplate, sealFloodFrame } from '../src/lab/flood-frame.js'
import type { FloodReport } from '../src/lab/flood-orders.js'
import { FLOOD_MAP, FLOOD_STATE, floodProgram } from '../src/lab/flood-program.js'
import { createNetwork, type LabNetwork } from '../src/lab/network.js'
import { loadProgram } from '../src/loader/index.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'

const FLOOD_PROCESS = new URL('../src/lab/flood-process.js', import.meta.url)

const SPEC: FloodSpec = {
  kind: 'syn',
  sourceMac: '02:00:00:00:00:01',
  destinationMac: '02:00:00:00:00:02',
  destination: '203.0.113.2',
  port: 8080,
  sources: { address: '198.18.0.0', length: 15 },
  bytes: { least: 60, most: 60 },
}
const VARIANTS: Record<string, FloodSpec> = {
  'SYNs of the smallest size': SPEC,
  'SYNs of mixed sizes': { ...SPEC, bytes: { least: 60, most: 300 } },
  'UDP of the smallest size': { ...SPEC, kind: 'udp' },
  'UDP of mixed sizes, odd ones too': { ...SPEC, kind: 'udp', bytes: { least: 61, most: 1514 } },
}

describe('the generator’s program, interpreted', () => {
  for (const [name, spec] of Object.entries(VARIANTS)) {
    test(`makes of ${name} what the plain twin makes`, () => {
      const machine = prepare(floodProgram(spec))
      const sizes = new Set<number>()
      for (let n = 0; n < 200; n++) {
        const outcome = machine.run(floodTemplate(spec))
        assert.equal(outcome.kind === 'return' && outcome.value, XDP.tx)
        const frame = machine.frame().slice()
        sizes.add(frame.length)
        assert.deepEqual(frame, twin(spec, frame))
        assert.equal((frame[26]! << 8) | (frame[27]! & 0xfe), (198 << 8) | 18, 'the source is in 198.18.0.0/15')
      }
      assert.equal(sizes.size > 1, spec.bytes.least !== spec.bytes.most)
    })
  }

  test('counts what it sends', () => {
    const machine = prepare(floodProgram(SPEC))
    for (let n = 0; n < 5; n++) machine.run(floodTemplate(SPEC))
    const state = machine.maps.get(FLOOD_MAP)!.lookup(new Uint8Array(4))!
    const view = new DataView(state.buffer, state.byteOffset)
    assert.equal(view.getBigUint64(FLOOD_STATE.sent, true), 5n)
    assert.equal(view.getBigUint64(FLOOD_STATE.bytes, true), 300n)
  })

  test('refuses sizes that no frame has', () => {
    assert.throws(() => floodProgram({ ...SPEC, bytes: { least: 20, most: 60 } }), /60 to 1514/)
  })
})

/** The same draw, written by the plain TypeScript twin. */
function twin(spec: FloodSpec, sent: Uint8Array): Uint8Array {
  const view = new DataView(sent.buffer, sent.byteOffset)
  const frame = floodTemplate(spec).slice(0, sent.length)
  sealFloodFrame(spec.kind, frame, {
    source: view.getUint32(26),
    port: view.getUint16(34),
    sequence: view.getUint32(38),
  })
  return frame
}

describe('a flood of live frames', { skip: skipUnless('root', 'ip', 'tcpdump') }, () => {
  let network: LabNetwork
  let child: ChildProcess
  let generator: FloodGenerator
  const specOf = (spec: FloodSpec): FloodSpec => ({
    ...spec,
    sourceMac: network.router.towardsVictim.mac,
    destinationMac: network.victim.device.mac,
  })
  const start = (spec: FloodSpec, packetsPerSecond: number, seconds: number) =>
    generator.start({
      spec: specOf(spec),
      interfaceIndex: network.router.towardsVictim.index,
      packetsPerSecond,
      seconds,
    })

  before(async () => {
    network = createNetwork()
    child = network.spawn(network.router, FLOOD_PROCESS)
    generator = await openFloodGenerator(child)
  })
  after(() => network.close())

  for (const [name, spec] of Object.entries(VARIANTS)) {
    test(`${name}: tcpdump finds every checksum right`, async () => {
      const { namespace, device } = network.victim
      const args = ['-i', device.name, '-c', '50', '-nn', '-vv', '-Q', 'in', '-l', 'src net 198.18.0.0/15']
      const tcpdump = withNamespace(namespace, () => spawn('tcpdump', args, { stdio: ['ignore', 'pipe', 'pipe'] }))
      const text: string[] = []
      tcpdump.stdout.on('data', (chunk) => text.push(String(chunk)))
      let said = ''
      tcpdump.stderr.on('data', (chunk) => {
        said += chunk
      })
      await eventually('tcpdump listens', () => said.includes('listening on'))
      const ended = once(tcpdump, 'close')
      start(spec, 2000, 5)
      await ended
      await generator.stop()
      const output = text.join('')
      const checked = spec.kind === 'syn' ? /cksum 0x[0-9a-f]+ \(correct\)/g : /\[udp sum ok\]/g
      assert.equal(output.match(checked)?.length, 50, output.slice(0, 2000))
      assert.doesNotMatch(output, /bad cksum|incorrect|bad length/)
    })
  }

  /** Frames that the driver was given, by its own count. */
  const count = () => {
    const statistics = readStatistics(network.router.towardsVictim.name, network.router.namespace)
    return (statistics.get('tx_queue_0_xdp_xmit') ?? 0) + (statistics.get('tx_queue_0_xdp_xmit_errors') ?? 0)
  }

  test('every frame it counts either reached the victim or found its ring full', async () => {
    const before = count()
    start(SPEC, 1_000_000, 5)
    await eventually('a flood', () => count() - before > 10_000)
    const { sent } = await generator.stop()
    assert.equal(count() - before, sent)
  })

  test('it holds back from a victim that stands still, but only one packet in 16', async () => {
    // A counter that never moves, as that of a program on a core that does not run.
    const still = loadProgram(compileRule({ match: '', action: 'drop' }).program)
    const { fd, spec } = still.maps.get('rule_counters')!
    const { valueBytes, maxEntries } = spec
    const interfaceIndex = network.router.towardsVictim.index
    const consumer = { mapId: mapId(fd), cpu: 0, valueBytes, maxEntries }
    const before = count()
    generator.start({ spec: specOf(SPEC), interfaceIndex, packetsPerSecond: 500_000, seconds: 5, consumer })
    await eventually('a flood', () => count() - before > 10_000)
    const { sent, heldBack } = await generator.stop()
    still.close()
    assert.ok(heldBack > sent / 32 && heldBack <= sent / 16 + 1, `${heldBack} held back beside ${sent} sent`)
  })

  test('ends by itself at its bound', async () => {
    const report = nextMessage<FloodReport>(child, 'report')
    start(SPEC, 5000, 0.2)
    const { sent, elapsedMs } = await report
    assert.ok(sent > 0 && elapsedMs >= 200, `${sent} packets in ${elapsedMs} ms`)
    await generator.stop()
  })
})
