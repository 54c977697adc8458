import { formatIpv4, formatIpv6, prefixMask } from './address.js'
import type { AddressPrimitive, Direction, IpProtocolPrimitive, IsoProtocolPrimitive, Primitive } from './ast.js'
import { CONSTANTS } from './names/constants.js'
import { ETHER_TYPES, LLC_SAPS } from './names/ether-types.js'
import { IP_WORDS } from './names/ip-protocols.js'
import { ISIS_PDU_TYPES, ISO_PROTOCOLS } from './names/iso.js'
import { isProtocolName, KEYWORDS } from './names/keywords.js'
import { LLC_SUPERVISORY, LLC_UNNUMBERED } from './names/llc.js'
import { PF_ACTIONS } from './names/packet-filter.js'
import { TELEPHONY_SIGNALS } from './names/telephony.js'

/** One primitive as text, with every qualifier that it needs to stand alone. */
export function printPrimitive(primitive: Exclude<Primitive, { kind: 'relation' }>): string {
  switch (primitive.kind) {
    case 'address':
      return words(primitive.protocol, direction(primitive.direction), printNetwork(primitive))
    case 'address-set':
      return words(primitive.protocol, direction(primitive.direction), `net @${primitive.set}`)
    case 'link-address':
      return words('ether', direction(primitive.direction), 'host', printStation(primitive.bytes))
    case 'port': {
      const { low, high } = primitive
      const ports = low === high ? `port ${low}` : `portrange ${low}-${high}`
      return words(primitive.transport, direction(primitive.direction), ports)
    }
    case 'ip-protocol':
      return printIpProtocol(primitive)
    case 'link-protocol':
      return printLinkProtocol(primitive.type)
    case 'protocol-chain':
      return words(family(primitive.family), 'protochain', String(primitive.protocol))
    case 'encapsulation':
      return words(primitive.type, primitive.id === null ? null : String(primitive.id))
    case 'cast':
      return words(primitive.layer === 'link' ? 'ether' : primitive.layer, primitive.cast)
    case 'gateway':
      return words(primitive.protocol, 'gateway', primitive.host)
    case 'direction':
      return primitive.direction
    case 'interface':
      return `ifindex ${primitive.index}`
    case 'iso-protocol':
      return printIsoProtocol(primitive)
    case 'llc':
      return words('llc', llcFrame(primitive.frame, primitive.value))
    case 'wlan':
      return printWlan(primitive.byte, primitive.mask, primitive.value)
    case 'pf':
      return words(primitive.field, packetFilterValue(primitive.field, primitive.value))
    case 'telephony': {
      const { field, operator, value } = primitive
      return TELEPHONY_SIGNALS.has(field) ? field : `${field} ${operator} ${value}`
    }
  }
}

function words(...parts: readonly (string | null)[]): string {
  return parts.filter((part) => part !== null).join(' ')
}

function direction(of: Direction): string | null {
  if (of === 'src-or-dst') return null
  return of === 'src-and-dst' ? 'src and dst' : of
}

function family(version: 4 | 6 | null): string | null {
  return version === null ? null : version === 4 ? 'ip' : 'ip6'
}

function printNetwork({ family, words, mask }: AddressPrimitive): string {
  const address = family === 4 ? formatIpv4(words[0]!) : formatIpv6(words)
  const lengths = mask.map((word) => Math.clz32(~word))
  if (mask.every((word, index) => prefixMask(lengths[index]!) === word)) {
    const length = lengths.reduce((sum, bits) => sum + bits)
    return length === 32 * mask.length ? `host ${address}` : `net ${address}/${length}`
  }
  return `net ${address} mask ${formatIpv4(mask[0]!)}`
}

function printStation(bytes: readonly number[]): string {
  const digits = bytes.map((byte) => byte.toString(16).padStart(2, '0'))
  return digits.length === 1 ? `$${digits[0]}` : digits.join(':')
}

function printIpProtocol({ family: version, protocol }: IpProtocolPrimitive): string {
  const found = Object.entries(IP_WORDS).find(([, word]) => word.family === version && word.protocol === protocol)
  return found?.[0] ?? words(family(version), 'proto', String(protocol))
}

function printLinkProtocol(type: number): string {
  const name = nameOf(ETHER_TYPES, type) ?? nameOf(LLC_SAPS, type)
  return name !== null && isProtocolName(name) ? name : `ether proto 0x${type.toString(16)}`
}

function printIsoProtocol({ layer, types }: IsoProtocolPrimitive): string {
  if (layer === 'iso') return nameOf(ISO_PROTOCOLS, types[0]!) ?? `iso proto ${types[0]}`
  const group = [...ISIS_PDU_TYPES].find(([, members]) => members.join() === types.join())
  return group?.[0] ?? `isis proto ${types[0]}`
}

function llcFrame(frame: string | null, value: number): string | null {
  if (frame === 's-subtype') return nameOf(LLC_SUPERVISORY, value)
  return frame === 'u-subtype' ? nameOf(LLC_UNNUMBERED, value) : frame
}

function printWlan(byte: 0 | 1, mask: number, value: number): string {
  if (byte === 1) return `dir ${value}`
  const type = `type 0x${(value & 0x0c).toString(16)}`
  return mask === 0x0c ? type : `${type} subtype 0x${(value & 0xf0).toString(16)}`
}

function packetFilterValue(field: string, value: string | number): string | null {
  if (typeof value === 'string') return escaped(value)
  return field === 'action' ? nameOf(PF_ACTIONS, value) : String(value)
}

/** A backslash before names that the lexer would take for something else. */
function escaped(name: string): string {
  const isPlain = /^[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?$/.test(name) && /[g-wyzG-WYZ]/.test(name)
  return isPlain && !KEYWORDS.has(name) && !CONSTANTS.has(name) ? name : `\\${name}`
}

function nameOf(names: ReadonlyMap<string, number>, value: number): string | null {
  for (const [name, number] of names) if (number === value) return name
  return null
}
