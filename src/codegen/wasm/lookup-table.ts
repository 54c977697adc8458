import { access, block, brIf, end, get, i32, i64, op, set, tee, type WasmFunction } from '../../wasm/index.js'
import type { RuleTable } from '../sets/rule-table.js'
import { NO_RULE } from './bundle.js'
import { longs, words } from './lookup-parts.js'

/**
 * `name(words…, image)`: the rule of a tuple of so many words, or NO_RULE, in
 * the image of a `RuleTable` at that address of the memory.
 */
export function lookupTable(name: string, width: number, table: RuleTable): WasmFunction {
  const key = Array.from({ length: width }, (_, index) => `word${index}`)
  const { first, second, bucketBits, slotBits, slotsAt, slotBytes } = table
  return {
    name,
    exported: false,
    parameters: words(...key, 'image'),
    results: ['i32'],
    locals: [...words('hash', 'slot'), ...longs('product')],
    body: [
      block('missing'),
      ...key.flatMap((word) => [
        ...[get('hash'), get(word), op('i32.xor'), op('i64.extend_i32_u'), i64(BigInt(first)), op('i64.mul')],
        ...[tee('product'), i64(32n), op('i64.shr_u'), get('product'), op('i64.xor'), op('i32.wrap_i64'), set('hash')],
      ]),
      // The displacement of the bucket, 16 bits.
      ...[get('hash'), i32(32 - bucketBits), op('i32.shr_u'), i32(1), op('i32.shl'), get('image'), op('i32.add')],
      ...[access('i32.load16_u', 0), get('hash'), op('i32.xor'), i32(second), op('i32.mul')],
      ...[i32(32 - slotBits), op('i32.shr_u'), i32(slotBytes), op('i32.mul'), get('image'), op('i32.add'), set('slot')],
      ...key.flatMap((word, index) => [
        ...[get('slot'), access('i32.load', slotsAt + 4 * index), get(word), op('i32.ne'), brIf('missing')],
      ]),
      ...[get('slot'), access('i32.load', slotsAt + 4 * width), op('return')],
      ...[end, i32(NO_RULE)],
    ],
  }
}
