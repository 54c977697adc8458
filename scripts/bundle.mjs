/**
 * Puts the command line into few files, `dist/bin/` (docs/decisions/0023-code-cache.md): Node takes about 0.3 ms to
 * find, read and link a module, and the two hundred of `sluice drop` took 80 ms in which a flood went on.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'
import { BUNDLES, WHOLE } from '../dist/cli/bundles.js'
import { ROOT } from './prepare.mjs'

const DIST = join(ROOT, 'dist')
const BIN = join(DIST, 'bin')

/** Child processes and the modules of threads, which are found beside the file that starts them. */
const PROCESSES = [
  'control/router/router-plan',
  'kernel/process-preload',
  'lab/client-process',
  'lab/flood-process',
  'lab/service-process',
]

/** Packages in bundles of their own, for commands that read policies or talk to services, with what is used of them. */
const PACKAGES = { yaml: importedFrom('yaml'), zod: importedFrom('zod') }

/** Modules of Node that are not there already when it has started, 1 to 5 ms each. */
const LATE_MODULES = ['child_process', 'crypto', 'dns/promises', 'http', 'net', 'os', 'tty', 'worker_threads', 'zlib']

const COMMON = { bundle: true, platform: 'node', target: 'node20', logLevel: 'warning' }

/** The folders of packages that stand in bundles. */
const packages = new Set()

await build({
  ...COMMON,
  entryPoints: PROCESSES.map((entry) => join(DIST, `${entry}.js`)),
  entryNames: '[name]',
  outdir: BIN,
  splitting: true,
  format: 'esm',
  packages: 'external',
})
await bundle(WHOLE, "import './main.js'")
for (const [name, commands] of Object.entries(BUNDLES)) await bundle(name, commandLineOf(commands))
for (const [name, used] of Object.entries(PACKAGES))
  await bundle(name, `export { ${used} } from '${name}'`, [englishOnly()])
await launcher()
writeFileSync(join(BIN, 'LICENSES'), licenses())
// Each leaves its code at its end; the last is refused when yaml and zod have been loaded.
for (const args of ['--version', 'drop --help', 'protect --help', 'compile --policy /dev/null']) {
  spawnSync(process.execPath, [join(BIN, 'sluice.cjs'), ...args.split(' ')], { stdio: 'ignore' })
}

/** Names that the modules import from a package. */
function importedFrom(name) {
  const list = new RegExp(`^import \\{([^}]+)\\} from '${name}'`, 'gm')
  const modules = readdirSync(DIST, { recursive: true }).filter(
    (file) => file.endsWith('.js') && !file.startsWith('bin/'),
  )
  const texts = modules.map((file) => readFileSync(join(DIST, file), 'utf8'))
  const imported = texts.flatMap((text) => [...text.matchAll(list)].flatMap(([, names]) => names.split(',')))
  return [...new Set(imported.map((each) => each.trim().split(' as ')[0]))].sort()
}

/** A program like src/cli/main.ts, in which other commands do not stand. */
function commandLineOf(commands) {
  const table = commands.map((name) => `${name}: async () => (await import('./${name}.js')).${name}Command()`)
  return `import { runCommandLine } from './command-line.js'\nvoid runCommandLine({ ${table.join(', ')} })`
}

/** One function, as `load` of src/cli/launch.ts runs it, behind the hash that its code is found by. */
async function bundle(name, contents, plugins = [lateModules(), atHome(), foreignFunctions()]) {
  const { outputFiles, metafile } = await build({
    ...COMMON,
    stdin: { contents, resolveDir: join(DIST, 'cli'), sourcefile: `bundle of ${name}` },
    format: 'cjs',
    external: ['@koromix/*', 'sluice/package.json'],
    define: { 'import.meta.url': '__url' },
    plugins,
    write: false,
    metafile: true,
  })
  for (const path of Object.keys(metafile.inputs)) packages.add(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0])
  const url = "const __installed = require, __url = require('node:url').pathToFileURL(__filename).href"
  const text = inAscii(outputFiles[0].text)
  const body = `(function (exports, require, module, __filename, __dirname, __load) { ${url};\n${text}})`
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 16)
  writeFileSync(join(BIN, `${name}.cjs`), `/* ${hash} */ ${body}\n`)
}

/** What esbuild leaves as it is, in regular expressions and templates, means the same there when it is escaped. */
function inAscii(text) {
  return text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Whose packages the bundles hold, as their licenses ask for. */
function licenses() {
  const folders = [...packages].filter((folder) => folder !== undefined).sort()
  return folders.map((folder) => `${folder.split('node_modules/').at(-1)}\n\n${licenseIn(folder)}\n`).join('\n')
}

function licenseIn(folder) {
  const file = readdirSync(join(ROOT, folder)).find((name) => /^licen[cs]e/i.test(name))
  if (file !== undefined) return readFileSync(join(ROOT, folder, file), 'utf8')
  return JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')).license
}

async function launcher() {
  const outfile = join(BIN, 'sluice.cjs')
  await build({
    ...COMMON,
    entryPoints: [join(DIST, 'cli/launch.js')],
    outfile,
    format: 'cjs',
    define: { 'import.meta.dirname': '__dirname', 'import.meta.filename': '__filename' },
    banner: { js: '#!/usr/bin/env node' },
  })
  chmodSync(outfile, 0o755)
}

/**
 * What a command may never need is loaded when one of its exports is first read, though the import stands at the top.
 * Only for modules that are used by name: of a CommonJS package the default would be this stand-in.
 */
function lateModules() {
  const late = [...LATE_MODULES.map((name) => `node:${name}`), ...Object.keys(PACKAGES), 'log-update']
  const fromDist = createRequire(join(DIST, 'cli/main.js'))
  return {
    name: 'late modules',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /./ }, ({ path, namespace, kind }) => {
        const name = LATE_MODULES.includes(path) ? `node:${path}` : path
        if (namespace === 'late' || kind === 'dynamic-import' || !late.includes(name)) return undefined
        return { path: name, namespace: 'late' }
      })
      onLoad({ filter: /./, namespace: 'late' }, async ({ path }) => {
        const names =
          PACKAGES[path] ?? Object.keys(await import(path.startsWith('node:') ? path : fromDist.resolve(path)))
        const real = path in PACKAGES ? `__load('${path}')` : `require('${path}')`
        const getters = names.map((name) => `get ${name}() { return ${real}.${name} }`)
        return { contents: `module.exports = { ${getters.join(', ')} }`, resolveDir: join(DIST, 'cli') }
      })
    },
  }
}

/** A module that threads load by its address is the file of its own in `dist/bin/`, also for who imports it. */
function atHome() {
  const names = PROCESSES.map((entry) => entry.split('/').at(-1)).join('|')
  return {
    name: 'modules at home',
    setup({ onLoad }) {
      onLoad({ filter: new RegExp(`/(${names})\\.js$`) }, ({ path }) => {
        const home = `new URL('./${path.split('/').at(-1)}', import.meta.url).href`
        return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', home) }
      })
    },
  }
}

/**
 * koffi stands in the bundle but for its binary: Node takes 3 ms to find the package and to compile it. Where the binary
 * is not found from here, because it lies in a folder of koffi's own, or is another version's, koffi itself is loaded.
 */
function foreignFunctions() {
  const contents = "try { module.exports = require('koffi') } catch { module.exports = __installed('koffi') }"
  return {
    name: 'foreign functions',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^koffi$/ }, ({ namespace }) =>
        namespace === 'koffi' ? undefined : { path: 'koffi', namespace: 'koffi' },
      )
      onLoad({ filter: /./, namespace: 'koffi' }, () => ({ contents, resolveDir: ROOT }))
    },
  }
}

/** zod brings its messages in fifty languages, 400 kB; ours are our own. */
function englishOnly() {
  return {
    name: 'English only',
    setup({ onResolve, resolve }) {
      onResolve({ filter: /locales\/index\.js$/ }, ({ importer, resolveDir, kind }) =>
        importer.includes('/zod/') ? resolve('../locales/en.js', { resolveDir, kind }) : undefined,
      )
    },
  }
}
