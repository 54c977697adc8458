/**
 * Installs and builds what is missing, and nothing twice. All that it says
 * goes to standard error, so that commands keep standard output to themselves.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TSC = 'node_modules/typescript/bin/tsc'

/** What each build is made from, and where it goes; the stamp there holds the hash of the former. */
const BUILDS = {
  dist: {
    project: 'tsconfig.json',
    sources: ['src', 'scripts/assemble.mjs', 'scripts/bundle.mjs'],
    compiled: 'src',
    assembled: 'dist',
    bundler: 'scripts/bundle.mjs',
  },
  build: {
    project: 'tsconfig.test.json',
    sources: ['src', 'test', 'bench', 'examples', 'scripts/assemble.mjs'],
    compiled: '.',
    assembled: 'build/src',
  },
}
const SHARED_SOURCES = ['tsconfig.json', 'tsconfig.test.json', 'package.json', 'package-lock.json']

/**
 * Makes `dist/`, and with `tests` the tree `build/` that tests and benchmarks run from; examples there import the
 * package by its name, which is `dist/`. Throws where a step fails.
 */
export function prepare({ tests = false } = {}) {
  install()
  build('dist')
  if (tests) build('build')
}

function install() {
  if (isInstalled()) return
  // Not `npm ci`: it refuses a lock file that leaves out packages for platforms other than Linux. `--no-save` keeps
  // the lock file as it is; NODE_ENV=production would leave the compiler out, npm start --silent the reason of a failure.
  run('installing packages', 'npm', [
    'install',
    '--no-save',
    '--include=dev',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ])
}

/** npm keeps a lock file of what it installed: the tree is right when that agrees with ours. */
function isInstalled() {
  const installed = join(ROOT, 'node_modules/.package-lock.json')
  if (!existsSync(installed)) return false
  const there = JSON.parse(readFileSync(installed, 'utf8')).packages
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages
  return Object.entries(wanted).every(([path, { integrity, optional }]) => {
    if (path === '') return true
    // An optional package is absent where it is made for another platform.
    return there[path] === undefined ? optional === true : there[path].integrity === integrity
  })
}

function build(folder) {
  const { project, sources, compiled, assembled, bundler } = BUILDS[folder]
  const stamp = join(ROOT, folder, '.stamp')
  const hash = hashOf([...SHARED_SOURCES, ...sources])
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  // What was compiled from a file that is gone must not be found by a test run or an import.
  if (hasOrphans(folder, compiled)) rmSync(join(ROOT, folder), { recursive: true, force: true })
  const known = ['--incremental', '--tsBuildInfoFile', join(folder, '.tsbuildinfo')]
  run(`building ${folder}/`, process.execPath, [TSC, '-p', project, ...known])
  assemble(assembled)
  if (bundler !== undefined) {
    rmSync(join(ROOT, folder, 'bin'), { recursive: true, force: true })
    run(`bundling ${folder}/bin/`, process.execPath, [bundler])
  }
  writeFileSync(stamp, hash)
}

/** Whether a module in `folder` has no source below `compiled` any more. */
function hasOrphans(folder, compiled) {
  if (!existsSync(join(ROOT, folder))) return false
  return readdirSync(join(ROOT, folder), { recursive: true })
    .filter((file) => file.endsWith('.js') && !file.startsWith('bin/'))
    .some((file) => !existsSync(join(ROOT, compiled, file.replace(/\.js$/, '.ts'))))
}

const MODULES = ['engine.wasm', 'engine-checked.wasm']
const MODULES_STAMP = '.engine-stamp'

/** Makes the modules of the AssemblyScript, which takes longest, only where a file has changed that they are made of. */
function assemble(folder) {
  const hash = hashOf([...SHARED_SOURCES, 'scripts/assemble.mjs', ...assembledSources()])
  const made = [folder, BUILDS.dist.assembled].find((each) => {
    const stamp = join(ROOT, each, MODULES_STAMP)
    return existsSync(stamp) && readFileSync(stamp, 'utf8') === hash
  })
  if (made === folder) return
  if (made === undefined) run(`assembling ${folder}/engine.wasm`, process.execPath, ['scripts/assemble.mjs', folder])
  else for (const module of MODULES) copyFileSync(join(ROOT, made, module), join(ROOT, folder, module))
  writeFileSync(join(ROOT, folder, MODULES_STAMP), hash)
}

/** Every `*.as.ts`, and what they import: layouts that TypeScript reads too. */
function assembledSources() {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true })
    .filter((file) => file.endsWith('.as.ts'))
    .map((file) => join('src', file))
  const seen = new Set(files)
  for (const file of seen) {
    for (const [, target] of readFileSync(join(ROOT, file), 'utf8').matchAll(/from '(\.[^']+)'/g)) {
      seen.add(join(dirname(file), `${target.replace(/\.js$/, '')}.ts`))
    }
  }
  return [...seen].sort()
}

function run(what, command, args) {
  process.stderr.write(`sluice: ${what}\n`)
  const { status, signal, error } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Error(`${what} failed: ${error?.message ?? `${command} ended with ${signal ?? status}`}`)
}

function hashOf(paths) {
  const hash = createHash('sha256').update(process.version)
  for (const path of paths) addTo(hash, path)
  return hash.digest('hex')
}

function addTo(hash, path) {
  const whole = join(ROOT, path)
  if (!existsSync(whole)) return
  const entries = path.includes('.') ? null : readdirSync(whole, { withFileTypes: true })
  if (entries === null) {
    hash.update(`${path}\0`).update(readFileSync(whole))
    return
  }
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const inner = join(path, entry.name)
    if (entry.isDirectory()) addTo(hash, inner)
    else hash.update(`${inner}\0`).update(readFileSync(join(ROOT, inner)))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  exitOnFailure(() => prepare({ tests: process.argv.includes('--tests') }))
}

/** Runs `step`; where it throws, prints the sentence and ends with status 1. */
export function exitOnFailure(step) {
  try {
    return step()
  } catch (error) {
    process.stderr.write(`sluice: ${error.message}\n`)
    process.exit(1)
  }
}
