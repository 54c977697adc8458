import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { openBench } from '../../../test/support/engine.js'
import { eventually } from '../../../test/support/eventually.js'
import { skipUnless } from '../../../test/support/require.js'
import '../../../test/support/run-directory.js'
import { createLink } from '../../device/index.js'
import { draw, type Engine, printTrace, receive, send, startEngine } from '../../engine/index.js'
import { count, discard, divide } from '../../stages/index.js'
import { connectTo, findServices, type ServiceConnection } from './ask.js'
import { createCapturedFile } from './captured-file.js'
import { serveEngine } from './engine-service.js'
import type { ControlSocket } from './listen.js'

/** An engine over a link in memory: packets of an even length are discarded, the others sent back. */
function openEngine() {
  const bench = openBench()
  const { space, code, worker } = bench
  const [near, far] = createLink(space, code, worker, 'wire')
  const isEven = (descriptors: number, packets: number, verdicts: number) => {
    for (let index = 0; index < packets; index++)
      space.words[verdicts / 4 + index] = bench.wireLength(descriptors, index) % 2 === 0 ? 0 : 0xffffffff
  }
  const graph = draw(
    [receive(far), divide('even', isEven), count('odd'), send(far)],
    ['even.matched', discard('discard')],
  )
  const engine = startEngine(space, code, worker, graph, { bundle: 8 })
  const bundle = bench.bundle('given')
  return {
    space,
    engine,
    graph,
    /** Sends packets, lets the engine work, and takes what comes back. */
    round(packets: readonly Uint8Array[]) {
      bench.fill(bundle, packets)
      near.send(bundle)
      near.flush()
      while (engine.round() > 0);
      while (near.receive(bundle, 64) > 0) bench.empty(bundle)
    },
    inUse: bench.inUse,
    close() {
      engine.close()
      near.close()
      far.close()
    },
  }
}

/** An IPv4 packet of so many bytes. */
function packet(bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes)
  frame.set([0x08, 0x00, 0x45], 12)
  return frame
}

describe('an engine that is served', () => {
  const open: { close(): void }[] = []

  afterEach(() => {
    for (const each of open.splice(0)) each.close()
  })

  async function serve(
    name: string,
    { space, engine }: { space: Parameters<typeof serveEngine>[0]['space']; engine: Engine },
  ) {
    const control: ControlSocket = await serveEngine({ name, space, engine })
    const connection: ServiceConnection = connectTo(control)
    open.push(connection, control)
    return { control, connection }
  }

  it('tells its stages and its memory, and is measured while somebody watches', async () => {
    const rig = openEngine()
    open.push(rig)
    const { control, connection } = await serve('test', rig)
    rig.round([packet(60), packet(61)])
    const look = async () => (await connection.ask({ do: 'stages' }))[0]!
    const before = await look()
    assert.deepEqual(
      [before.name, before.stages.map(({ name, packets }) => [name, packets])],
      [
        'test',
        [
          ['even', 2],
          ['discard', 1],
          ['odd', 1],
          ['send wire b', 1],
        ],
      ],
    )
    assert.ok(before.stages.every(({ nanosecondsPerPacket }) => nanosecondsPerPacket === null))
    assert.deepEqual(await connection.ask({ do: 'memory' }), rig.space.layout())
    const watcher = connectTo(control)
    await watcher.ask({ do: 'watch' })
    rig.round([packet(61)])
    const watched = (await look()).stages[0]!.nanosecondsPerPacket
    assert.ok(watched !== null && watched > 0)
    // Nobody told the engine that the watcher has gone but its connection.
    watcher.close()
    await eventually('it is measured no more', () => {
      const seen = rig.engine.statistics()[0]!.nanosecondsPerPacket
      rig.round([packet(61)])
      return rig.engine.statistics()[0]!.nanosecondsPerPacket === seen
    })
    assert.equal(rig.inUse(), 0)
  })

  it('is one of several in its process, each with a socket', async () => {
    const [first, second] = [openEngine(), openEngine()]
    open.push(first, second)
    const one = await serve('one', first)
    const other = await serve('other', second)
    assert.deepEqual([one.control.id, other.control.id], [`${process.pid}`, `${process.pid}.2`])
    const { found } = await findServices({ process: `${process.pid}` })
    assert.deepEqual(
      found.map(({ place, status }) => [place.id, status.name, status.dropped]),
      [
        [`${process.pid}`, 'one', 0],
        [`${process.pid}.2`, 'other', 0],
      ],
    )
    assert.equal((await findServices({ process: `${process.pid}.2` })).found[0]!.status.name, 'other')
  })

  it('follows packets through its graph, for one connection at a time', async () => {
    const rig = openEngine()
    open.push(rig)
    const { connection, control } = await serve('test', rig)
    rig.round([packet(60)])
    await connection.ask({ do: 'trace', expression: 'ip and greater 61', limit: 3 })
    await assert.rejects(
      (async () => {
        const other = connectTo(control)
        open.push(other)
        await other.ask({ do: 'trace', expression: 'ip', limit: 1 })
      })(),
      /another trace is at work here/,
    )
    rig.round([packet(60), packet(61), packet(62)])
    rig.round([packet(63), packet(65)])
    const { packets, isDone } = await connection.ask({ do: 'traced' })
    assert.ok(isDone)
    const begin = Buffer.from(packet(61)).toString('hex')
    assert.equal(
      printTrace(packets[0]!),
      `1: 61 bytes from wire b: ${begin}
   even ─ rest ─▶ odd
   odd ─ out ─▶ send wire b
   send wire b: sent
`,
    )
    const ways = packets.map(({ steps }) => steps.map((step) => `${step.stage} ${step.went}`).join(', '))
    assert.deepEqual(ways, [
      'even output, odd output, send wire b sent',
      'even output, discard dropped',
      'even output, odd output, send wire b sent',
    ])
    connection.close()
    const again = connectTo(control)
    open.push(again)
    await eventually('the trace is gone', () =>
      again.ask({ do: 'trace', expression: 'ip', limit: 1 }).then(
        () => true,
        () => false,
      ),
    )
    const [even] = rig.engine.statistics()
    assert.deepEqual([even!.name, even!.packets], ['even', 6])
    assert.equal(rig.inUse(), 0)
  })

  it('copies what passes an edge, for as long as the connection lasts, into what tcpdump reads', {
    skip: skipUnless('tcpdump'),
  }, async () => {
    const rig = openEngine()
    open.push(rig)
    const { connection, control } = await serve('test', rig)
    const layout = rig.space.layout()
    const all = { do: 'capture', expression: null, limit: null } as const
    await assert.rejects(
      connection.ask({ ...all, edge: 'even.other' }),
      /no edge "even.other"; choose one of\n {2}receive wire b\n {2}even.rest\n {2}odd.out\n {2}even.matched$/,
    )
    await assert.rejects(connection.ask({ ...all, edge: 'matched' }), /choose one of\n {2}even.matched$/)
    await assert.rejects(connection.ask({ ...all, edge: 'odd.out', expression: 'ipp' }), /\^/)
    assert.deepEqual(rig.space.layout(), layout)
    await connection.ask({ ...all, edge: 'even.rest', expression: 'ip and less 70', limit: 3 })
    const other = connectTo(control)
    open.push(other)
    await other.ask({ ...all, edge: 'receive wire b' })
    rig.round([60, 61, 62, 63, 81].map(packet))
    // A graph without the edge of one of them, and back.
    rig.engine.change(draw([receive(rig.graph.sources[0]!.device), discard('end')]))
    rig.engine.change(rig.graph)
    rig.round([65, 67].map(packet))
    const captured = await connection.ask({ do: 'captured' })
    assert.deepEqual([captured.isDone, captured.lost, captured.packets.length], [true, 0, 3])
    const path = join(mkdtempSync(join(tmpdir(), 'sluice-')), 'edge.pcapng')
    const file = createCapturedFile(path)
    file.write(captured.packets)
    file.close()
    const lines = execFileSync('tcpdump', ['-e', '-n', '-r', path], { encoding: 'utf8', stdio: 'pipe' })
      .trim()
      .split('\n')
    assert.deepEqual(
      lines.map((line) => /length (\d+)/.exec(line)![1]),
      ['61', '63', '65'],
    )
    rmSync(dirname(path), { recursive: true })
    const whole = await other.ask({ do: 'captured' })
    assert.deepEqual(
      [whole.isDone, whole.packets.map(({ wireLength }) => wireLength)],
      [false, [60, 61, 62, 63, 81, 65, 67]],
    )
    other.close()
    connection.close()
    await eventually('the taps are gone', () => rig.space.layout().regions.length === layout.regions.length)
    assert.equal(rig.inUse(), 0)
  })
})
