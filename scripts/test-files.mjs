/**
 * Runs test files, several at a time, and counts what their tests say.
 */
import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { run } from 'node:test'

/** None where more pairs were asked for than a run usually compares: whoever does so has time. */
const FILE_TIMEOUT_MS = process.env.SLUICE_PAIRS === undefined ? 20 * 60_000 : Number.POSITIVE_INFINITY

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

/** So many files that failed are run once more; where more of them did, the machine is not the reason. */
const MOST_AGAIN = 3

/** How many of the test files are named that took longest. */
const SLOWEST = 8

/** What node:test says of a file as a whole, in lines that are not a test's. */
const OF_THE_FILE = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /

/**
 * Gives `passed`, `failed` and `skipped`, the `skips` with their reasons, and the files that are `unsteady`.
 * `nameOf` is a file's name as it is printed.
 *
 * A failure beside other tests, which want the same cores, may be theirs: it counts where the file fails alone too, if
 * `again` is asked for. One that does not is unsteady: a defect of the test, or of what it tests.
 */
export async function runTestFiles(files, { nameOf, again }) {
  // Property tests of one run have their numbers from it, so that a file that is run again has the same.
  process.env.SLUICE_RUN_SEED ??= String(Date.now())
  const together = files.filter((file) => !ALONE.test(file)).sort((one, other) => placeOf(one) - placeOf(other))
  const alone = files.filter((file) => ALONE.test(file))
  const reports = [...(await runFiles(together, AT_ONCE, nameOf)), ...(await runFiles(alone, 1, nameOf))]
  const slowest = reports.toSorted((one, other) => other.ms - one.ms).slice(0, SLOWEST)
  console.log(`  slowest: ${slowest.map(({ file, ms }) => `${nameOf(file)} ${(ms / 1000).toFixed(1)} s`).join(', ')}`)
  const failed = reports.filter((report) => report.failed > 0).map(({ file }) => file)
  if (!again || failed.length === 0 || failed.length > MOST_AGAIN) return sumOf(reports, [])
  console.log(`again, alone: ${failed.map(nameOf).join(', ')}`)
  const second = await runFiles(failed, 1, nameOf)
  const unsteady = second.filter((report) => report.failed === 0).map(({ file }) => nameOf(file))
  return sumOf([...reports.filter(({ file }) => !failed.includes(file)), ...second], unsteady)
}

function sumOf(reports, unsteady) {
  const sum = (verdict) => reports.reduce((so, report) => so + report[verdict], 0)
  const skips = reports.flatMap((report) => report.skips)
  return { passed: sum('passed'), failed: sum('failed'), skipped: skips.length, skips, unsteady }
}

function placeOf(file) {
  const place = LONGEST.indexOf(basename(file, '.test.js'))
  return place < 0 ? LONGEST.length : place
}

async function runFiles(files, concurrency, nameOf) {
  const [waiting, reports] = [[...files], []]
  const runNext = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift())
      reports.push(await runFile(file, nameOf(file)))
  }
  await Promise.all(Array.from({ length: concurrency }, runNext))
  return reports
}

/** What it prints comes at its end, whole, because others run meanwhile. */
async function runFile(file, name) {
  const report = { file, passed: 0, failed: 0, skips: [], ms: 0 }
  const start = performance.now()
  let text = ''
  const stream = run({ files: [file], timeout: FILE_TIMEOUT_MS })
  stream.on('test:pass', (event) => count(report, name, event))
  stream.on('test:fail', (event) => {
    if (!count(report, name, event, 'failed')) return
    text += `✖ ${name}: ${event.name}\n${indent(reasonOf(event.details?.error))}\n`
  })
  stream.on('test:diagnostic', ({ nesting, message, file: of }) => {
    if (of !== undefined && nesting >= 0 && !OF_THE_FILE.test(message)) text += `  ${message}\n`
  })
  stream.on('test:stdout', ({ message }) => (text += message))
  stream.on('test:stderr', ({ message }) => (text += message))
  for await (const _ of stream) {
    // Draining the stream is what runs the tests.
  }
  process.stdout.write(text)
  report.ms = performance.now() - start
  return report
}

/** Whether the event is of a test, and not of what holds tests that are counted themselves. */
function count(report, name, event, verdict = 'passed') {
  // A suite fails with its tests; or alone, where its own text has thrown, and then none of them ran.
  if (event.details?.type === 'suite' && (verdict === 'passed' || isOfTests(event.details.error))) return false
  // A file whose tests were all reported is reported once more as a whole.
  if (event.name === event.file && verdict === 'passed') return false
  if (event.skip === undefined) report[verdict]++
  else report.skips.push(`${name}: ${event.name} (${event.skip})`)
  return event.skip === undefined
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
