import {
  FLOWS_RULE_COUNT,
  FLOWS_RULES,
  KEY_DESTINATION,
  KEY_FAMILY,
  KEY_PORTS,
  KEY_PROTOCOL,
  KEY_SOURCE,
  RULE_BYTES,
  RULE_DESTINATION,
  RULE_FAMILY,
  RULE_KIND,
  RULE_MASK,
  RULE_PORTS,
  RULE_PREFIX,
  RULE_PROTOCOL,
  RULE_TARGET,
  TUPLE_ADDRESSES,
} from './formats'
import { sumAddresses } from './packet.inline.as'

export function hasRules(flows: u32): bool {
  return load<u32>(flows, FLOWS_RULE_COUNT) !== 0
}

/** The address of a key's source, or of its destination. */
export function addressOf(tuple: u32, field: u32): u32 {
  return load<u8>(tuple, KEY_FAMILY) === 4 ? tuple + field : tuple + <u32>TUPLE_ADDRESSES + (field << 2)
}

export function setAddress(tuple: u32, field: u32, from: u32): void {
  const isIpv4 = load<u8>(tuple, KEY_FAMILY) === 4
  memory.copy(addressOf(tuple, field), from, isIpv4 ? 4 : 16)
  if (!isIpv4) sumAddresses(tuple)
}

export function isWithin(rule: u32, tuple: u32, field: u32): bool {
  const family = <u32>load<u8>(rule, RULE_FAMILY)
  if (family !== load<u8>(tuple, KEY_FAMILY)) return false
  const address = addressOf(tuple, field)
  if (family === 4) return (load<u32>(address) & load<u32>(rule, RULE_MASK)) === load<u32>(rule, RULE_PREFIX)
  const masked = v128.and(v128.load(address), v128.load(rule, RULE_MASK))
  return !v128.any_true(v128.xor(masked, v128.load(rule, RULE_PREFIX)))
}

/**
 * Looks for a rule that translates the destination of `tuple`, a new flow's key,
 * and writes its address and port to the key of what answers. False where there is none.
 */
export function publish(flows: u32, tuple: u32, answer: u32): bool {
  const protocol = <u32>load<u8>(tuple, KEY_PROTOCOL)
  let rule = load<u32>(flows, FLOWS_RULES)
  for (const end = rule + load<u32>(flows, FLOWS_RULE_COUNT) * RULE_BYTES; rule < end; rule += RULE_BYTES) {
    if (load<u8>(rule, RULE_KIND) !== RULE_DESTINATION || !isWithin(rule, tuple, KEY_DESTINATION)) continue
    const wanted = <u32>load<u8>(rule, RULE_PROTOCOL)
    if (wanted !== 0 && wanted !== protocol) continue
    const port = <u32>load<u16>(rule, RULE_PORTS)
    if (port !== 0 && port !== <u32>load<u16>(tuple, KEY_PORTS + 2)) continue
    setAddress(answer, KEY_SOURCE, rule + <u32>RULE_TARGET)
    const target = load<u16>(rule, RULE_PORTS + 2)
    if (target !== 0) store<u16>(answer, target, KEY_PORTS)
    return true
  }
  return false
}
