/**
 * Puts the command line into few files, `dist/bin/`: Node takes about 0.3 ms to find, read and link a module, and the
 * two hundred of `sluice drop` took 80 ms in which a flood went on. Child processes are found beside the file that
 * starts them, so they are entries too.
 */
import { join } from 'node:path'
import { build } from 'esbuild'
import { ROOT } from './prepare.mjs'

const ENTRIES = [
  'cli/main',
  'control/router/router-plan',
  'kernel/process-preload',
  'lab/client-process',
  'lab/flood-process',
  'lab/service-process',
]

await build({
  entryPoints: ENTRIES.map((entry) => join(ROOT, 'dist', `${entry}.js`)),
  entryNames: '[name]',
  outdir: join(ROOT, 'dist/bin'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
})
