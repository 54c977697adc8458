import {
  alu64,
  call,
  helperId,
  type Item,
  jumpIf,
  label,
  load,
  mov64,
  R0,
  R1,
  R2,
  R3,
  store,
} from '../../../ebpf/index.js'
import { PACKET } from '../evaluate.js'
import { CONTEXT, type Parts, reloadPacket, XDP_MD } from './parts.js'

const MARK_BYTES = 4

/**
 * Writes `value` into the first four bytes of the metadata, and makes room for
 * them where there is none; a later mark replaces an earlier one. A driver
 * that keeps no metadata leaves the packet unmarked.
 */
export function mark(parts: Parts, value: number): Item[] {
  const hasRoom = parts.uniqueLabel()
  const unmarked = parts.uniqueLabel()
  const findRoom = [load('u32', R2, CONTEXT, XDP_MD.dataMeta), mov64(R3, R2), alu64('add', R3, MARK_BYTES)]
  return [
    ...findRoom,
    jumpIf(R3, '<=', PACKET, hasRoom),
    mov64(R1, CONTEXT),
    mov64(R2, -MARK_BYTES),
    call(helperId('bpf_xdp_adjust_meta')),
    // The verifier forgets packet pointers here, whatever the helper answers.
    ...reloadPacket(),
    jumpIf(R0, '!=', 0, unmarked),
    ...findRoom,
    jumpIf(R3, '>', PACKET, unmarked),
    label(hasRoom),
    store('u32', R2, 0, value),
    label(unmarked),
  ]
}
