import { slotsOf } from './assembler.js'
import type { Instruction } from './instruction.js'
import { LDDW } from './opcodes.js'

/**
 * Instructions as the kernel takes them: 8 bytes a slot, little-endian
 * (RFC 9669, section 3): opcode, src << 4 | dst, 16-bit offset, 32-bit
 * immediate. The second slot of a wide immediate has only the immediate.
 */
export function encode(instructions: readonly Instruction[]): Uint8Array {
  const slots = instructions.reduce((sum, instruction) => sum + slotsOf(instruction), 0)
  const bytes = new Uint8Array(slots * 8)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const { opcode, dst, src, offset, imm, immHigh } of instructions) {
    view.setUint8(at, opcode)
    view.setUint8(at + 1, (src << 4) | dst)
    view.setInt16(at + 2, offset, true)
    view.setInt32(at + 4, imm, true)
    at += 8
    if (opcode !== LDDW) continue
    view.setInt32(at + 4, immHigh ?? 0, true)
    at += 8
  }
  return bytes
}
