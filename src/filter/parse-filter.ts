import type { Expression } from './ast.js'
import { check } from './check.js'
import type { FilterOptions } from './options.js'
import { parse } from './parser.js'

/** An expression that can be compiled: its text, what it says, and the link type it was read for. */
export interface ParsedFilter {
  readonly text: string
  /** null: the text is empty and everything matches. */
  readonly expression: Expression | null
  readonly linkType: string
}

/**
 * Reads a filter expression in the language of pcap-filter(7), libpcap 1.10.
 * Throws a FilterError for text outside of the language and for what libpcap
 * refuses on this link type.
 *
 *     parseFilter('udp dst port 53').expression
 */
export function parseFilter(text: string, options: FilterOptions = {}): ParsedFilter {
  const syntax = parse(text)
  const expression = syntax && check(text, syntax, options)
  return { text, expression, linkType: options.linkType ?? 'EN10MB' }
}
