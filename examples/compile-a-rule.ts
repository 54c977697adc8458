/** One rule in three forms: what it asks, its decisions, and the program for the driver hook. Needs no rights. */
import { compileRule, disassemble, printGraph } from 'sluice'

const match = process.argv[2] ?? 'udp and dst port 53 and src net 198.51.100.0/24'
const { filters, graph, optimized, program } = compileRule({ match, action: 'drop' })

console.log('What the text says:\n')
console.log(JSON.stringify(filters[0]!.expression, (key, value) => (key === 'span' ? undefined : value)))

console.log('\nIts decisions in the order of the text, then with one bounds check for a run of reads:\n')
console.log(printGraph(graph))
console.log(printGraph(optimized))

console.log(`The eBPF program "${program.name}", ${program.instructions.length} instructions:\n`)
console.log(disassemble(program))
