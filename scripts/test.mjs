/**
 * `npm test`: every check, then every test, then the examples; at the end the
 * tests that were skipped with the reason of each, and one line of totals.
 * `npm test -- PATTERN …` runs only the test files whose path holds one of the patterns.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { prepare, ROOT } from './prepare.mjs'
import { runTestFiles } from './test-files.mjs'

const EXAMPLE_TIMEOUT_MS = 2 * 60_000
const BUILD = join(ROOT, 'build')
const BIN = join(ROOT, 'node_modules/.bin')

const CHECKS = [
  ['lint and format', join(BIN, 'biome'), ['ci', '--colors=off', '--log-level=warn', '.']],
  ['import rules', process.execPath, ['scripts/import-rules.mjs']],
  ['dead code', join(BIN, 'knip'), ['--no-config-hints', '--no-progress']],
]

const totals = { passed: 0, failed: 0, skipped: 0 }
const skips = []
const unsteady = []
const patterns = process.argv.slice(2)

if (timed('type check and build', () => attempt(() => prepare({ tests: true })))) {
  if (patterns.length === 0) for (const [name, ...command] of CHECKS) timed(name, () => check(...command))
  await runTests(testFiles())
  if (patterns.length === 0) for (const file of exampleFiles()) timed(`example ${file}`, () => runExample(file))
}

for (const skip of skips) console.log(`skipped: ${skip}`)
for (const name of unsteady)
  console.log(`unsteady: ${name} failed, as said above, and passed alone with the same seeds`)
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed > 0 ? 1 : 0

/** Runs one step that counts as a test, and prints its name, verdict and time. */
function timed(name, step) {
  const start = performance.now()
  const verdict = step()
  totals[verdict]++
  console.log(`${verdict === 'passed' ? '✔' : verdict === 'failed' ? '✖' : '-'} ${name} (${seconds(start)})`)
  return verdict !== 'failed'
}

function seconds(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`
}

function attempt(step) {
  try {
    step()
    return 'passed'
  } catch (error) {
    console.error(error.message)
    return 'failed'
  }
}

function check(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' })
  if (status === 0) return 'passed'
  process.stderr.write(stdout + stderr)
  return 'failed'
}

function testFiles() {
  return readdirSync(BUILD, { recursive: true })
    .filter((file) => file.endsWith('.test.js') && isWanted(file))
    .map((file) => join(BUILD, file))
    .sort()
}

function isWanted(file) {
  return patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))
}

async function runTests(files) {
  if (files.length === 0) {
    totals.failed++
    console.error(`no test file's path holds ${patterns.join(' or ')}`)
    return
  }
  const start = performance.now()
  const nameOf = (file) => relative(BUILD, file).replace(/\.js$/, '.ts')
  const { passed, failed, skipped, ...named } = await runTestFiles(files, { nameOf, again: patterns.length === 0 })
  totals.passed += passed
  totals.failed += failed
  totals.skipped += skipped
  skips.push(...named.skips)
  unsteady.push(...named.unsteady)
  console.log(`${failed > 0 ? '✖' : '✔'} ${files.length} test files (${seconds(start)})`)
}

function exampleFiles() {
  const folder = join(BUILD, 'examples')
  return existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.js')) : []
}

/** An example that cannot run here says `skipped: REASON` on standard error and ends with 0. */
function runExample(file) {
  const path = join(BUILD, 'examples', file)
  const options = { cwd: ROOT, encoding: 'utf8', timeout: EXAMPLE_TIMEOUT_MS }
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [path], options)
  const skip = /^skipped: (.*)$/m.exec(stderr)
  if (status === 0 && skip === null) return 'passed'
  if (status === 0 && process.env.SLUICE_REQUIRE !== 'all') {
    skips.push(`example ${file} (${skip[1]})`)
    return 'skipped'
  }
  process.stderr.write(`${stdout}${stderr}${error?.message ?? ''}`)
  return 'failed'
}
