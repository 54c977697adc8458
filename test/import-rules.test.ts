import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('../../scripts/import-rules.mjs', import.meta.url))

/** What the check says of a source tree that holds these files. */
function verdictOn(files: Readonly<Record<string, string>>): { status: number | null; faults: string[] } {
  const root = mkdtempSync(join(tmpdir(), 'sluice-rules-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true })
      writeFileSync(join(root, name), text)
    }
    const { status, stderr } = spawnSync(process.execPath, [SCRIPT, root], { encoding: 'utf8' })
    return { status, faults: stderr.trim().split('\n').filter(Boolean) }
  } finally {
    rmSync(root, { recursive: true })
  }
}

test('what the design allows passes', () => {
  const verdict = verdictOn({
    'kernel/syscall.ts': "import koffi from 'koffi'\nimport { constants } from 'node:os'\n",
    'loader/load.ts': "import { a } from '../kernel/index.js'\nimport { b } from '../ebpf/index.js'\n",
    'compile.ts': "import { c } from './ir/index.js'\n",
    'filter/parser.ts': "import { d } from './lexer.js'\n",
    'filter/parser.test.ts': "import { e } from '../loader/load.js'\n",
  })
  assert.deepEqual(verdict, { status: 0, faults: [] })
})

test('a forbidden import is named with its file, line and rule', () => {
  const { status, faults } = verdictOn({
    'filter/parser.ts': "\nimport type { a } from '../kernel/index.js'\n",
    'device/xdp.ts': "export { b } from '../loader/index.js'\n",
    'ir/lower.ts': "const c = await import('../codegen/index.js')\n",
    'lab/network.ts': "import koffi from 'koffi'\n",
    'hut/door.ts': "import { d } from '../filter/index.js'\n",
    'ebpf/index.ts': "import { e } from '../compile.js'\n",
  })
  assert.equal(status, 1)
  const expected = [
    /device\/xdp\.ts:1: device may not import loader/,
    /ebpf\/index\.ts:1: ebpf may not import compile/,
    /filter\/parser\.ts:2: filter may not import kernel/,
    /hut\/door\.ts:1: hut is no room of the design/,
    /ir\/lower\.ts:1: ir may not import codegen/,
    /lab\/network\.ts:1: only src\/kernel may import koffi/,
  ]
  assert.equal(faults.length, expected.length, faults.join('\n'))
  expected.forEach((pattern, index) => {
    assert.match(faults[index]!, pattern)
  })
})

test('other spellings of an import are seen as well', () => {
  const { faults } = verdictOn({
    'cli/main.ts': "const version = require('sluice/package.json')\nconst ok = await import(`../control/index.js`)\n",
    'filter/a.ts': "import { a } from 'sluice/kernel'\n",
    'filter/b.ts': "import { a } from 'sluice'\n",
    'ir/a.ts': "const koffi = createRequire(import.meta.url)('koffi')\nconst k = require('koffi')\n",
    'ir/b.ts': 'const c = await import(`../codegen/index.js`)\n',
    'ir/c.ts': `const c = await import(\`../\${room}/index.js\`)\n`,
    'ir/d.ts': 'const c = await import(path)\n',
  })
  const expected = [
    /filter\/a\.ts:1: filter may not import kernel/,
    /filter\/b\.ts:1: filter may not import index/,
    /ir\/a\.ts:1: only src\/kernel may import koffi/,
    /ir\/a\.ts:2: only src\/kernel may import koffi/,
    /ir\/b\.ts:1: ir may not import codegen/,
    /ir\/c\.ts:1: .*computed cannot be checked/,
    /ir\/d\.ts:1: .*computed cannot be checked/,
  ]
  assert.equal(faults.length, expected.length, faults.join('\n'))
  expected.forEach((pattern, index) => {
    assert.match(faults[index]!, pattern)
  })
})
