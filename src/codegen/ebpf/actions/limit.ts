import {
  alu64,
  callLocal,
  exit,
  type Item,
  jump,
  jumpIf,
  label,
  load,
  loadWide,
  mov64,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R10,
  store,
} from '../../../ebpf/index.js'
import { PACKET, PACKET_END } from '../evaluate.js'
import type { LimitAction } from './action.js'
import { TIME_SHIFT } from './bucket.js'
import { countAndGoOn } from './count.js'
import { limitFunction, nameOfKey } from './limit-table.js'
import { type Parts, SLOT_KEY, XDP_DROP } from './parts.js'

const PARTS_PER_SECOND = 1e9 * 2 ** TIME_SHIFT
/** The longest time that fits signed 64 bits beside the machine's clock: nine years. */
const MOST_PARTS = 2 ** 62
/** Lengths are below 2^20, so a byte's cost below this cannot overflow when it is multiplied. */
const MOST_FACTOR = 2 ** 40
const MOST_SHIFT = 24

/** On the stack while the packet is counted: 1 where it was over. */
const OVER = -24

/** R0 = 1 where the packet is over the rule's limit, otherwise 0; what is within takes its tokens. */
export function askLimit(parts: Parts, { key, unit, perSecond, burst }: LimitAction): Item[] {
  const partsPerUnit = PARTS_PER_SECOND / perSecond
  const cost = Math.max(1, Math.round(partsPerUnit))
  const window = Math.round(unit === 'packets' ? burst * cost : burst * partsPerUnit)
  if (!(perSecond > 0 && burst > 0 && partsPerUnit < MOST_PARTS && window < MOST_PARTS))
    throw new RangeError(
      `a limit of ${perSecond} ${unit} a second with a burst of ${burst} cannot be kept: both must be above zero, and the burst must be back within nine years`,
    )
  return [
    ...(unit === 'packets' ? [loadWide(R4, BigInt(cost))] : costOfBytes(parts, partsPerUnit)),
    mov64(R1, PACKET),
    mov64(R2, PACKET_END),
    load('u32', R3, R10, SLOT_KEY),
    loadWide(R5, BigInt(window)),
    callLocal(parts.useFunction(nameOfKey(key), () => limitFunction(parts, key))),
  ]
}

/** Passes or drops by R0 of `askLimit`, with the packet counted, and ends. */
export function endLimit(parts: Parts): Item[] {
  const ending = parts.useEnding('limited', () => [
    store('u64', R10, OVER, R0),
    ...countAndGoOn(parts, R0),
    load('u64', R1, R10, OVER),
    jumpIf(R1, '!=', 0, 'over the limit'),
    ...parts.pass(),
    label('over the limit'),
    mov64(R0, XDP_DROP),
    exit(),
  ])
  return [jump(ending)]
}

/** Length x cost of a byte into R4, as a product and a shift, so that fractions of the clock count. */
function costOfBytes(parts: Parts, partsPerByte: number): Item[] {
  let shift = MOST_SHIFT
  while (shift > 0 && partsPerByte * 2 ** shift >= MOST_FACTOR) shift--
  const factor = Math.max(1, Math.round(partsPerByte * 2 ** shift))
  return [...parts.lengthInto(R4), loadWide(R5, BigInt(factor)), alu64('mul', R4, R5), alu64('rsh', R4, shift)]
}
