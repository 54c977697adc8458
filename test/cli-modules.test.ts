import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

/** What stands behind `import … from`, `import` or `export … from` of a module that the compiler has written. */
const IMPORT = /^(?:import|export)\s(?:[^'"]*\sfrom\s)?\s*['"]([^'"]+)['"]/gm

/** The packages that a module loads before it runs, itself or by others; Node's own are left out. */
function packagesBehind(start: URL): string[] {
  const modules = new Set([start.href])
  const packages = new Set<string>()
  for (const module of modules) {
    for (const [, target] of readFileSync(new URL(module), 'utf8').matchAll(IMPORT)) {
      if (target!.startsWith('.')) modules.add(new URL(target!, module).href)
      else if (!target!.startsWith('node:')) packages.add(target!)
    }
  }
  return [...packages].sort()
}

describe('the modules of a command', () => {
  it('of drop, for which a flood goes on, are none of YAML and of schemas; protect has them', () => {
    const command = (name: string) => packagesBehind(new URL(`../src/cli/${name}.js`, import.meta.url))
    assert.deepEqual(command('drop'), ['commander', 'koffi'])
    assert.deepEqual(command('protect'), ['cli-table3', 'commander', 'koffi', 'yaml', 'zod'])
  })
})
