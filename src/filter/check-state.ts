import type { Expression, Span } from './ast.js'
import { FilterError } from './error.js'
import { type LinkType, linkTypeOf } from './link-type.js'
import { IP, IP6 } from './names/ether-types.js'
import type { FilterOptions } from './options.js'

/**
 * What the checker knows at one place of the text. Encapsulations change it
 * for everything that stands to their right.
 */
export interface CheckState {
  readonly source: string
  readonly options: FilterOptions
  /** The link header that primitives count from now. */
  linkType: LinkType
  mplsLabels: number
  /** Inside Geneve or VXLAN, where headers lie at an offset known only at run time. */
  isTunnelled: boolean
  /** Expressions that match no packet (false) or every packet (true) of this link type. */
  readonly constant: Map<Expression, boolean>
}

/** The state before the first primitive. */
export function openState(source: string, options: FilterOptions): CheckState {
  const linkType = linkTypeOf(options.linkType ?? 'EN10MB')
  return { source, options, linkType, mplsLabels: 0, isTunnelled: false, constant: new Map() }
}

/** The error for a part of the expression. */
export function fault(state: CheckState, message: string, span: Span, expected?: string): FilterError {
  return new FilterError(message, state.source, span, expected)
}

/** The text of a part of the expression, in quotes and shortened. */
export function quoted(state: CheckState, span: Span): string {
  const text = state.source.slice(span.start, span.end)
  return `"${text.length > 60 ? `${text.slice(0, 57)}…` : text}"`
}

/** Throws when the number is larger than its field. */
export function requireAtMost(state: CheckState, what: string, value: number, most: number, span: Span): void {
  if (value <= most) return
  throw fault(state, `the ${what} ${value} is too large; write at most ${most}`, span)
}

/** The error for a keyword that this link type has nothing for. */
export function notOnLinkType(state: CheckState, what: string, span: Span): FilterError {
  const { name } = state.linkType
  return fault(state, `link type ${name} has no ${what}; leave this out or choose another link type`, span)
}

/**
 * Whether frames can carry the protocol: null when only the packet can tell.
 * Throws where the link header cannot announce it at all, or not this value.
 */
export function requireCarrier(state: CheckState, type: number, span: Span): boolean | null {
  if (state.mplsLabels > 0) {
    if (type === IP || type === IP6) return null
    throw fault(state, `${quoted(state, span)} cannot be told apart after mpls; only IPv4 and IPv6 can`, span)
  }
  const { announces, carries, name } = state.linkType
  switch (announces) {
    case 'none':
      throw fault(state, `link type ${name} does not say what it carries; ask for bytes of it, as in link[0] = 1`, span)
    case 'ether':
    case 'llc':
      if (type <= 1500) requireAtMost(state, 'LLC service access point', type, 0xff, span)
      requireAtMost(state, 'EtherType', type, 0xffff, span)
      return null
    case 'ethertype':
    case 'ppp':
    case 'hdlc':
      requireAtMost(state, 'protocol of the link header', type, 0xffff, span)
      return null
    default:
      if (carries === null) return null
      if (!carries.includes(type)) return false
      return announces === 'fixed' && carries.length === 1 ? true : null
  }
}

/** Notes what is known of an expression, for the check of the whole at the end. */
export function known<Node extends Expression>(state: CheckState, node: Node, value: boolean | null): Node {
  if (value !== null) state.constant.set(node, value)
  return node
}
