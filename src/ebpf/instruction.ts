/**
 * One eBPF instruction as a plain value (RFC 9669, section 3). A wide
 * instruction (`lddw`) is one value here and takes two slots when encoded.
 */
export interface Instruction {
  readonly opcode: number
  readonly dst: number
  readonly src: number
  /** Signed 16 bits. */
  readonly offset: number
  /** Signed 32 bits; the low half of a wide immediate. */
  readonly imm: number
  /** Upper 32 bits of a wide immediate, signed; only for `lddw`. */
  readonly immHigh?: number
}
