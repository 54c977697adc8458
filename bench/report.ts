import { describeMachine } from '../src/lab/machine.js'
import type { Disturbed } from './rounds.js'

/** What a benchmark found: `npm run bench -- NAME --json` prints it as one document. */
export interface BenchReport {
  readonly name: string
  readonly rows: readonly Record<string, string | number>[]
  readonly ratios: Readonly<Record<string, number>>
  /** Of benchmarks whose rounds are watched. */
  readonly disturbed?: Disturbed
}

/** Prints a report as a table for people, or as JSON with `--json` among the arguments. */
export function printReport(report: BenchReport): void {
  const { name, rows, ratios, disturbed } = report
  if (process.argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ name, machine: describeMachine(), rows, ratios, disturbed })}\n`)
    return
  }
  console.table(rows.map((row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, round(value)]))))
  for (const [ratio, value] of Object.entries(ratios)) console.log(`${ratio}: ${value.toFixed(3)}`)
  if (disturbed !== undefined) {
    const { of, leftOut, usedAnyway, probeNs } = disturbed
    console.log(
      `disturbed: ${leftOut} of ${of} samples left out, ${usedAnyway} in the figures; probe ${probeNs.toFixed(3)} ns`,
    )
  }
}

function round(value: string | number): string | number {
  return typeof value === 'number' ? Math.round(value * 100) / 100 : value
}
