import { Command, Option } from 'commander'
import { resolveNames, ruleForms } from '../control/index.js'
import { EXPRESSION_HELP, print, printJson, RESOLVE_HELP } from './output.js'

interface CompileOptions {
  readonly to: 'ast' | 'ir' | 'ebpf' | 'wasm'
  readonly linkType: string
  readonly resolve?: boolean
  readonly json?: boolean
}

/** `sluice compile EXPR`: each form of a rule. */
export function compileCommand(): Command {
  return new Command('compile')
    .description('show a form that an expression is compiled to')
    .argument('<expression...>', EXPRESSION_HELP)
    .addOption(
      new Option(
        '--to <form>',
        'ast: what it says; ir: its decisions; ebpf: the program that drops what it matches; wasm: the module that finds it',
      )
        .choices(['ast', 'ir', 'ebpf', 'wasm'])
        .default('ebpf'),
    )
    .option('--link-type <name>', 'link type of the packets, as tcpdump -y names it', 'EN10MB')
    .option('--resolve', RESOLVE_HELP)
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  $ sluice compile 'udp and dst port 53 and src net 198.51.100.0/24'
  $ sluice compile 'tcp port 80 or 443' --to ir`,
    )
    .action(compile)
}

async function compile(words: string[], { to, linkType, resolve, json }: CompileOptions): Promise<void> {
  const expression = words.join(' ')
  const forms = ruleForms(expression, linkType, resolve ? await resolveNames([expression]) : undefined)
  if (json) {
    const { ast, ir, program, assembly, code, wasm } = forms
    const form = {
      ast: { ast: withoutSpans(ast) },
      ir: { ir: ir.trimEnd().split('\n') },
      ebpf: { instructions: assembly.trimEnd().split('\n'), code, maps: program.maps, license: program.license },
      wasm: { text: wasm.text.split('\n'), module: wasm.base64 },
    }[to]
    printJson({ expression, linkType, to, ...form })
    return
  }
  if (to === 'ast') print(JSON.stringify(withoutSpans(forms.ast), null, 2))
  else if (to === 'ir') print(forms.ir.trimEnd())
  else if (to === 'wasm') print(forms.wasm.text.trimEnd())
  else print(forms.assembly.trimEnd())
}

/** Places in the text are for error messages; here they would hide the meaning. */
function withoutSpans(ast: unknown): unknown {
  return JSON.parse(JSON.stringify(ast, (key, value) => (key === 'span' ? undefined : value)))
}
