/**
 * Instructions by name, as in chapter 5.4 of the WebAssembly core
 * specification 2.0. Floating point, tables of references and vectors are left
 * out: packets have none.
 */

/** What an instruction takes from the stack and how many values it leaves. */
interface Signature {
  readonly opcode: number
  readonly takes: number
  readonly gives: 0 | 1
}

const unary = (opcode: number): Signature => ({ opcode, takes: 1, gives: 1 })
const binary = (opcode: number): Signature => ({ opcode, takes: 2, gives: 1 })
const load = (opcode: number): Signature => ({ opcode, takes: 1, gives: 1 })
const store = (opcode: number): Signature => ({ opcode, takes: 2, gives: 0 })

/** Instructions without an immediate. */
export const OPERATIONS = {
  unreachable: { opcode: 0x00, takes: 0, gives: 0 },
  nop: { opcode: 0x01, takes: 0, gives: 0 },
  return: { opcode: 0x0f, takes: 0, gives: 0 },
  drop: { opcode: 0x1a, takes: 1, gives: 0 },
  select: { opcode: 0x1b, takes: 3, gives: 1 },
  'i32.eqz': unary(0x45),
  'i32.eq': binary(0x46),
  'i32.ne': binary(0x47),
  'i32.lt_s': binary(0x48),
  'i32.lt_u': binary(0x49),
  'i32.gt_s': binary(0x4a),
  'i32.gt_u': binary(0x4b),
  'i32.le_s': binary(0x4c),
  'i32.le_u': binary(0x4d),
  'i32.ge_s': binary(0x4e),
  'i32.ge_u': binary(0x4f),
  'i64.eqz': unary(0x50),
  'i64.eq': binary(0x51),
  'i64.ne': binary(0x52),
  'i64.lt_s': binary(0x53),
  'i64.lt_u': binary(0x54),
  'i64.gt_s': binary(0x55),
  'i64.gt_u': binary(0x56),
  'i64.le_s': binary(0x57),
  'i64.le_u': binary(0x58),
  'i64.ge_s': binary(0x59),
  'i64.ge_u': binary(0x5a),
  'i32.clz': unary(0x67),
  'i32.ctz': unary(0x68),
  'i32.popcnt': unary(0x69),
  'i32.add': binary(0x6a),
  'i32.sub': binary(0x6b),
  'i32.mul': binary(0x6c),
  'i32.div_s': binary(0x6d),
  'i32.div_u': binary(0x6e),
  'i32.rem_s': binary(0x6f),
  'i32.rem_u': binary(0x70),
  'i32.and': binary(0x71),
  'i32.or': binary(0x72),
  'i32.xor': binary(0x73),
  'i32.shl': binary(0x74),
  'i32.shr_s': binary(0x75),
  'i32.shr_u': binary(0x76),
  'i32.rotl': binary(0x77),
  'i32.rotr': binary(0x78),
  'i64.clz': unary(0x79),
  'i64.ctz': unary(0x7a),
  'i64.popcnt': unary(0x7b),
  'i64.add': binary(0x7c),
  'i64.sub': binary(0x7d),
  'i64.mul': binary(0x7e),
  'i64.div_s': binary(0x7f),
  'i64.div_u': binary(0x80),
  'i64.rem_s': binary(0x81),
  'i64.rem_u': binary(0x82),
  'i64.and': binary(0x83),
  'i64.or': binary(0x84),
  'i64.xor': binary(0x85),
  'i64.shl': binary(0x86),
  'i64.shr_s': binary(0x87),
  'i64.shr_u': binary(0x88),
  'i64.rotl': binary(0x89),
  'i64.rotr': binary(0x8a),
  'i32.wrap_i64': unary(0xa7),
  'i64.extend_i32_s': unary(0xac),
  'i64.extend_i32_u': unary(0xad),
} as const satisfies Record<string, Signature>

/** Loads and stores; all are little-endian, and right at every address. */
export const ACCESSES = {
  'i32.load': load(0x28),
  'i64.load': load(0x29),
  'i32.load8_s': load(0x2c),
  'i32.load8_u': load(0x2d),
  'i32.load16_s': load(0x2e),
  'i32.load16_u': load(0x2f),
  'i64.load8_s': load(0x30),
  'i64.load8_u': load(0x31),
  'i64.load16_s': load(0x32),
  'i64.load16_u': load(0x33),
  'i64.load32_s': load(0x34),
  'i64.load32_u': load(0x35),
  'i32.store': store(0x36),
  'i64.store': store(0x37),
  'i32.store8': store(0x3a),
  'i32.store16': store(0x3b),
  'i64.store8': store(0x3c),
  'i64.store16': store(0x3d),
  'i64.store32': store(0x3e),
} as const satisfies Record<string, Signature>
