import { Command, Option } from 'commander'
import { type PolicyForms, policyForms, resolveNames, ruleForms } from '../control/index.js'
import { noteWarnings, print, printJson, RESOLVE_HELP, UNRESOLVED } from './output.js'
import { addSubject, chooseSubject } from './subject.js'

interface CompileOptions {
  readonly to: 'ast' | 'ir' | 'ebpf' | 'wasm'
  readonly linkType: string
  readonly resolve?: boolean
  readonly policy?: string
  readonly json?: boolean
}

/** `sluice compile EXPR` or `--policy FILE`: each form of a rule or of a policy. */
export function compileCommand(): Command {
  return addSubject(new Command('compile').description('show a form that an expression or a policy is compiled to'))
    .addOption(
      new Option(
        '--to <form>',
        'ast: what it says; ir: its decisions; ebpf: the program that drops what it matches; wasm: the module that finds it',
      )
        .choices(['ast', 'ir', 'ebpf', 'wasm'])
        .default('ebpf'),
    )
    .option('--resolve', RESOLVE_HELP)
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      `
Examples:
  $ sluice compile 'udp and dst port 53 and src net 198.51.100.0/24'
  $ sluice compile 'tcp port 80 or 443' --to ir
  $ sluice compile policy.yaml --to ir`,
    )
    .action(compile)
}

async function compile(words: string[], options: CompileOptions): Promise<void> {
  const subject = chooseSubject(words, options)
  if (subject.kind === 'policy') compilePolicyFile(subject.file, options)
  else await compileExpression(subject.expression, options)
}

async function compileExpression(expression: string, { to, linkType, resolve, json }: CompileOptions): Promise<void> {
  const forms = ruleForms(expression, linkType, resolve ? await resolveNames([expression]) : UNRESOLVED)
  if (json) {
    const { ast, ir, program, assembly, code, wasm } = forms
    const form = {
      ast: { ast: withoutSpans(ast) },
      ir: { ir: linesOf(ir) },
      ebpf: { instructions: linesOf(assembly), code, maps: program.maps, license: program.license },
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

function compilePolicyFile(policy: string, { to, json }: CompileOptions): void {
  const forms = policyForms(policy)
  if (json) printJson({ policy, to, ...jsonOf(forms, to), warnings: forms.warnings })
  else print(textOf(forms, to))
  noteWarnings(forms.warnings)
}

function jsonOf(forms: PolicyForms, to: CompileOptions['to']): object {
  switch (to) {
    case 'ast':
      return { rules: withoutSpans(forms.ast()) }
    case 'ir':
      return { segments: forms.ir().map(({ rules, ir }) => ({ rules, ir: linesOf(ir) })) }
    case 'wasm':
      return {
        segments: forms.wasm().map(({ rules, text, base64 }) => ({ rules, text: linesOf(text), module: base64 })),
      }
    case 'ebpf': {
      const { program, assembly, code } = forms.ebpf()
      // What a map holds at the start, a set of a million addresses for example, is no part of the code.
      const maps = program.maps.map(({ contents, ...spec }) => ({ ...spec, contentBytes: contents?.bytes.length ?? 0 }))
      return { instructions: linesOf(assembly), code, maps, license: program.license }
    }
  }
}

function textOf(forms: PolicyForms, to: CompileOptions['to']): string {
  switch (to) {
    case 'ast':
      return JSON.stringify(withoutSpans(forms.ast()), null, 2)
    case 'ir':
      return forms
        .ir()
        .map(({ rules, ir }) => `${heading('#', rules)}\n${ir.trimEnd()}`)
        .join('\n')
    case 'wasm':
      return forms
        .wasm()
        .map(({ rules, text }) => `${heading(';;', rules)}\n${text.trimEnd()}`)
        .join('\n')
    case 'ebpf':
      return forms.ebpf().assembly.trimEnd()
  }
}

/** Leaves of a segment's graph count from its first rule; most names are left out of a long one. */
function heading(comment: string, rules: readonly string[]): string {
  const [first, last] = [rules[0]!, rules.at(-1)!]
  const names = rules.length === 1 ? `rule "${first}"` : `${rules.length} rules, "${first}" to "${last}"`
  return `${comment} segment of ${names}`
}

function linesOf(text: string): string[] {
  return text.trimEnd().split('\n')
}

/** Places in the text are for error messages; here they would hide the meaning. */
function withoutSpans(ast: unknown): unknown {
  return JSON.parse(JSON.stringify(ast, (key, value) => (key === 'span' ? undefined : value)))
}
