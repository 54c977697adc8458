import type { PortPrimitive, Span } from './ast.js'
import { requirePlainDirection } from './check-address.js'
import { wrongProtocol } from './check-protocol.js'
import { type CheckState, fault, known, quoted, requireAtMost, requireCarrier } from './check-state.js'
import { IP, IP6 } from './names/ether-types.js'
import { findService, type Transport } from './names/services.js'
import type { Qualifiers, Value } from './syntax.js'

const TRANSPORTS = ['tcp', 'udp', 'sctp'] as const

interface Port {
  readonly number: number
  /** The only transport that the name is known for; null for a number, or a name of TCP and UDP. */
  readonly transport: Transport | null
}

/**
 * `port`, `portrange`: numbers or names of services. A name that one transport
 * only uses restricts the primitive to it. Throws for a name that the asked
 * transport does not use, and for values that are no ports.
 */
export function checkPort(state: CheckState, qualifiers: Qualifiers, value: Value): PortPrimitive {
  const transport = TRANSPORTS.find((name) => name === qualifiers.protocol) ?? null
  if (transport === null && qualifiers.protocol !== null)
    throw wrongProtocol(state, qualifiers, 'a port', 'nothing, tcp, udp or sctp')
  requirePlainDirection(state, qualifiers)
  const { span } = value
  const [low, high] = readPorts(state, qualifiers, value, transport)
  const implied = low.transport === high.transport ? low.transport : null
  const direction = qualifiers.direction ?? 'src-or-dst'
  const carried = [requireCarrier(state, IP, span), requireCarrier(state, IP6, span)]
  // libpcap takes the ends of a range in either order.
  const [first, last] = [Math.min(low.number, high.number), Math.max(low.number, high.number)]
  const node: PortPrimitive = { kind: 'port', transport: transport ?? implied, direction, low: first, high: last, span }
  return known(state, node, carried.every((answer) => answer === false) ? false : null)
}

function readPorts(state: CheckState, qualifiers: Qualifiers, value: Value, transport: Transport | null): [Port, Port] {
  const { span } = value
  if (value.kind === 'number') {
    requireAtMost(state, 'port number', value.value, 0xffff, span)
    const port = { number: value.value, transport: null }
    return [port, port]
  }
  if (value.kind === 'set')
    throw fault(state, `${quoted(state, span)} is a set of addresses, not a port; write net before it`, span)
  if (value.kind !== 'name') {
    throw fault(state, `${quoted(state, span)} is an address, not a port; write host before it, or a port`, span)
  }
  if (qualifiers.type === 'port') {
    const port = readPort(state, value.text, transport, span)
    return [port, port]
  }
  const ends = value.text.split('-')
  if (ends.length !== 2 || ends.includes('')) {
    throw fault(state, `"${value.text}" is no range of ports; join two ports by one hyphen, as in 6000-6008`, span)
  }
  return [readPort(state, ends[0]!, transport, span), readPort(state, ends[1]!, transport, span)]
}

function readPort(state: CheckState, text: string, transport: Transport | null, span: Span): Port {
  if (/^(0[xX][0-9A-Fa-f]+|0[0-7]*|[1-9]\d*)$/.test(text)) {
    const number = /^0\d/.test(text) ? Number.parseInt(text, 8) : Number(text)
    requireAtMost(state, 'port number', number, 0xffff, span)
    return { number, transport: null }
  }
  const service = findService(text)
  if (!service) throw fault(state, `no service is called "${text}"; write the port number`, span)
  if (transport !== null) {
    // A name of TCP and UDP counts as a plain number, which SCTP may use too.
    const number = service[transport] ?? (service.tcp === service.udp ? service.tcp : undefined)
    if (number !== undefined) return { number, transport }
    const used = TRANSPORTS.filter((name) => service[name] !== undefined).join(' and ')
    throw fault(
      state,
      `the service "${text}" uses ${used}, not ${transport}; write ${used} before port, or the number`,
      span,
    )
  }
  if (service.tcp !== undefined) return { number: service.tcp, transport: service.udp === service.tcp ? null : 'tcp' }
  if (service.udp !== undefined) return { number: service.udp, transport: 'udp' }
  return { number: service.sctp!, transport: 'sctp' }
}
