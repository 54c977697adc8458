import type {
  Direction,
  DirectionPrimitive,
  EncapsulationPrimitive,
  InterfacePrimitive,
  LlcPrimitive,
  PacketFilterPrimitive,
  RelationPrimitive,
  Span,
  TelephonyPrimitive,
  WlanPrimitive,
} from './ast.js'
import type { ProtocolName } from './names/keywords.js'

/**
 * What the parser hands to the checker: the expression as it was written, with
 * inherited qualifiers filled in, but values and qualifiers not yet judged.
 */
export type Syntax =
  | ChainSyntax
  | NotSyntax
  | ValueSyntax
  | ProtocolSyntax
  | CastSyntax
  | RelationPrimitive
  | EncapsulationPrimitive
  | DirectionPrimitive
  | InterfacePrimitive
  | LlcPrimitive
  | WlanPrimitive
  | PacketFilterPrimitive
  | TelephonyPrimitive

/** Two or more operands joined by one operator: `a and b and c`. */
export interface ChainSyntax {
  readonly kind: 'chain'
  readonly operator: 'and' | 'or'
  readonly operands: readonly Syntax[]
  readonly span: Span
}

interface NotSyntax {
  readonly kind: 'not'
  readonly operand: Syntax
  readonly span: Span
}

/** A value with the qualifiers before it, or those it inherits from the primitive before. */
export interface ValueSyntax {
  readonly kind: 'value'
  readonly qualifiers: Qualifiers
  readonly value: Value
  readonly span: Span
}

/** A protocol name that stands alone: `tcp`. */
interface ProtocolSyntax {
  readonly kind: 'protocol'
  readonly name: ProtocolName
  readonly span: Span
}

/** `broadcast`, `ip multicast`. */
export interface CastSyntax {
  readonly kind: 'cast-of'
  readonly cast: 'broadcast' | 'multicast'
  readonly protocol: ProtocolName | null
  readonly span: Span
}

/** What kind of thing a value is: the `type` qualifier of pcap-filter(7). */
export type ValueType = 'host' | 'net' | 'port' | 'portrange' | 'gateway' | 'proto' | 'protochain'

/** null stands for a qualifier that was not written. `span` is where they were written. */
export interface Qualifiers {
  readonly protocol: ProtocolName | null
  readonly direction: Direction | null
  readonly type: ValueType | null
  readonly span: Span
}

export type Value = Readonly<
  | { kind: 'name'; text: string; span: Span }
  | { kind: 'set'; text: string; span: Span }
  | { kind: 'number'; value: number; text: string; span: Span }
  | { kind: 'ipv4'; text: string; span: Span }
  | { kind: 'ipv4-prefix'; text: string; length: number; span: Span }
  | { kind: 'ipv4-masked'; text: string; mask: string; span: Span }
  | { kind: 'ipv6'; text: string; words: readonly number[]; length: number; span: Span }
  | { kind: 'mac' | 'station'; text: string; bytes: readonly number[]; span: Span }
>
