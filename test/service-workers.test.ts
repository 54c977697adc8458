import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { StageRate } from '../src/control/service/rates.js'
import type { TracedPacket } from '../src/control/service/trace.js'
import type { Region } from '../src/memory/index.js'
import { runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { RUN_DIRECTORY } from './support/run-directory.js'
import { run } from './support/served-policy.js'

const PROGRAM = fileURLToPath(new URL('./support/served-workers.js', import.meta.url))

describe('workers in threads that are served', () => {
  let program: ReturnType<typeof startCommand>

  before(async () => {
    program = startCommand([process.execPath, PROGRAM])
    let said = ''
    program.stdout!.on('data', (text) => {
      said += text
    })
    program.stderr!.pipe(process.stderr)
    await eventually('the program serves', () => said.includes('serving'), 20_000)
  })

  after(endChildren)

  it('are named by status, with what their memory is used for', () => {
    const { services } = JSON.parse(run('status', '--json'))
    assert.deepEqual(
      services.map(({ pid, name, kind, devices }: Record<string, unknown>) => [pid, name, kind, devices]),
      [[program.pid, 'two workers', 'engine', []]],
    )
    const [{ memory }] = JSON.parse(run('status', '--memory', '--json')).services
    const names = memory.regions.map(({ name }: { name: string }) => name)
    for (const name of [
      'ring front to back',
      'worker front',
      'front: ring end to back',
      'back: flow images',
      'front: seen 0 counters',
    ])
      assert.ok(names.includes(name), `${name} is not among ${names}`)
    assert.match(run('status', '--memory'), /two workers \d+: \d+ bytes\n(.*\n)*.* worker +worker back\n.* back: /)
  })

  it('show the stages of each in top, with rates and times', async () => {
    let stages: readonly StageRate[] = []
    await eventually('packets pass all of them', () => {
      stages = (JSON.parse(run('top', '--json')) as { stages: StageRate[] }).stages
      return stages.every(({ packetsPerSecond }) => packetsPerSecond > 0)
    })
    assert.deepEqual(
      stages.map(({ engine, stage }) => `${engine}: ${stage}`),
      ['front: seen', 'front: send to back', 'back: kind', 'back: unwanted', 'back: rest', 'back: done'],
    )
    for (const { packetsPerBundle, nanosecondsPerPacket } of stages)
      assert.ok(packetsPerBundle! >= 1 && nanosecondsPerPacket! > 0)
    const rate = (name: string) => stages.find(({ stage }) => stage === name)!.dropsPerSecond
    assert.ok(rate('unwanted')['not wanted']! > 0)
    assert.match(
      run('top', '--once'),
      /^two workers \d+\n.*\n│ stage .*\n(.*\n)*│ front: seen .*\n(.*\n)*│ back: kind /,
    )
  })

  it('are traced from where packets come in, through the ring, to where they end', () => {
    const begin = '[0-9a-f]{120,128}'
    const wayOf = (number: number, bytes: number, steps: string) =>
      `${number}: ${bytes} bytes from from main: ${begin}\n` +
      ' {3}front: seen ─ out ─▶ send to back\n {3}front: send to back: sent\n' +
      steps
    const first = ' {3}back: kind ─ matched ─▶ unwanted\n {3}back: unwanted: dropped, not wanted\n'
    const other = ' {3}back: kind ─ rest ─▶ rest\n {3}back: rest ─ out ─▶ done\n {3}back: done: dropped, done\n'
    assert.match(
      run('trace', 'udp src port 4001', '--limit', '2'),
      new RegExp(`^${wayOf(1, 60, first)}${wayOf(2, 60, first)}$`),
    )
    assert.match(run('trace', 'greater 61', '--limit', '1'), new RegExp(`^${wayOf(1, 67, other)}$`))
    assert.equal(run('trace', 'tcp', '--for', '1s'), '')
    const { packets } = JSON.parse(run('trace', 'udp', '--limit', '40', '--json'))
    assert.deepEqual(
      packets.map(({ number }: TracedPacket) => number),
      Array.from({ length: 40 }, (_, index) => index + 1),
    )
    for (const { steps } of packets as TracedPacket[]) {
      assert.deepEqual([...new Set(steps.map(({ worker }) => worker))], ['front', 'back'])
      assert.equal(steps.at(-1)!.went, 'dropped')
    }
    const faulty = runCli(['trace', 'icpm'])
    assert.equal(faulty.status, 2)
    assert.match(faulty.stderr, /\n {2}icpm\n {2}\^{4}\n/)
  })

  it('are captured at an edge of either, into what tcpdump reads', { skip: skipUnless('tcpdump') }, () => {
    const path = join(RUN_DIRECTORY, 'edge.pcapng')
    const read = () => execFileSync('tcpdump', ['-n', '-r', path], { encoding: 'utf8', stdio: 'pipe' })
    const report = run('capture', 'back: kind.matched', '-w', path, '--limit', '20', '--json')
    assert.deepEqual(
      { ...JSON.parse(report), id: '' },
      { id: '', devices: [], edge: 'back: kind.matched', packets: 20, lost: 0 },
    )
    assert.match(read(), /^(.* IP 192\.0\.2\.1\.4001 > 192\.0\.2\.250\.9: UDP, length 18\n){20}$/)
    run('capture', 'front: receive from main', 'udp src port 4002', '-w', path, '--limit', '3')
    assert.match(read(), /^(.* IP 192\.0\.2\.2\.4002 > 192\.0\.2\.250\.9: UDP, length 25\n){3}$/)
    const lost = runCli(['capture', 'front: kind.matched', '-w', path])
    assert.equal(lost.status, 2)
    assert.match(
      lost.stderr,
      /no edge "front: kind.matched"; choose one of\n {2}front: receive from main\n {2}front: seen.out\n {2}back: receive from front\n/,
    )
  })

  it('are as they were before, when nobody looks any more', async () => {
    const regions = () =>
      JSON.parse(run('status', '--memory', '--json')).services[0].memory.regions.map(({ name }: Region) => name)
    await eventually('nothing of traces and captures is left', () => !/trace|capture/.test(regions().join()))
  })

  it('are shown on when one of them was ended, and count on', async () => {
    const kind = () => {
      const { stages } = JSON.parse(run('top', '--json')) as { stages: StageRate[] }
      return stages.find(({ stage }) => stage === 'kind')!
    }
    const before = kind()
    program.stdin!.write('back\n')
    await eventually('it runs again', () => kind().packetsPerSecond > 0, 20_000)
    const { packets, drops } = kind()
    assert.ok(packets > before.packets, `${packets} packets, and ${before.packets} before the end`)
    assert.deepEqual(Object.keys(drops), Object.keys(before.drops))
  })

  it('leave nothing when the program ends', async () => {
    program.kill('SIGTERM')
    const [status] = await once(program, 'close')
    assert.equal(status, 0)
    assert.equal(runCli(['status']).status, 1)
  })
})
