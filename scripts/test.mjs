/**
 * `npm test`: every check, then every test, then the examples; at the end the
 * tests that were skipped with the reason of each, and one line of totals.
 * `npm test -- PATTERN …` runs only the test files whose path holds one of the patterns.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join, relative } from 'node:path'
import { run } from 'node:test'
import { prepare, ROOT } from './prepare.mjs'

/** None where more pairs were asked for than a run usually compares: whoever does so has time. */
const FILE_TIMEOUT_MS = process.env.SLUICE_PAIRS === undefined ? 10 * 60_000 : Number.POSITIVE_INFINITY
const EXAMPLE_TIMEOUT_MS = 2 * 60_000
const BUILD = join(ROOT, 'build')
const BIN = join(ROOT, 'node_modules/.bin')

const CHECKS = [
  ['lint and format', join(BIN, 'biome'), ['ci', '--colors=off', '--log-level=warn', '.']],
  ['import rules', process.execPath, ['scripts/import-rules.mjs']],
  ['dead code', join(BIN, 'knip'), ['--no-config-hints', '--no-progress']],
]

/**
 * Tests that measure what a flood does, look at all of the machine's devices, or have threads meet at one instant: they
 * run one by one. A test that counts every packet of its flood runs beside others: a kernel whose cores are shared
 * changes programs sooner.
 */
const ALONE = /(bgp|demo|flood|network|source-limits|limit-race)\.test\.js$/

/** Those that take longest begin first, so that none of them goes on alone at the end. */
const LONGEST = [
  ...['captures', 'policy-swap', 'sets-swap', 'router-hooks', 'offload-promoted', 'transmit-queue', 'policy-limits'],
  ...['workers-exit', 'compile-random', 'flood-queue', 'workers', 'cli-policy', 'generate', 'service'],
]

/** One more than there are cores, because many wait for processes and clocks. */
const AT_ONCE = availableParallelism() + 1

/** How many of the test files are named that took longest. */
const SLOWEST = 8
const durations = new Map()
const totals = { passed: 0, failed: 0, skipped: 0 }
const skips = []
const patterns = process.argv.slice(2)

if (timed('type check and build', () => attempt(() => prepare({ tests: true })))) {
  if (patterns.length === 0) for (const [name, ...command] of CHECKS) timed(name, () => check(...command))
  await runTests(testFiles())
  if (patterns.length === 0) for (const file of exampleFiles()) timed(`example ${file}`, () => runExample(file))
}

for (const skip of skips) console.log(`skipped: ${skip}`)
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
  const before = { ...totals }
  const together = files.filter((file) => !ALONE.test(file))
  await runFiles(
    together.sort((one, other) => placeOf(one) - placeOf(other)),
    AT_ONCE,
  )
  await runFiles(
    files.filter((file) => ALONE.test(file)),
    1,
  )
  const slowest = [...durations].sort(([, one], [, other]) => other - one).slice(0, SLOWEST)
  console.log(`  slowest: ${slowest.map(([file, ms]) => `${file} ${(ms / 1000).toFixed(1)} s`).join(', ')}`)
  const verdict = totals.failed > before.failed ? '✖' : '✔'
  console.log(`${verdict} ${files.length} test files (${seconds(start)})`)
}

function placeOf(file) {
  const place = LONGEST.indexOf(basename(file, '.test.js'))
  return place < 0 ? LONGEST.length : place
}

async function runFiles(files, concurrency) {
  if (files.length === 0) return
  const stream = run({ files, concurrency, timeout: FILE_TIMEOUT_MS })
  stream.on('test:pass', (event) => count(event, 'passed'))
  stream.on('test:fail', (event) => count(event, 'failed'))
  stream.on('test:diagnostic', ({ nesting, message, file }) => {
    if (
      file !== undefined &&
      nesting >= 0 &&
      !/^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(message)
    )
      console.log(`  ${message}`)
  })
  stream.on('test:stdout', ({ message }) => process.stdout.write(message))
  stream.on('test:stderr', ({ message }) => process.stderr.write(message))
  for await (const _ of stream) {
    // Draining the stream is what runs the tests.
  }
}

function count(event, verdict) {
  const file = relative(BUILD, event.file ?? '').replace(/\.js$/, '.ts')
  if (event.nesting === 0) durations.set(file, (durations.get(file) ?? 0) + (event.details?.duration_ms ?? 0))
  // A suite fails with its tests, which are counted themselves; or alone, where its own text has thrown, and then none of them ran.
  if (event.details?.type === 'suite' && (verdict === 'passed' || isOfTests(event.details.error))) return
  // A file whose tests were all reported is reported once more as a whole.
  if (event.name === event.file && verdict === 'passed') return
  const where = `${file}: ${event.name}`
  if (event.skip !== undefined) {
    totals.skipped++
    skips.push(`${where} (${event.skip})`)
    return
  }
  totals[verdict]++
  if (verdict === 'failed') console.error(`✖ ${where}\n${indent(reasonOf(event.details?.error))}`)
}

function isOfTests(error) {
  return error?.failureType === 'subtestsFailed'
}

function reasonOf(error) {
  const cause = error?.cause ?? error
  return String(cause?.stack ?? cause?.message ?? cause)
}

function indent(text) {
  return text.replace(/^/gm, '    ')
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
