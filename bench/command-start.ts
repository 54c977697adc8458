import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { printReport } from './report.js'
import { spreadOf } from './statistics.js'

/**
 * How long short commands take beyond Node's own start, in turn: as they are
 * installed, without the code that V8 has compiled before, and from the modules
 * that the compiler has made. `npm run bench -- first-drop` has `drop`.
 */

const ROUNDS = 9
const INSTALLED = fileURLToPath(new URL('../../dist/bin/sluice.cjs', import.meta.url))
const MODULES = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const WAYS = {
  command: { cli: INSTALLED, env: {} },
  withoutCode: { cli: INSTALLED, env: { SLUICE_CODE_CACHE: 'off' } },
  modules: { cli: MODULES, env: {} },
}
const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
const policy = join(folder, 'policy.yaml')
writeFileSync(policy, 'rules:\n  - { match: udp dst port 53, action: drop }\n')

const COMMANDS = {
  version: ['--version'],
  compile: ['compile', 'udp dst port 53'],
  // An empty file is a fault that is found after the reader has been loaded.
  match: ['match', 'udp dst port 53', '-r', '/dev/null'],
  status: ['status'],
  // Refused behind the policy's reader and schema, because there is no such device.
  protect: ['protect', 'no-such-device', '--policy', policy],
}

const beyondNode = new Map<string, number[]>()
for (let round = 0; round < ROUNDS; round++) {
  const node = time(['-e', ''], {})
  for (const [command, args] of Object.entries(COMMANDS)) {
    for (const [way, { cli, env }] of Object.entries(WAYS)) {
      const name = `${command} ${way}`
      beyondNode.set(name, [...(beyondNode.get(name) ?? []), time([cli, ...args], env) - node])
    }
  }
}
rmSync(folder, { recursive: true })

const rows = [...beyondNode].map(([what, milliseconds]) => {
  const { median, least, most } = spreadOf(milliseconds)
  return { what, 'median ms beyond node': median, 'least ms': least, 'most ms': most }
})
const medianOf = (command: string, way: keyof typeof WAYS) => spreadOf(beyondNode.get(`${command} ${way}`)!).median
const ratios = Object.keys(COMMANDS).map((command) => [
  `${command}ModulesPerCommand`,
  medianOf(command, 'modules') / medianOf(command, 'command'),
])
printReport({ name: 'command-start', rows, ratios: Object.fromEntries(ratios) })

function time(args: readonly string[], env: Readonly<Record<string, string>>): number {
  const start = performance.now()
  spawnSync(process.execPath, args, { stdio: 'ignore', env: { ...process.env, ...env } })
  return performance.now() - start
}
