import type { Arithmetic, Direction, Expression, RelationPrimitive, Span } from './ast.js'

/**
 * Reads `AREA.NODE` (area 0-63, node 0-1023) into the 16 bits of a DECnet
 * phase IV address; null when it is none.
 */
export function parseDecnet(text: string): number | null {
  const match = /^(\d{1,2})\.(\d{1,4})$/.exec(text)
  if (!match) return null
  const [area, node] = [Number(match[1]), Number(match[2])]
  return area <= 63 && node <= 1023 ? area * 1024 + node : null
}

/**
 * `decnet src 1.2` as comparisons of bytes. Behind the 16-bit length comes the
 * route header, with one padding byte (0x81) before it or none; its flags say
 * whether it is a long data packet (6) or a short one (2). DECnet Digital
 * Network Architecture, Routing Layer Functional Specification 2.0.0, 8.1.
 */
export function decnetHost(address: number, direction: Direction | null, span: Span): Expression {
  if (direction === 'src' || direction === 'dst') return decnetSide(address, direction, span)
  const left = decnetSide(address, 'src', span)
  const right = decnetSide(address, 'dst', span)
  return { kind: direction === 'src-and-dst' ? 'and' : 'or', left, right, span }
}

function decnetSide(address: number, side: 'src' | 'dst', span: Span): Expression {
  // Addresses are little-endian on the wire.
  const wire = ((address & 0xff) << 8) | (address >> 8)
  const long = side === 'src' ? 15 : 7
  const short = side === 'src' ? 3 : 1
  const forms: Expression[] = [
    both(masked(2, 1, 0x07, 0x06, span), plain(2 + long, wire, span), span),
    both(masked(2, 2, 0xff07, 0x8106, span), plain(3 + long, wire, span), span),
    both(masked(2, 2, 0xff07, 0x8102, span), plain(3 + short, wire, span), span),
    both(masked(2, 1, 0x07, 0x02, span), plain(2 + short, wire, span), span),
  ]
  return forms.reduce((left, right) => ({ kind: 'or', left, right, span }))
}

function both(left: Expression, right: Expression, span: Span): Expression {
  return { kind: 'and', left, right, span }
}

function plain(offset: number, value: number, span: Span): RelationPrimitive {
  return {
    kind: 'relation',
    operator: '=',
    left: load(offset, 2, span),
    right: { kind: 'constant', value, span },
    span,
  }
}

function masked(offset: number, size: 1 | 2, mask: number, value: number, span: Span): RelationPrimitive {
  const right: Arithmetic = { kind: 'constant', value: mask, span }
  const left: Arithmetic = { kind: 'binary', operator: '&', left: load(offset, size, span), right, span }
  return { kind: 'relation', operator: '=', left, right: { kind: 'constant', value, span }, span }
}

function load(offset: number, size: 1 | 2, span: Span): Arithmetic {
  return { kind: 'packet', base: 'decnet', offset: { kind: 'constant', value: offset, span }, size, span }
}
