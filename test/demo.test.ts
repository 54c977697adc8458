import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeNetlink, listLinks, OWNER_VARIABLE, openRoute } from '../src/kernel/index.js'
import { runDemoInMemory } from '../src/lab/demo-in-memory.js'
import type { DemoEvent, DemoResult, Phase } from '../src/lab/demo-phase.js'
import { CLI } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { skipUnless } from './support/require.js'

/** What the demonstration says just before each moment; with no line to wait for it is still being set up. */
const MOMENTS: Readonly<Record<string, RegExp | null>> = {
  'while it is set up': null,
  'in the calm': /the network stands/,
  'in the flood': /^calm:/m,
  'under iptables': /^undefended:/m,
  'under the rule': /^iptables:/m,
  'while it recovers': /^defended:/m,
}
const FLOODED: readonly (RegExp | null)[] = ['in the flood', 'under iptables', 'under the rule'].map(
  (moment) => MOMENTS[moment]!,
)

const byName = (phases: readonly Phase[], name: string) => phases.find((phase) => phase.name === name)!

describe('the demonstration in memory', () => {
  test('the rule drops the flood and nothing of the service', async () => {
    const events: DemoEvent[] = []
    const result = await runDemoInMemory({ seconds: 2, packetsPerSecond: 0, onEvent: (event) => events.push(event) })
    assert.deepEqual(
      result.phases.map(({ name }) => name),
      ['calm', 'undefended', 'defended', 'recovered'],
    )
    const [undefended, defended] = [byName(result.phases, 'undefended'), byName(result.phases, 'defended')]
    assert.ok(undefended.service.failed > undefended.service.requests / 2, 'without the rule the ring overflows')
    assert.ok(undefended.flood.ringLoss > 0)
    assert.equal(defended.rule!.dropped, defended.flood.reached)
    assert.equal(defended.rule!.serviceDropped, 0)
    assert.equal(defended.service.failed, 0)
    assert.ok(defended.flood.reached > 1000)
    assert.ok(result.notes.some((note) => /sudo/.test(note)))
    assert.ok(events.some(({ kind }) => kind === 'progress'))
  })
})

describe('the demonstration on real devices', { skip: skipUnless('root', 'ip', 'iptables', 'bpftool') }, () => {
  test('accounts for every packet', async (t) => {
    const child = spawn(process.execPath, [CLI, 'demo', '--json', '--seconds', '6'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const output: string[] = []
    child.stdout.on('data', (chunk) => output.push(String(chunk)))
    const [status] = await once(child, 'close')
    assert.equal(status, 0)
    const result = JSON.parse(output.join('')) as DemoResult
    assert.equal(result.on, 'veth')
    assert.deepEqual(
      result.phases.map(({ name }) => name),
      ['calm', 'undefended', 'iptables', 'defended', 'recovered'],
    )
    for (const { flood, name } of result.phases) assert.equal(flood.sent, flood.reached + flood.ringLoss, name)
    for (const name of ['iptables', 'defended']) {
      const { rule, flood } = byName(result.phases, name)
      assert.equal(rule!.dropped, flood.reached, `${name}: dropped by the rule = reached it`)
      assert.equal(rule!.serviceDropped, name === 'defended' ? 0 : null)
      assert.ok(flood.sent > 10_000, `${name}: a flood of ${flood.sent}`)
    }
    assert.ok(byName(result.phases, 'undefended').flood.ringLoss > 0, 'without defence the ring overflows')
    // A machine that stands still for two seconds answers nobody.
    const { requests, failed } = byName(result.phases, 'calm').service
    assert.ok(requests > 0 && failed <= requests / 20, `${failed} of ${requests} failed in the calm`)
    const { offeredPps, ringLoss, sent } = byName(result.phases, 'defended').flood
    t.diagnostic(`${offeredPps} packets a second, ring loss ${((100 * ringLoss) / sent).toFixed(3)} %`)
  })

  for (const [moment, afterLine] of Object.entries(MOMENTS)) {
    test(`killed ${moment} it leaves nothing behind`, () => endsWithoutTraces('SIGKILL', afterLine))
  }

  test('Ctrl-C in the flood ends it with nothing left', () => endsWithoutTraces('SIGINT', MOMENTS['in the flood']!))
})

async function endsWithoutTraces(signal: NodeJS.Signals, afterLine: RegExp | null): Promise<void> {
  const devices = hostDevices()
  const child = spawn(process.execPath, [CLI, 'demo', '--seconds', '6'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  if (afterLine === null) await sleep(150)
  else await lineOf(child.stderr, afterLine)
  // That of the flood, or of the rule.
  if (FLOODED.includes(afterLine)) await eventually('a program is loaded', () => programsOf(child.pid!).length > 0)
  const programs = programsOf(child.pid!)
  if (afterLine !== null) assert.notDeepEqual(childrenOf(child.pid!), [], 'it was running when it was ended')
  child.kill(signal)
  await ended
  await eventually('no process is left', () => childrenOf(child.pid!).length === 0)
  await eventually('no receive thread is left', () => receiveThreadsOf(child.pid!).length === 0)
  await eventually('no program is left', () => !loadedPrograms().some((id) => programs.includes(id)))
  assert.deepEqual(hostDevices(), devices)
}

function lineOf(stream: Readable, wanted: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    stream.on('data', (chunk) => {
      text += chunk
      if (wanted.test(text)) resolve()
    })
    stream.on('end', () => reject(new Error(`ended before ${wanted}: ${text}`)))
  })
}

function hostDevices(): string[] {
  const route = openRoute()
  try {
    return listLinks(route).map(({ name }) => name)
  } finally {
    closeNetlink(route)
  }
}

const processes = () => readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))

function readProcess(pid: string | number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

/** Lab processes that carry the mark of this owner. */
const childrenOf = (owner: number) =>
  processes().filter((pid) => readProcess(pid, 'environ').includes(`${OWNER_VARIABLE}=${owner}:`))

/** Kernel threads of the owner's devices, whose names end with its number. */
const receiveThreadsOf = (owner: number) =>
  processes().filter((pid) => readProcess(pid, 'comm').startsWith(`napi/victim-${(owner * 8).toString(36)}`))

/** Ids of the programs that the owner's processes hold open. */
function programsOf(owner: number): string[] {
  return [owner, ...childrenOf(owner)].flatMap((pid) => {
    return openFiles(pid).flatMap((fd) => /^prog_id:\s+(\d+)$/m.exec(readProcess(pid, `fdinfo/${fd}`))?.[1] ?? [])
  })
}

/** None of a process that has ended. */
function openFiles(pid: string | number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fdinfo`)
  } catch {
    return []
  }
}

/** Ids of every program in the kernel. */
function loadedPrograms(): string[] {
  const listing = execFileSync('bpftool', ['--json', 'prog', 'show'], { encoding: 'utf8' })
  return (JSON.parse(listing) as { id: number }[]).map(({ id }) => String(id))
}
