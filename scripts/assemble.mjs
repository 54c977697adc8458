/**
 * Compiles the AssemblyScript of `src/` (`*.as.ts`; files `*.inline.as.ts` only through what imports them) to one
 * module over imported memory, twice: `engine.wasm`, and `engine-checked.wasm`, which checks who owns a frame.
 *
 *     node scripts/assemble.mjs FOLDER
 */
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { main } from 'assemblyscript/asc'
import { ROOT } from './prepare.mjs'

/** Raw memory only: no runtime, no data, nothing at an address that the layout does not know of. */
const OPTIONS = [
  ...['--runtime', 'stub', '--use', 'abort=', '--importMemory', '--sharedMemory', '--noExportMemory'],
  ...['--initialMemory', '1', '--maximumMemory', '65536', '--optimizeLevel', '3', '--converge'],
  ...['--enable', 'simd', '--enable', 'threads', '--enable', 'bulk-memory'],
]
const BUILDS = { 'engine.wasm': ['--noAssert'], 'engine-checked.wasm': ['--debug'] }

const folder = process.argv[2]
const entries = readdirSync(join(ROOT, 'src'), { recursive: true })
  .filter((file) => file.endsWith('.as.ts') && !file.endsWith('.inline.as.ts'))
  .map((file) => join('src', file))
  .sort()
for (const [name, options] of Object.entries(BUILDS)) {
  const out = ['--baseDir', ROOT, '--outFile', relative(ROOT, join(ROOT, folder, name))]
  const { error, stderr } = await main([...entries, ...out, ...OPTIONS, ...options])
  if (error === null) continue
  process.stderr.write(stderr.toString())
  process.exit(1)
}
