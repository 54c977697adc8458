import { emitMatcher } from '../codegen/index.js'
import { compileRule } from '../compile.js'
import { disassemble, encode, type Program } from '../ebpf/index.js'
import type { Expression, NameResolver } from '../filter/index.js'
import { printGraph } from '../ir/index.js'
import { encodeModule, printModule } from '../wasm/index.js'
import { asFilterError } from './filter-error.js'
import { checkLinkType } from './link-type.js'

/** Every form that a rule has on its way from text to the kernel. */
export interface RuleForms {
  /** Null: the empty expression, which matches everything. */
  readonly ast: Expression | null
  /** The decision graph after the rewrites, as text. */
  readonly ir: string
  readonly program: Program
  /** One instruction a line, in the notation of the kernel's verifier. */
  readonly assembly: string
  /** The instructions as the kernel takes them, in hexadecimal. */
  readonly code: string
  /** The module that finds matches, as text and in the binary format. */
  readonly wasm: { readonly text: string; readonly base64: string }
}

/** Compiles `drop EXPRESSION` for a link type, by its `tcpdump -y` name. Throws FilterError or LinkTypeError. */
export function ruleForms(expression: string, linkType: string, resolver?: NameResolver): RuleForms {
  checkLinkType(linkType, '--link-type')
  try {
    const { filters, optimized, program } = compileRule(
      { match: expression, action: 'drop' },
      { linkType, ...(resolver && { resolver }) },
    )
    const { module } = emitMatcher(optimized)
    return {
      ast: filters[0]!.expression,
      ir: printGraph(optimized),
      program,
      assembly: disassemble(program),
      code: Buffer.from(encode(program.instructions)).toString('hex'),
      wasm: { text: printModule(module), base64: Buffer.from(encodeModule(module)).toString('base64') },
    }
  } catch (error) {
    throw asFilterError(error, expression) ?? error
  }
}
