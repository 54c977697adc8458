import { AssemblerError } from './assembler-error.js'
import type { Instruction } from './instruction.js'
import { LDDW } from './opcodes.js'
import { faultOf } from './validate.js'

/**
 * The inverse of `encode`. Throws an AssemblerError that names the slot for an
 * unknown opcode or register, for a reserved field that is not zero, and for
 * half an instruction at the end.
 */
export function decode(bytes: Uint8Array): Instruction[] {
  if (bytes.length === 0 || bytes.length % 8 !== 0)
    throw new AssemblerError(`a program of ${bytes.length} bytes; it needs one or more slots of 8`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const instructions: Instruction[] = []
  for (let at = 0; at < bytes.length; at += 8) {
    const instruction = {
      opcode: view.getUint8(at),
      dst: view.getUint8(at + 1) & 15,
      src: view.getUint8(at + 1) >> 4,
      offset: view.getInt16(at + 2, true),
      imm: view.getInt32(at + 4, true),
    }
    const slot = at / 8
    const fault = faultOf(instruction)
    if (fault) throw new AssemblerError(`slot ${slot}: ${fault}`)
    if (instruction.opcode !== LDDW) {
      instructions.push(instruction)
      continue
    }
    at += 8
    if (at === bytes.length) throw new AssemblerError(`slot ${slot}: the second half of the wide immediate is missing`)
    if (view.getUint32(at, true) !== 0)
      throw new AssemblerError(
        `slot ${slot + 1}: the second half of a wide immediate has only its immediate; clear the rest`,
      )
    const wide = { ...instruction, immHigh: view.getInt32(at + 4, true) }
    const halfFault = faultOf(wide)
    if (halfFault) throw new AssemblerError(`slot ${slot}: ${halfFault}`)
    instructions.push(wide)
  }
  return instructions
}
