import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { StageRate } from '../src/control/service/rates.js'
import { runCli } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { endChildren, startCommand } from './support/protecting.js'

const PROGRAM = fileURLToPath(new URL('./support/served-workers.js', import.meta.url))

function run(...args: string[]): string {
  const { status, stdout, stderr } = runCli(args)
  assert.equal(status, 0, stderr)
  return stdout
}

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
      services.map(({ pid, name, kind, device }: Record<string, unknown>) => [pid, name, kind, device]),
      [[program.pid, 'two workers', 'engine', null]],
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

  it('show the stages of each in top, with rates and times', () => {
    const { stages } = JSON.parse(run('top', '--json')) as { stages: StageRate[] }
    assert.deepEqual(
      stages.map(({ engine, stage }) => `${engine}: ${stage}`),
      ['front: seen', 'front: send to back', 'back: kind', 'back: unwanted', 'back: rest', 'back: done'],
    )
    for (const { packetsPerSecond, packetsPerBundle, nanosecondsPerPacket } of stages)
      assert.ok(packetsPerSecond > 0 && packetsPerBundle! >= 1 && nanosecondsPerPacket! > 0)
    const rate = (name: string) => stages.find(({ stage }) => stage === name)!.dropsPerSecond
    assert.ok(rate('unwanted')['not wanted']! > 0)
    assert.match(
      run('top', '--once'),
      /^two workers \d+\n.*\n│ stage .*\n(.*\n)*│ front: seen .*\n(.*\n)*│ back: kind /,
    )
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
