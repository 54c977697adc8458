declare const registerBrand: unique symbol

/** One of the eleven registers. A value of its own type, so that it cannot be taken for an immediate. */
export interface Register {
  readonly index: number
  readonly [registerBrand]: true
}

function register(index: number): Register {
  return Object.freeze({ index }) as Register
}

/** Return value of calls and of the program. */
export const R0 = register(0)
/** First argument; at entry the context (for XDP: `struct xdp_md *`). R1 to R5 are lost in a call. */
export const R1 = register(1)
/** Second argument. */
export const R2 = register(2)
/** Third argument. */
export const R3 = register(3)
/** Fourth argument. */
export const R4 = register(4)
/** Fifth argument. */
export const R5 = register(5)
/** R6 to R9 survive calls. */
export const R6 = register(6)
/** Survives calls. */
export const R7 = register(7)
/** Survives calls. */
export const R8 = register(8)
/** Survives calls. */
export const R9 = register(9)
/** End of the frame's 512 bytes of stack; read-only. */
export const R10 = register(10)

/** All registers, by index. */
export const REGISTERS: readonly Register[] = [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10]

/** What most instructions take as their second operand: a register, or a signed 32-bit immediate. */
export type Operand = Register | number
