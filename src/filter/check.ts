import type {
  Arithmetic,
  BinaryValue,
  CastPrimitive,
  EncapsulationPrimitive,
  Expression,
  RelationPrimitive,
  Span,
  TelephonyPrimitive,
} from './ast.js'
import { checkAddress, checkGateway } from './check-address.js'
import { checkPort } from './check-port.js'
import { checkProto, checkProtocol, checkProtocolChain, requireHeader } from './check-protocol.js'
import {
  type CheckState,
  fault,
  known,
  notOnLinkType,
  openState,
  quoted,
  requireAtMost,
  requireCarrier,
} from './check-state.js'
import { type Feature, hasFeature, linkTypeOf } from './link-type.js'
import { IP, IP6 } from './names/ether-types.js'
import { ATM_WORDS, TELEPHONY_FIELDS } from './names/telephony.js'
import type { FilterOptions } from './options.js'
import type { CastSyntax, ChainSyntax, Syntax, ValueSyntax } from './syntax.js'

/** Longer runs of one operator become a balanced tree, so that no later pass runs out of stack. */
const LEFT_DEEP = 64

const LARGEST_ID = { vlan: 0xfff, mpls: 0xfffff, pppoed: 0, pppoes: 0xffff, geneve: 0xffffff, vxlan: 0xffffff }

/**
 * Judges what the parser read, from left to right, and resolves it: qualifiers,
 * names and link type. Throws a FilterError for everything that libpcap
 * refuses, and for what can match no packet of the link type.
 */
export function check(source: string, syntax: Syntax, options: FilterOptions): Expression {
  const state = openState(source, options)
  const { name } = state.linkType
  const expression = checkSyntax(state, syntax)
  if (state.constant.get(expression) === false) {
    throw fault(state, `no packet of link type ${name} can match this; choose another link type`, expression.span)
  }
  return expression
}

function checkSyntax(state: CheckState, syntax: Syntax): Expression {
  switch (syntax.kind) {
    case 'chain':
      return checkChain(state, syntax)
    case 'not': {
      const operand = checkSyntax(state, syntax.operand)
      const value = state.constant.get(operand)
      return known(state, { kind: 'not', operand, span: syntax.span }, value === undefined ? null : !value)
    }
    case 'value':
      return checkValue(state, syntax)
    case 'protocol':
      return checkProtocol(state, syntax.name, syntax.span)
    case 'cast-of':
      return checkCast(state, syntax)
    case 'relation':
      return checkRelation(state, syntax)
    case 'encapsulation':
      return checkEncapsulation(state, syntax)
    case 'direction':
      return requireDirection(state, syntax, syntax.direction)
    case 'interface':
      return requireDirection(state, syntax, 'ifindex')
    case 'llc':
      return requireFeature(state, 'llc', 'LLC header', syntax)
    case 'wlan':
      if (state.linkType.address !== 'wlan' && state.linkType.announces !== 'unknown') {
        throw notOnLinkType(state, '802.11 header', syntax.span)
      }
      return syntax
    case 'pf':
      return requireFeature(state, 'pf', 'packet filter log', syntax)
    case 'telephony':
      return checkTelephony(state, syntax)
  }
}

function checkChain(state: CheckState, { operator, operands }: ChainSyntax): Expression {
  return fold(
    state,
    operator,
    operands.map((operand) => checkSyntax(state, operand)),
  )
}

/** Every tree reads the operands in the order of the text, which is what their meaning depends on. */
function fold(state: CheckState, operator: 'and' | 'or', operands: readonly Expression[]): Expression {
  return operands.length <= LEFT_DEEP ? leftDeep(state, operator, operands) : balanced(state, operator, operands)
}

function leftDeep(state: CheckState, operator: 'and' | 'or', operands: readonly Expression[]): Expression {
  return operands.reduce((left, right) => joined(state, operator, left, right))
}

/** Its leaves are half as deep as they may be, so that it still has this shape after it was printed and parsed. */
function balanced(state: CheckState, operator: 'and' | 'or', operands: readonly Expression[]): Expression {
  if (operands.length <= LEFT_DEEP / 2) return leftDeep(state, operator, operands)
  const middle = operands.length >> 1
  const left = balanced(state, operator, operands.slice(0, middle))
  return joined(state, operator, left, balanced(state, operator, operands.slice(middle)))
}

function joined(state: CheckState, operator: 'and' | 'or', left: Expression, right: Expression): Expression {
  const node: Expression = { kind: operator, left, right, span: { start: left.span.start, end: right.span.end } }
  const decisive = operator === 'or'
  const values = [state.constant.get(left), state.constant.get(right)]
  if (values.includes(decisive)) return known(state, node, decisive)
  return known(state, node, values.every((value) => value === !decisive) ? !decisive : null)
}

function checkValue(state: CheckState, { qualifiers, value }: ValueSyntax): Expression {
  switch (qualifiers.type) {
    case null:
    case 'host':
    case 'net':
      return checkAddress(state, qualifiers, value)
    case 'port':
    case 'portrange':
      return checkPort(state, qualifiers, value)
    case 'proto':
      return checkProto(state, qualifiers, value)
    case 'protochain':
      return checkProtocolChain(state, qualifiers, value)
    case 'gateway':
      return checkGateway(state, qualifiers, value)
  }
}

function checkCast(state: CheckState, { cast, protocol, span }: CastSyntax): Expression {
  if (protocol === null || protocol === 'link') {
    const { address, announces, name } = state.linkType
    const none = address === null || (cast === 'multicast' && name === 'BACNET_MS_TP')
    if (none && announces !== 'unknown') throw notOnLinkType(state, `${cast} address`, span)
    return { kind: 'cast', cast, layer: protocol, span }
  }
  if (protocol === 'ip' || (protocol === 'ip6' && cast === 'multicast')) {
    if (cast === 'broadcast' && state.options.netmask === null) {
      const message = 'the netmask is not known, so ip broadcast means nothing; write dst host and the address'
      throw fault(state, message, span)
    }
    const carried = requireCarrier(state, protocol === 'ip' ? IP : IP6, span)
    const node: CastPrimitive = { kind: 'cast', cast, layer: protocol, span }
    return known(state, node, carried === false ? false : null)
  }
  const expected = cast === 'broadcast' ? 'nothing, ether or ip' : 'nothing, ether, ip or ip6'
  const message = `${quoted(state, span)} does not go together; use another protocol`
  throw fault(state, message, span, `before "${cast}" ${expected}`)
}

function checkRelation(state: CheckState, relation: RelationPrimitive): Expression {
  checkArithmetic(state, relation.left)
  checkArithmetic(state, relation.right)
  return relation
}

function checkArithmetic(state: CheckState, node: Arithmetic): void {
  switch (node.kind) {
    case 'constant':
    case 'length':
      return
    case 'negate':
      checkArithmetic(state, node.operand)
      return
    case 'binary':
      checkArithmetic(state, node.left)
      checkArithmetic(state, node.right)
      checkRightSide(state, node)
      return
    case 'packet':
      checkArithmetic(state, node.offset)
      if (node.base === 'radio') requireFeature(state, 'radio', 'radio header', node)
      requireHeader(state, node.base, node.span)
  }
}

/** Constant divisors and shifts; what only calculation would tell ends in no match when it happens. */
function checkRightSide(state: CheckState, { operator, right }: BinaryValue): void {
  if (right.kind !== 'constant') return
  if ((operator === '/' || operator === '%') && right.value === 0) {
    throw fault(state, 'this divides by zero; write another divisor', right.span)
  }
  if (operator === '<<' || operator === '>>') requireAtMost(state, 'shift', right.value, 31, right.span)
}

function checkEncapsulation(state: CheckState, node: EncapsulationPrimitive): Expression {
  const { type, id, span } = node
  if (id !== null) requireAtMost(state, `number after ${type}`, id, LARGEST_ID[type], span)
  switch (type) {
    case 'vlan':
      if (state.mplsLabels > 0) throw fault(state, 'vlan cannot follow mpls; write it before', span)
      return requireFeature(state, 'vlan', 'VLAN tag', node)
    case 'mpls':
      if (state.mplsLabels === 0) requireFeature(state, 'mpls', 'MPLS label', node)
      state.mplsLabels++
      return node
    case 'pppoed':
      return known(state, node, requireCarrier(state, 0x8863, span))
    case 'pppoes': {
      const carried = requireCarrier(state, 0x8864, span)
      state.linkType = linkTypeOf('PPP')
      return known(state, node, carried)
    }
    case 'geneve':
    case 'vxlan':
      requireCarrier(state, IP, span)
      requireCarrier(state, IP6, span)
      state.linkType = linkTypeOf('EN10MB')
      state.isTunnelled = true
      return node
  }
}

function requireDirection<Node extends Expression>(state: CheckState, node: Node, keyword: string): Node {
  const { name, hasDirection } = state.linkType
  const inHeader = keyword === 'ifindex' ? name === 'LINUX_SLL2' : hasDirection
  if (inHeader || (state.options.live ?? true)) return node
  throw fault(state, `a capture of link type ${name} does not record ${keyword}; ask for it on a device`, node.span)
}

function requireFeature<Node extends { span: Span }>(
  state: CheckState,
  feature: Feature,
  what: string,
  node: Node,
): Node {
  if (!hasFeature(state.linkType, feature)) throw notOnLinkType(state, what, node.span)
  return node
}

function checkTelephony(state: CheckState, node: TelephonyPrimitive): Expression {
  const { field, value, span } = node
  if (ATM_WORDS.has(field)) requireFeature(state, 'atm', 'ATM header', node)
  else requireFeature(state, 'ss7', 'SS7 header', node)
  requireAtMost(state, field, value, TELEPHONY_FIELDS.get(field) ?? 1, span)
  // LAN emulation: an Ethernet frame follows.
  if (field === 'lane') state.linkType = linkTypeOf('EN10MB')
  return node
}
