import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { EXPRESSION_HELP, InputError } from './output.js'

/** What a command is about. */
export type Subject =
  | { readonly kind: 'expression'; readonly expression: string }
  | { readonly kind: 'policy'; readonly file: string }

const DEFAULT_LINK_TYPE = 'EN10MB'
const POLICY_FILE = /\.(?:ya?ml|json)$/i
/** A word with a slash that is no prefix, and nothing that an expression is made of but its name. */
const PATH = /^(?!.*\/\d+$)[^\s()[\]<>=&|!]*\/[^\s()[\]<>=&|!]*$/

/** Has `command` take an expression, or a policy in its place. */
export function addSubject(command: Command): Command {
  return command
    .argument('[expression...]', `${EXPRESSION_HELP}; or one policy file, *.yaml, *.yml or *.json`)
    .option('--policy <file>', 'a policy instead of an expression, as YAML or JSON')
    .option('--link-type <name>', 'link type of the packets, as tcpdump -y names it', DEFAULT_LINK_TYPE)
}

/**
 * A single word that is called as policies are, or is a path, is that file,
 * whether or not there is one: no expression is one such word. Throws InputError.
 */
export function chooseSubject(
  words: readonly string[],
  options: { readonly policy?: string; readonly linkType: string; readonly resolve?: boolean },
): Subject {
  const [word] = words
  const named = word !== undefined && words.length === 1 && isFile(word) ? word : null
  if (options.policy !== undefined && words.length > 0)
    throw new InputError('there are a policy and an expression; give one of them')
  const file = options.policy ?? named
  if (file === null) {
    if (words.length === 0) throw new InputError('there is nothing to look at; give an expression, or --policy FILE')
    return { kind: 'expression', expression: words.join(' ') }
  }
  if (options.linkType !== DEFAULT_LINK_TYPE)
    throw new InputError('a policy stands at devices, which give Ethernet frames; leave --link-type out')
  if (options.resolve === true)
    throw new InputError('host names of a policy are not looked up; leave --resolve out, and write addresses')
  return { kind: 'policy', file }
}

/** An expression in quotes is one word as well: `host a.json`. */
function isFile(word: string): boolean {
  if (!POLICY_FILE.test(word)) return PATH.test(word)
  return !/\s/.test(word) || existsSync(word)
}
