import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { compileRules, type Rule } from '../src/compile.js'
import { disassemble } from '../src/ebpf/index.js'
import { printGraph } from '../src/ir/index.js'

const DOCUMENT = new URL('../../test/golden/rules.md', import.meta.url)
const RULES: readonly { readonly title: string; readonly rules: readonly Rule[] }[] = [
  {
    title: 'One flow of a flood',
    rules: [{ match: 'udp and dst port 53 and src net 198.51.100.0/24', action: 'drop' }],
  },
  { title: 'SYN packets', rules: [{ match: 'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', action: 'count' }] },
  {
    title: 'Behind two headers of variable length',
    rules: [{ match: 'tcp[(tcp[12] >> 2):4] = 0x47455420', action: 'drop' }],
  },
  { title: 'A tag moves what stands behind it', rules: [{ match: 'vlan 5 and ip6 host 2001:db8::1', action: 'drop' }] },
  {
    title: 'Two rules, first match wins',
    rules: [
      { match: 'tcp port 22', action: 'pass' },
      { match: 'ip and len > 1000', action: 'drop' },
    ],
  },
]

describe('golden rules', () => {
  it('compile as test/golden/rules.md says; SLUICE_UPDATE=1 writes it anew', () => {
    const document = [INTRODUCTION, ...RULES.map(section)].join('\n')
    if (process.env['SLUICE_UPDATE'] === '1') writeFileSync(DOCUMENT, document)
    assert.equal(document, readFileSync(DOCUMENT, 'utf8'))
  })
})

const INTRODUCTION = `# Rules and what becomes of them

Each rule as text, as the decision graph that says the same in the order of the
text, as the graph after all passes, and as the eBPF program. A test writes this
document anew and compares.
`

function section({ title, rules }: (typeof RULES)[number]): string {
  const { graph, optimized, program } = compileRules(rules)
  const text = rules.map(({ match, action }) => `${action} ${match}\n`).join('')
  const forms = [text, printGraph(graph), printGraph(optimized), `${disassemble(program).trimEnd()}\n`]
  return [`## ${title}\n`, ...forms.map((form) => `\`\`\`\n${form}\`\`\`\n`)].join('\n')
}
