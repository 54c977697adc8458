import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assemble, disassemble, exit, formatInstruction, loadMap, loadMapValue, parseText, R1, R2 } from './index.js'

/** Text of the assembler, and the same in the notation of kernel/bpf/disasm.c. */
const NOTATION: readonly (readonly [text: string, kernel: string])[] = [
  ['mov %r0, 2', 'r0 = 2'],
  ['mov %r3, %r2', 'r3 = r2'],
  ['add32 %r1, %r2', 'w1 += w2'],
  ['sub %r1, -5', 'r1 -= -5'],
  ['sdiv %r1, %r2', 'r1 s/= r2'],
  ['smod32 %r1, 3', 'w1 s%= 3'],
  ['arsh %r1, 3', 'r1 s>>= 3'],
  ['movsx832 %r1, %r2', 'w1 = (s8)w2'],
  ['movsx3264 %r1, %r2', 'r1 = (s32)r2'],
  ['neg %r4', 'r4 = -r4'],
  ['neg32 %r4', 'w4 = -w4'],
  ['be16 %r0', 'r0 = be16 r0'],
  ['le64 %r0', 'r0 = le64 r0'],
  ['bswap32 %r0', 'r0 = bswap32 r0'],
  ['cast_user %r1, %r2', 'r1 = addr_space_cast(r2, 1, 0)'],
  ['ldxb %r2, [%r1]', 'r2 = *(u8 *)(r1 +0)'],
  ['ldxsw %r2, [%r1-4]', 'r2 = *(s32 *)(r1 -4)'],
  ['stdw [%r10-8], -1', '*(u64 *)(r10 -8) = -1'],
  ['stxh [%r1+2], %r3', '*(u16 *)(r1 +2) = r3'],
  ['lock add [%r1], %r2', 'lock *(u64 *)(r1 +0) += r2'],
  ['lock xor32 [%r1], %r2', 'lock *(u32 *)(r1 +0) ^= r2'],
  ['lock fetch and [%r1], %r2', 'r2 = atomic64_fetch_and((u64 *)(r1 +0), r2)'],
  ['lock fetch or32 [%r1], %r2', 'r2 = atomic_fetch_or((u32 *)(r1 +0), r2)'],
  ['lock xchg [%r1], %r2', 'r2 = atomic64_xchg((u64 *)(r1 +0), r2)'],
  ['lock cmpxchg32 [%r1], %r2', 'r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)'],
  ['load_acquire w %r2, [%r1+4]', 'r2 = load_acquire((u32 *)(r1 +4))'],
  ['store_release b [%r1+4], %r2', 'store_release((u8 *)(r1 +4), r2)'],
  ['lddw %r1, 0xffffffff00000001', 'r1 = 0xffffffff00000001'],
  ['lddw mapFd %r1, 5', 'r1 = map[fd:5]'],
  ['lddw mapValue %r1, 0x800000005', 'r1 = map[fd:5][0]+8'],
  ['lddw mapIndex %r1, 1', 'r1 = map[idx:1]'],
  ['lddw function %r1, +1', 'r1 = subprog[+1]'],
  ['jeq %r1, 0, +0', 'if r1 == 0x0 goto pc+0'],
  ['jsle %r1, -1, +0', 'if r1 s<= 0xffffffff goto pc+0'],
  ['jset32 %r1, %r2, -1', 'if w1 & w2 goto pc-1'],
  ['ja +0', 'goto pc+0'],
  ['ja32 +0', 'gotol pc+0'],
  ['may_goto +0', 'may_goto pc+0'],
  ['call 1', 'call bpf_map_lookup_elem#1'],
  ['call 9999', 'call unknown#9999'],
  ['call local +0', 'call pc+0'],
  ['call kernel 77, 0', 'call kernel-function#77'],
  ['ldabsh 12', 'r0 = *(u16 *)skb[12]'],
  ['ldindb %r6, 9', 'r0 = *(u8 *)skb[r6 + 9]'],
  ['exit', 'exit'],
]

test('instructions are written as the kernel writes them', () => {
  for (const [text, kernel] of NOTATION) assert.equal(formatInstruction(parseText(`${text}\nexit`)[0]), kernel, text)
})

test('maps have their names', () => {
  assert.equal(
    disassemble(assemble([loadMap(R1, 'counters'), loadMapValue(R2, 'settings', 16), exit()])),
    ['   0: (18) r1 = map[counters]', '   2: (18) r2 = map[settings][0]+16', '   4: (95) exit'].join('\n'),
  )
})
