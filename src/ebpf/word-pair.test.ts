import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '../../test/support/random.js'
import { divide64, divideSigned64, multiply64 } from './word-pair.js'

const EDGES = [
  0n,
  1n,
  2n,
  3n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  1n << 32n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
]

const OPERATIONS: readonly [name: string, run: Run, oracle: (a: bigint, b: bigint) => bigint][] = [
  ['*', multiply64, (a, b) => a * b],
  ['/', (lo, hi, dst, src) => divide64(lo, hi, dst, src, false), (a, b) => a / b],
  ['%', (lo, hi, dst, src) => divide64(lo, hi, dst, src, true), (a, b) => a % b],
  ['s/', (lo, hi, dst, src) => divideSigned64(lo, hi, dst, src, false), (a, b) => signed(a) / signed(b)],
  ['s%', (lo, hi, dst, src) => divideSigned64(lo, hi, dst, src, true), (a, b) => signed(a) % signed(b)],
]

type Run = (lo: Int32Array, hi: Int32Array, dst: number, src: number) => void

test('arithmetic on pairs of words is that of BigInt', (context) => {
  const random = seededRandom(context, 'ebpf/word-pair')
  const pairs = EDGES.flatMap((a) => EDGES.map((b) => [a, b] as const))
  for (let count = 0; count < 5000; count++) pairs.push([wide(random), wide(random)])
  for (const [a, b] of pairs) {
    for (const [name, run, oracle] of OPERATIONS) {
      if (b === 0n && name !== '*') continue
      assert.equal(apply(run, a, b), BigInt.asUintN(64, oracle(a, b)), `${a} ${name} ${b}`)
    }
  }
})

function apply(run: Run, a: bigint, b: bigint): bigint {
  const lo = Int32Array.of(Number(BigInt.asIntN(32, a)), Number(BigInt.asIntN(32, b)))
  const hi = Int32Array.of(Number(BigInt.asIntN(32, a >> 32n)), Number(BigInt.asIntN(32, b >> 32n)))
  run(lo, hi, 0, 1)
  return (BigInt(hi[0] >>> 0) << 32n) | BigInt(lo[0] >>> 0)
}

/** Of any length, so that quotients are of any size. */
function wide(random: Random): bigint {
  return ((BigInt(random.word()) << 32n) | BigInt(random.word())) >> BigInt(random.below(64))
}

function signed(value: bigint): bigint {
  return BigInt.asIntN(64, value)
}
