import {
  access,
  block,
  br,
  brIf,
  end,
  get,
  type Instruction,
  i32,
  loop,
  op,
  set,
  tee,
  type WasmFunction,
} from '../../wasm/index.js'
import {
  BUCKET_BYTES,
  BUCKETS_AT,
  FIRST_NODE,
  HASH,
  KEY_BYTES,
  KEYS_AT,
  NODE,
  NODE_BYTES,
  SLOTS,
} from '../sets/v6-table.js'
import { longs, shifted, words } from './lookup-parts.js'

/**
 * `name(word0, word1, word2, word3, image)`: 1 where the address (words in host
 * order, most significant first) is in the image that `buildV6Table` has made,
 * which lies at that address of the memory; else 0.
 */
export function lookupV6(name: string): WasmFunction {
  return {
    name,
    exported: false,
    parameters: words('word0', 'word1', 'word2', 'word3', 'image'),
    results: ['i32'],
    locals: [...words('node', 'hash', 'bucket', 'tag', 'masked'), ...longs('high', 'low')],
    body: [
      ...[get('image'), i32(FIRST_NODE * NODE_BYTES), op('i32.add'), set('node')],
      block('not in set'),
      loop('step'),
      ...[get('node'), access('i32.load', NODE.start), set('hash')],
      // The more significant word of a u64 comes last.
      ...[...maskedPair('word0', 'word1', NODE.high), set('high')],
      ...[...maskedPair('word2', 'word3', NODE.low), set('low')],
      block('found marker'),
      ...[get('hash'), ...inBucket],
      ...[get('hash'), i32(HASH.second), op('i32.mul'), i32(HASH.secondShift), op('i32.shr_u'), ...inBucket],
      ...[...next(NODE.nothing), br('step')],
      end,
      ...[...next(NODE.marker), br('step')],
      end,
      end,
      i32(0),
    ],
  }
}

/** Leaves two words of the address, masked, as a u64, and goes on with the hash as `bucketsOf` does. */
function maskedPair(upper: string, lower: string, offset: number): Instruction[] {
  const masked = (word: string, at: number) => [
    ...[get(word), get('node'), access('i32.load', at), op('i32.and'), tee('masked')],
    ...[get('hash'), op('i32.xor'), i32(HASH.word), op('i32.mul'), tee('hash')],
    ...[get('hash'), i32(HASH.wordShift), op('i32.shr_u'), op('i32.xor'), set('hash')],
    ...[get('masked'), op('i64.extend_i32_u')],
  ]
  return [...masked(upper, offset + 4), ...longShift, ...masked(lower, offset), op('i64.or')]
}

const longShift = [i32(32), op('i64.extend_i32_u'), op('i64.shl')]

/** With a hash on the stack: returns 1 where its bucket has the prefix; goes to "found marker" where it has the marker. */
const inBucket: readonly Instruction[] = [
  ...[get('node'), access('i32.load', NODE.mask), op('i32.and'), ...shifted(Math.log2(BUCKET_BYTES))],
  ...[get('image'), op('i32.add'), set('bucket')],
  ...Array.from({ length: SLOTS }, (_, slot) => {
    const key = BUCKETS_AT + KEYS_AT + slot * KEY_BYTES
    return [
      block('other slot'),
      ...[get('bucket'), access('i64.load', key), get('high'), op('i64.ne'), brIf('other slot')],
      ...[get('bucket'), access('i64.load', key + 8), get('low'), op('i64.ne'), brIf('other slot')],
      ...[get('bucket'), access('i32.load', BUCKETS_AT + slot * 4)],
      ...[get('node'), access('i32.load', NODE.tag), op('i32.xor'), tee('tag')],
      ...[op('i32.eqz'), brIf('found marker'), get('tag'), i32(1), op('i32.ne'), brIf('other slot')],
      ...[i32(1), op('return'), end],
    ]
  }).flat(),
]

/** Goes on to the step that is written there; 0 is the end. */
function next(field: number): Instruction[] {
  return [
    ...[get('node'), access('i32.load16_u', field), tee('tag'), op('i32.eqz'), brIf('not in set')],
    ...[get('tag'), ...shifted(Math.log2(NODE_BYTES)), get('image'), op('i32.add'), set('node')],
  ]
}
