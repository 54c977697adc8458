import { Command } from 'commander'
import {
  type Explanation,
  explainPolicy,
  explainRule,
  type KernelAnswer,
  type PacketRead,
  type PolicyExplanation,
} from '../control/index.js'
import { noteWarnings, print, printJson } from './output.js'
import { formatQuantity } from './quantity.js'
import { addSubject, chooseSubject } from './subject.js'

interface ExplainOptions {
  readonly linkType: string
  readonly policy?: string
  readonly json?: boolean
}

/** `sluice explain EXPR` or `--policy FILE`: what a rule or a policy matches, what it reads, what it costs. */
export function explainCommand(): Command {
  return addSubject(
    new Command('explain').description(
      'say in words what an expression or a policy matches, which bytes it reads, and what it costs',
    ),
  )
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
The figures of the kernel's verifier and the nanoseconds a packet need root.
Nothing is attached to a device.

Examples:
  $ sluice explain 'udp and dst port 53 and src net 198.51.100.0/24'
  $ sudo sluice explain policy.yaml`,
    )
    .action(explain)
}

function explain(words: string[], options: ExplainOptions): void {
  const subject = chooseSubject(words, options)
  if (subject.kind === 'policy') {
    explainPolicyFile(subject.file, options)
    return
  }
  const { expression } = subject
  const { linkType, json } = options
  const explanation = explainRule(expression, linkType)
  if (json) printJson({ expression, linkType, ...explanation })
  else print(draw(explanation).join('\n'))
}

function explainPolicyFile(policy: string, { json }: ExplainOptions): void {
  const explanation = explainPolicy(policy)
  if (json) printJson({ policy, ...explanation })
  else print(drawPolicy(explanation).join('\n'))
  noteWarnings(explanation.warnings)
}

function draw({ meaning, reads, decisions, checks, instructions, kernel }: Explanation): string[] {
  return [
    'matches',
    ...meaning.map(indent),
    'reads',
    ...drawReads(reads).map(indent),
    'costs',
    `  ${decisions} decisions, ${checks} bounds checks, ${instructions} instructions with the counters`,
    ...drawKernel(kernel).map(indent),
  ]
}

function drawPolicy({ rules, segments, sets, instructions, kernel }: PolicyExplanation): string[] {
  return [
    ...rules.flatMap(({ name, does, meaning, reads }, index) => [
      `rule ${index + 1} "${name}" ${does}`,
      '  matches',
      ...meaning.map((line) => `    ${line}`),
      '  reads',
      ...drawReads(reads).map((line) => `    ${line}`),
    ]),
    'costs',
    ...segments.flatMap(({ rules: count, decisions, checks, tables }, index) => [
      `  segment ${index + 1}: ${counted(count, 'rule')}, ${decisions} decisions, ${checks} bounds checks`,
      ...drawTables(tables).map((line) => `    ${line}`),
    ]),
    ...sets.map(
      ({ name, v4, v6, bytes }) => `  set ${name}: ${v4} IPv4 and ${v6} IPv6 prefixes, ${formatQuantity(bytes)}B`,
    ),
    `  ${instructions} instructions`,
    ...drawKernel(kernel).map(indent),
  ]
}

/** Tables of one size on one line. */
function drawTables(tables: PolicyExplanation['segments'][number]['tables']): string[] {
  const alike = new Map<string, number>()
  for (const { rules, width } of tables) {
    const line = `${counted(rules, 'rule')} folded into a look-up of ${counted(width, 'number')}`
    alike.set(line, (alike.get(line) ?? 0) + 1)
  }
  return [...alike].map(([line, times]) => (times === 1 ? line : `${line}, ${times} such tables`))
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function drawKernel(kernel: KernelAnswer): string[] {
  if ('refusal' in kernel) return [`the kernel was not asked: ${kernel.refusal}`]
  const { verifier, machineCodeBytes, nanoseconds } = kernel
  return [
    ...(verifier === null
      ? []
      : [`the verifier walked ${verifier.walked} instructions and kept ${verifier.states} states`]),
    `${machineCodeBytes} bytes of machine code`,
    ...nanoseconds.map(({ packet, verdict, ns }) => `${ns} ns: ${packet} (${verdict})`),
  ]
}

function drawReads(reads: readonly PacketRead[]): string[] {
  return reads.length === 0 ? ['nothing of the packet'] : reads.map(drawRead)
}

function drawRead({ behind, from, to }: PacketRead): string {
  const bytes = from === to ? `byte ${from}` : `bytes ${from} to ${to}`
  return behind === null ? bytes : `${bytes} behind ${behind}`
}

function indent(line: string): string {
  return `  ${line}`
}
