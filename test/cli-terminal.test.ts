import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { setFeatures, writeSysctl } from '../src/kernel/index.js'
import { CLI } from './support/cli.js'
import { eventually } from './support/eventually.js'
import { inside } from './support/joined-namespaces.js'
import { endChildren, startCommand } from './support/protecting.js'
import { skipUnless } from './support/require.js'
import { createRoutedNetwork, type RoutedNetwork } from './support/routed-network.js'
import { RUN_DIRECTORY } from './support/run-directory.js'
import { runIn } from './support/run-in.js'

/** What each is asked to do for longer than the test, and what it has in the kernel while it does. */
const COMMANDS = {
  route: { args: ['route', 'left', 'right', '--json'], holds: /prog\/xdp/ },
  'route --in-driver': { args: ['route', 'left', 'right', '--in-driver', '--json'], holds: /prog\/xdp/ },
  bridge: { args: ['bridge', 'left', 'right', '--json'], holds: /prog\/xdp/ },
  drop: { args: ['drop', 'udp port 9', '--on', 'left', '--json'], holds: /prog\/xdp/ },
  protect: { args: ['protect', 'left', '--policy', 'policy.yaml', '--json'], holds: /prog\/xdp/ },
  generate: {
    args: [
      'generate',
      'udp',
      '--on',
      'left',
      '--to',
      '192.0.1.2',
      '--confirm',
      '192.0.1.2',
      '--to-mac',
      '02:00:00:00:00:21',
      '--rate',
      '10',
      '--for',
      '1m',
      '--json',
    ],
    holds: /^/,
  },
}

describe('a terminal that closes', { skip: skipUnless('root', 'ip') }, () => {
  let network: RoutedNetwork
  let folder: string

  before(async () => {
    network = createRoutedNetwork()
    for (const family of ['ipv4/conf/all', 'ipv6/conf/all']) writeSysctl(network.router, `${family}/forwarding`, 1)
    // Else the router's own program would have nobody at the other end to send to, with --in-driver.
    for (const host of network.hosts) setFeatures('eth0', { 'rx-gro': true }, host)
    folder = mkdtempSync(join(RUN_DIRECTORY, 'terminal-'))
    writeFileSync(join(folder, 'policy.yaml'), 'rules:\n  - { name: discard, match: udp port 9, action: drop }\n')
    // The kernel's own work at new devices, which ip shows, may come late.
    await eventually('both devices are up', async () => (await links()).match(/ state UP /g)?.length === 2)
  })

  afterEach(endChildren)

  after(() => {
    network.close()
    rmSync(folder, { recursive: true })
  })

  const written = (name: string): string => {
    try {
      return readFileSync(join(folder, name), 'utf8')
    } catch {
      return ''
    }
  }

  /** What the namespace of the router has at its devices. */
  const links = async () => (await runIn(network.router, ['ip', '-details', 'link'])).stdout

  /**
   * A terminal with a shell that is ended when it closes, as one that somebody has logged in by; below it `words`, with
   * `to` behind, and a shell that outlives it and writes down how they ended. `close` closes the terminal, where they have
   * `said` what has not gone elsewhere.
   */
  function startInTerminal(name: string, words: readonly string[], to: string): { said(): string; close(): void } {
    for (const ending of ['status', 'out', 'pid']) rmSync(join(folder, `${name}.${ending}`), { force: true })
    const quoted = words.map((word) => `'${word}'`).join(' ')
    writeFileSync(
      join(folder, `${name}.sh`),
      `trap : HUP\nsh -c 'echo $$ > ${name}.pid; exec "$@"' - ${quoted} ${to}\necho $? > ${name}.status\n`,
    )
    const own = `cd ${folder} && sh ${name}.sh; true`
    const terminal = startCommand([...inside(network.router), 'script', '--quiet', '--command', own, '/dev/null'])
    let said = ''
    terminal.stdout!.on('data', (data) => {
      said += data
    })
    return { said: () => said, close: () => terminal.kill('SIGKILL') }
  }

  /** Waits until a command has said something that matches. */
  const saysOn = async (file: string, said: RegExp) => {
    await eventually(`${file} says ${said}`, () => said.test(written(`${file}.err`))).catch((error) =>
      assert.fail(`${error.message}; it said: ${written(`${file}.err`)} ${written(`${file}.out`)}`),
    )
  }

  const statusOf = async (name: string) => {
    await eventually(`${name} has ended`, () => written(`${name}.status`).endsWith('\n'))
    return Number(written(`${name}.status`))
  }

  /** The process itself, or its child where a shell waits for it. */
  const commandBelow = (pid: number): number => {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return child === '' ? pid : Number(child)
  }

  for (const [name, { args, holds }] of Object.entries(COMMANDS)) {
    test(`ends ${name} as SIGTERM does, with the totals, and nothing is left`, async () => {
      const clean = await links()
      const file = name.replaceAll(' ', '-')
      const terminal = startInTerminal(file, [process.execPath, CLI, ...args], `> ${file}.out 2> ${file}.err`)
      await saysOn(file, /^\d+s: |0\.\ds: /m)
      assert.match(await links(), holds)
      terminal.close()
      assert.equal(await statusOf(file), 0, written(`${file}.err`))
      assert.equal(JSON.parse(written(`${file}.out`)).endedBy, 'SIGHUP')
      assert.equal(await links(), clean)
    })
  }

  test('is no error for what would still be written to it', async () => {
    const terminal = startInTerminal('untold', [process.execPath, CLI, ...COMMANDS.route.args], '')
    await eventually('it routes', () => terminal.said().includes('routing between'))
    terminal.close()
    assert.equal(await statusOf('untold'), 0)
  })

  for (const [how, start] of Object.entries({
    'under nohup': ['nohup'],
    'under nohup with nothing to read': ['bash', '-c', 'nohup "$@" < /dev/null; exit $?', '-'],
    'below a script that ignores SIGHUP': ['sh', '-c', 'trap "" HUP; "$@"; exit $?', '-'],
  })) {
    test(`does not end a command ${how}`, async () => {
      const file = how.replaceAll(' ', '-')
      const words = [...start, process.execPath, CLI, ...COMMANDS.drop.args]
      const terminal = startInTerminal(file, words, `> ${file}.out 2> ${file}.err`)
      await saysOn(file, /^\d+s: /m)
      const pid = commandBelow(Number(written(`${file}.pid`)))
      terminal.close()
      // The kernel has told all of the session by then: the shell below the terminal is gone.
      const lines = () => written(`${file}.err`).split('\n').length
      const before = lines()
      await eventually('it goes on', () => lines() > before + 2)
      assert.match(await links(), COMMANDS.drop.holds)
      process.kill(pid, 'SIGTERM')
      await eventually('it has ended', () => written(`${file}.out`).endsWith('\n'))
      assert.equal(JSON.parse(written(`${file}.out`)).endedBy, 'SIGTERM')
      await statusOf(file)
    })
  }
})
