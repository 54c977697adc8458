import type { IsoProtocolPrimitive } from '../filter/index.js'
import { all, any, type Condition, compare, matchesMask } from './condition.js'
import { type Headers, isoNetworkOf } from './headers.js'
import { LLC } from './link/llc.js'
import { carries } from './network.js'
import { constant, load } from './value.js'

/** Network layer protocol identifier of IS-IS (ISO/IEC TR 9577). */
const ISIS = 0x83
/** The PDU type is the low 5 bits of the fifth byte (ISO 10589, section 9); the others are reserved. */
const PDU_TYPE = { offset: 4, mask: 0x1f } as const

/** `clnp`, `esis`, `iso proto N`: the identifier in the first byte behind LLC; `isis proto N`, `l1`: the PDU type. */
export function lowerIsoProtocol(primitive: IsoProtocolPrimitive, headers: Headers): Condition {
  const { layer, types } = primitive
  const hasIdentifier = (identifier: number) => namesIso(primitive, headers, identifier)
  if (layer === 'iso') return any(...types.map(hasIdentifier))
  const pduType = load(isoNetworkOf(headers), PDU_TYPE.offset, 1)
  return all(hasIdentifier(ISIS), any(...types.map((type) => matchesMask(pduType, PDU_TYPE.mask, type))))
}

function namesIso({ span }: IsoProtocolPrimitive, headers: Headers, identifier: number): Condition {
  const { namesIso: names } = headers.link
  if (names !== null && headers.labels === 0) return names(headers, identifier)
  const first = load(isoNetworkOf(headers), 0, 1)
  return all(carries(headers, LLC.iso, span), compare(first, '=', constant(identifier)))
}
