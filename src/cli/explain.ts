import { Command } from 'commander'
import { type Explanation, explainRule, type PacketRead } from '../control/index.js'
import { EXPRESSION_HELP, print, printJson } from './output.js'

interface ExplainOptions {
  readonly linkType: string
  readonly json?: boolean
}

/** `sluice explain EXPR`: what a rule matches, what it reads, what it costs. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('say in words what an expression matches, which bytes it reads, and what it costs')
    .argument('<expression...>', EXPRESSION_HELP)
    .option('--link-type <name>', 'link type of the packets, as tcpdump -y names it', 'EN10MB')
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
The figures of the kernel's verifier and the nanoseconds a packet need root.

Example:
  $ sluice explain 'udp and dst port 53 and src net 198.51.100.0/24'`,
    )
    .action(explain)
}

function explain(words: string[], { linkType, json }: ExplainOptions): void {
  const expression = words.join(' ')
  const explanation = explainRule(expression, linkType)
  if (json) printJson({ expression, linkType, ...explanation })
  else print(draw(explanation))
}

function draw({ meaning, reads, decisions, checks, instructions, kernel }: Explanation): string {
  const lines = [
    'matches',
    ...meaning.map(indent),
    'reads',
    ...(reads.length === 0 ? ['  nothing of the packet'] : reads.map((read) => indent(drawRead(read)))),
    'costs',
    `  ${decisions} decisions, ${checks} bounds checks, ${instructions} instructions with the counters`,
  ]
  if ('refusal' in kernel) return [...lines, `  the kernel was not asked: ${kernel.refusal}`].join('\n')
  const { verifier, machineCodeBytes, nanoseconds } = kernel
  if (verifier !== null) {
    lines.push(`  the verifier walked ${verifier.walked} instructions and kept ${verifier.states} states`)
  }
  lines.push(`  ${machineCodeBytes} bytes of machine code`)
  for (const { packet, verdict, ns } of nanoseconds) lines.push(`  ${ns} ns: ${packet} (${verdict})`)
  return lines.join('\n')
}

function drawRead({ behind, from, to }: PacketRead): string {
  const bytes = from === to ? `byte ${from}` : `bytes ${from} to ${to}`
  return behind === null ? bytes : `${bytes} behind ${behind}`
}

function indent(line: string): string {
  return `  ${line}`
}
