import { atomic32, atomic64 } from './atomics.js'
import { locate, MAX_FRAMES, type Memory, REGION, REGION_SHIFT, STACK_BYTES } from './memory.js'
import { divide64, divideSigned64, multiply64, negatedHigh } from './word-pair.js'

/**
 * Operations of the interpreter. An immediate is a register of its own, which
 * nothing writes, so there is one operation for both forms of an instruction.
 */
// biome-ignore lint/suspicious/noConstEnum: only literal case labels become a jump table
export const enum Op {
  Add64,
  Sub64,
  Mul64,
  Div64,
  Sdiv64,
  Or64,
  And64,
  Lsh64,
  Rsh64,
  Neg64,
  Mod64,
  Smod64,
  Xor64,
  Mov64,
  Arsh64,
  Add32,
  Sub32,
  Mul32,
  Div32,
  Sdiv32,
  Or32,
  And32,
  Lsh32,
  Rsh32,
  Neg32,
  Mod32,
  Smod32,
  Xor32,
  Mov32,
  Arsh32,
  Movs8To64,
  Movs16To64,
  Movs32To64,
  Movs8To32,
  Movs16To32,
  Cut16,
  Cut32,
  Cut64,
  Swap16,
  Swap32,
  Swap64,
  LoadU8,
  LoadU16,
  LoadU32,
  LoadU64,
  LoadS8,
  LoadS16,
  LoadS32,
  Store8,
  Store16,
  Store32,
  Store64,
  Atomic32,
  Atomic64,
  Goto,
  MayGoto,
  Jeq64,
  Jne64,
  Jgt64,
  Jge64,
  Jlt64,
  Jle64,
  Jsgt64,
  Jsge64,
  Jslt64,
  Jsle64,
  Jset64,
  Jeq32,
  Jne32,
  Jgt32,
  Jge32,
  Jlt32,
  Jle32,
  Jsgt32,
  Jsge32,
  Jslt32,
  Jsle32,
  Jset32,
  CallHelper,
  CallLocal,
  Exit,
}

/**
 * Words of an instruction in `Machine.code`: operation, dst, src, then the
 * offset or the index of the word to jump to, then the immediate where it is
 * no operand (the kind of an atomic operation, the number of a helper).
 */
export const CODE_WORDS = 5

/** A helper: arguments in registers 1 to 5, result in register 0; a returned sentence is a fault. */
export type Helper = (machine: Machine) => string | undefined

/** The state of one program, made once and used for every run. */
export interface Machine {
  readonly code: Int32Array
  /** Slot of each instruction, for faults. */
  readonly slots: Int32Array
  /** Low words of the eleven registers, then of the immediates. */
  readonly lo: Int32Array
  readonly hi: Int32Array
  readonly memory: Memory
  readonly helpers: readonly (Helper | undefined)[]
  readonly helperName: (id: number) => string
  readonly stepLimit: number
  /** Return place and R6 to R9 of each local call. */
  readonly saved: Int32Array
  readonly returned: { kind: 'return'; value: number; high: number; steps: number }
  readonly faulted: { kind: 'fault'; reason: string; slot: number; steps: number }
}

/** Where `may_goto` jumps at last (BPF_MAX_LOOPS of include/linux/bpf.h). */
const MAY_GOTO_BUDGET = 8 * 1024 * 1024
const SAVED_WORDS = 9
/** What a call leaves in R1 to R5: no program that the verifier accepts can see it. */
const SCRATCHED = 0x5ca7c4ed

/** Runs from the first instruction to `exit` or to a fault; R1 and R2 are what the caller has put there. */
export function execute(machine: Machine): Machine['returned'] | Machine['faulted'] {
  const { code, lo, hi, memory } = machine
  const { view, readEnd, writeEnd } = memory
  let budget = machine.stepLimit
  let loops = MAY_GOTO_BUDGET
  let depth = 0
  let pc = 0
  openFrame(machine, 0)
  for (;;) {
    if (budget-- === 0) return fail(machine, pc, budget, `no exit within ${machine.stepLimit} instructions`)
    const dst = code[pc + 1]!
    const src = code[pc + 2]!
    const offset = code[pc + 3]!
    switch (code[pc]) {
      case Op.Add64: {
        const sum = (lo[dst]! + lo[src]!) | 0
        const carry = sum >>> 0 < lo[dst]! >>> 0 ? 1 : 0
        hi[dst] = (hi[dst]! + hi[src]! + carry) | 0
        lo[dst] = sum
        break
      }
      case Op.Sub64: {
        const borrow = lo[dst]! >>> 0 < lo[src]! >>> 0 ? 1 : 0
        hi[dst] = (hi[dst]! - hi[src]! - borrow) | 0
        lo[dst] = (lo[dst]! - lo[src]!) | 0
        break
      }
      case Op.Mul64:
        multiply64(lo, hi, dst, src)
        break
      case Op.Div64:
        if (lo[src] === 0 && hi[src] === 0) {
          lo[dst] = 0
          hi[dst] = 0
        } else divide64(lo, hi, dst, src, false)
        break
      case Op.Sdiv64:
        if (lo[src] === 0 && hi[src] === 0) {
          lo[dst] = 0
          hi[dst] = 0
        } else divideSigned64(lo, hi, dst, src, false)
        break
      case Op.Or64:
        lo[dst] = lo[dst]! | lo[src]!
        hi[dst] = hi[dst]! | hi[src]!
        break
      case Op.And64:
        lo[dst] = lo[dst]! & lo[src]!
        hi[dst] = hi[dst]! & hi[src]!
        break
      case Op.Lsh64: {
        const count = lo[src]! & 63
        if (count > 31) {
          hi[dst] = lo[dst]! << (count - 32)
          lo[dst] = 0
        } else if (count > 0) {
          hi[dst] = (hi[dst]! << count) | (lo[dst]! >>> (32 - count))
          lo[dst] = lo[dst]! << count
        }
        break
      }
      case Op.Rsh64: {
        const count = lo[src]! & 63
        if (count > 31) {
          lo[dst] = hi[dst]! >>> (count - 32)
          hi[dst] = 0
        } else if (count > 0) {
          lo[dst] = (lo[dst]! >>> count) | (hi[dst]! << (32 - count))
          hi[dst] = hi[dst]! >>> count
        }
        break
      }
      case Op.Arsh64: {
        const count = lo[src]! & 63
        if (count > 31) {
          lo[dst] = hi[dst]! >> (count - 32)
          hi[dst] = hi[dst]! >> 31
        } else if (count > 0) {
          lo[dst] = (lo[dst]! >>> count) | (hi[dst]! << (32 - count))
          hi[dst] = hi[dst]! >> count
        }
        break
      }
      case Op.Neg64:
        hi[dst] = negatedHigh(lo[dst]!, hi[dst]!)
        lo[dst] = -lo[dst]!
        break
      case Op.Mod64:
        if (lo[src] !== 0 || hi[src] !== 0) divide64(lo, hi, dst, src, true)
        break
      case Op.Smod64:
        if (lo[src] !== 0 || hi[src] !== 0) divideSigned64(lo, hi, dst, src, true)
        break
      case Op.Xor64:
        lo[dst] = lo[dst]! ^ lo[src]!
        hi[dst] = hi[dst]! ^ hi[src]!
        break
      case Op.Mov64:
        lo[dst] = lo[src]!
        hi[dst] = hi[src]!
        break
      case Op.Add32:
        lo[dst] = (lo[dst]! + lo[src]!) | 0
        hi[dst] = 0
        break
      case Op.Sub32:
        lo[dst] = (lo[dst]! - lo[src]!) | 0
        hi[dst] = 0
        break
      case Op.Mul32:
        lo[dst] = Math.imul(lo[dst]!, lo[src]!)
        hi[dst] = 0
        break
      case Op.Div32:
        lo[dst] = lo[src] === 0 ? 0 : (lo[dst]! >>> 0) / (lo[src]! >>> 0)
        hi[dst] = 0
        break
      case Op.Sdiv32:
        lo[dst] = lo[src] === 0 ? 0 : lo[dst]! / lo[src]!
        hi[dst] = 0
        break
      case Op.Or32:
        lo[dst] = lo[dst]! | lo[src]!
        hi[dst] = 0
        break
      case Op.And32:
        lo[dst] = lo[dst]! & lo[src]!
        hi[dst] = 0
        break
      case Op.Lsh32:
        lo[dst] = lo[dst]! << lo[src]!
        hi[dst] = 0
        break
      case Op.Rsh32:
        lo[dst] = lo[dst]! >>> lo[src]!
        hi[dst] = 0
        break
      case Op.Arsh32:
        lo[dst] = lo[dst]! >> lo[src]!
        hi[dst] = 0
        break
      case Op.Neg32:
        lo[dst] = -lo[dst]!
        hi[dst] = 0
        break
      case Op.Mod32:
        if (lo[src] !== 0) lo[dst] = (lo[dst]! >>> 0) % (lo[src]! >>> 0)
        hi[dst] = 0
        break
      case Op.Smod32:
        if (lo[src] !== 0) lo[dst] = lo[dst]! % lo[src]!
        hi[dst] = 0
        break
      case Op.Xor32:
        lo[dst] = lo[dst]! ^ lo[src]!
        hi[dst] = 0
        break
      case Op.Mov32:
        lo[dst] = lo[src]!
        hi[dst] = 0
        break
      case Op.Movs8To64:
        lo[dst] = (lo[src]! << 24) >> 24
        hi[dst] = lo[dst]! >> 31
        break
      case Op.Movs16To64:
        lo[dst] = (lo[src]! << 16) >> 16
        hi[dst] = lo[dst]! >> 31
        break
      case Op.Movs32To64:
        lo[dst] = lo[src]!
        hi[dst] = lo[dst]! >> 31
        break
      case Op.Movs8To32:
        lo[dst] = (lo[src]! << 24) >> 24
        hi[dst] = 0
        break
      case Op.Movs16To32:
        lo[dst] = (lo[src]! << 16) >> 16
        hi[dst] = 0
        break
      case Op.Cut16:
        lo[dst] = lo[dst]! & 0xffff
        hi[dst] = 0
        break
      case Op.Cut32:
        hi[dst] = 0
        break
      case Op.Cut64:
        break
      case Op.Swap16:
        lo[dst] = swapped(lo[dst]!) >>> 16
        hi[dst] = 0
        break
      case Op.Swap32:
        lo[dst] = swapped(lo[dst]!)
        hi[dst] = 0
        break
      case Op.Swap64: {
        const high = swapped(lo[dst]!)
        lo[dst] = swapped(hi[dst]!)
        hi[dst] = high
        break
      }
      case Op.LoadU8: {
        const at = locate(memory, readEnd, lo[src]!, hi[src]!, offset, 1)
        if (at < 0) return failAccess(machine, pc, budget, src, 1)
        lo[dst] = view.getUint8(at)
        hi[dst] = 0
        break
      }
      case Op.LoadU16: {
        const at = locate(memory, readEnd, lo[src]!, hi[src]!, offset, 2)
        if (at < 0) return failAccess(machine, pc, budget, src, 2)
        lo[dst] = view.getUint16(at, true)
        hi[dst] = 0
        break
      }
      case Op.LoadU32: {
        const at = locate(memory, readEnd, lo[src]!, hi[src]!, offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, src, 4)
        lo[dst] = view.getInt32(at, true)
        hi[dst] = 0
        break
      }
      case Op.LoadU64: {
        const at = locate(memory, readEnd, lo[src]!, hi[src]!, offset, 8)
        if (at < 0) return failAccess(machine, pc, budget, src, 8)
        lo[dst] = view.getInt32(at, true)
        hi[dst] = view.getInt32(at + 4, true)
        break
      }
      case Op.LoadS8: {
        const at = locate(memory, readEnd, lo[src]!, hi[src]!, offset, 1)
        if (at < 0) return failAccess(machine, pc, budget, src, 1)
        lo[dst] = view.getInt8(at)
        hi[dst] = lo[dst]! >> 31
        break
      }
      case Op.LoadS16: {
        const at = locate(memory, readEnd, lo[src]!, hi[src]!, offset, 2)
        if (at < 0) return failAccess(machine, pc, budget, src, 2)
        lo[dst] = view.getInt16(at, true)
        hi[dst] = lo[dst]! >> 31
        break
      }
      case Op.LoadS32: {
        const at = locate(memory, readEnd, lo[src]!, hi[src]!, offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, src, 4)
        lo[dst] = view.getInt32(at, true)
        hi[dst] = lo[dst]! >> 31
        break
      }
      case Op.Store8: {
        const at = locate(memory, writeEnd, lo[dst]!, hi[dst]!, offset, 1)
        if (at < 0) return failAccess(machine, pc, budget, dst, 1)
        view.setInt8(at, lo[src]!)
        break
      }
      case Op.Store16: {
        const at = locate(memory, writeEnd, lo[dst]!, hi[dst]!, offset, 2)
        if (at < 0) return failAccess(machine, pc, budget, dst, 2)
        view.setInt16(at, lo[src]!, true)
        break
      }
      case Op.Store32: {
        const at = locate(memory, writeEnd, lo[dst]!, hi[dst]!, offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, dst, 4)
        view.setInt32(at, lo[src]!, true)
        break
      }
      case Op.Store64: {
        const at = locate(memory, writeEnd, lo[dst]!, hi[dst]!, offset, 8)
        if (at < 0) return failAccess(machine, pc, budget, dst, 8)
        view.setInt32(at, lo[src]!, true)
        view.setInt32(at + 4, hi[src]!, true)
        break
      }
      case Op.Atomic32: {
        const at = locate(memory, writeEnd, lo[dst]!, hi[dst]!, offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, dst, 4)
        if (at & 3) return fail(machine, pc, budget, MISALIGNED)
        atomic32(view, lo, hi, at, src, code[pc + 4]!)
        break
      }
      case Op.Atomic64: {
        const at = locate(memory, writeEnd, lo[dst]!, hi[dst]!, offset, 8)
        if (at < 0) return failAccess(machine, pc, budget, dst, 8)
        if (at & 7) return fail(machine, pc, budget, MISALIGNED)
        atomic64(view, lo, hi, at, src, code[pc + 4]!)
        break
      }
      case Op.Goto:
        pc = offset
        continue
      case Op.MayGoto:
        if (loops-- > 0) break
        pc = offset
        continue
      case Op.Jeq64:
        if (lo[dst] === lo[src] && hi[dst] === hi[src]) {
          pc = offset
          continue
        }
        break
      case Op.Jne64:
        if (lo[dst] !== lo[src] || hi[dst] !== hi[src]) {
          pc = offset
          continue
        }
        break
      case Op.Jgt64:
        if (isBelow(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case Op.Jge64:
        if (!isBelow(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case Op.Jlt64:
        if (isBelow(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case Op.Jle64:
        if (!isBelow(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case Op.Jsgt64:
        if (isLess(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case Op.Jsge64:
        if (!isLess(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case Op.Jslt64:
        if (isLess(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case Op.Jsle64:
        if (!isLess(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case Op.Jset64:
        if ((lo[dst]! & lo[src]!) !== 0 || (hi[dst]! & hi[src]!) !== 0) {
          pc = offset
          continue
        }
        break
      case Op.Jeq32:
        if (lo[dst] === lo[src]) {
          pc = offset
          continue
        }
        break
      case Op.Jne32:
        if (lo[dst] !== lo[src]) {
          pc = offset
          continue
        }
        break
      case Op.Jgt32:
        if (lo[dst]! >>> 0 > lo[src]! >>> 0) {
          pc = offset
          continue
        }
        break
      case Op.Jge32:
        if (lo[dst]! >>> 0 >= lo[src]! >>> 0) {
          pc = offset
          continue
        }
        break
      case Op.Jlt32:
        if (lo[dst]! >>> 0 < lo[src]! >>> 0) {
          pc = offset
          continue
        }
        break
      case Op.Jle32:
        if (lo[dst]! >>> 0 <= lo[src]! >>> 0) {
          pc = offset
          continue
        }
        break
      case Op.Jsgt32:
        if (lo[dst]! > lo[src]!) {
          pc = offset
          continue
        }
        break
      case Op.Jsge32:
        if (lo[dst]! >= lo[src]!) {
          pc = offset
          continue
        }
        break
      case Op.Jslt32:
        if (lo[dst]! < lo[src]!) {
          pc = offset
          continue
        }
        break
      case Op.Jsle32:
        if (lo[dst]! <= lo[src]!) {
          pc = offset
          continue
        }
        break
      case Op.Jset32:
        if ((lo[dst]! & lo[src]!) !== 0) {
          pc = offset
          continue
        }
        break
      case Op.CallHelper: {
        const reason = callHelper(machine, code[pc + 4]!)
        if (reason !== undefined) return fail(machine, pc, budget, reason)
        break
      }
      case Op.CallLocal:
        if (depth === MAX_FRAMES - 1)
          return fail(machine, pc, budget, `local calls are nested more than ${MAX_FRAMES} deep`)
        save(machine, depth, pc + CODE_WORDS)
        openFrame(machine, ++depth)
        pc = offset
        continue
      case Op.Exit:
        if (depth === 0) {
          machine.returned.value = lo[0]! >>> 0
          machine.returned.high = hi[0]! >>> 0
          machine.returned.steps = machine.stepLimit - budget
          return machine.returned
        }
        closeFrame(machine, depth--)
        pc = restore(machine, depth)
        continue
    }
    pc += CODE_WORDS
  }
}

const MISALIGNED = 'the address of an atomic operation is not aligned to its size'

/** Unsigned `a < b`. */
function isBelow(lo: Int32Array, hi: Int32Array, a: number, b: number): boolean {
  return hi[a] === hi[b] ? lo[a]! >>> 0 < lo[b]! >>> 0 : hi[a]! >>> 0 < hi[b]! >>> 0
}

/** Signed `a < b`. */
function isLess(lo: Int32Array, hi: Int32Array, a: number, b: number): boolean {
  return hi[a] === hi[b] ? lo[a]! >>> 0 < lo[b]! >>> 0 : hi[a]! < hi[b]!
}

function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
}

function callHelper(machine: Machine, id: number): string | undefined {
  const helper = machine.helpers[id]
  if (!helper) return `${machine.helperName(id)} is not among the helpers of this interpreter; give it as an option`
  const reason = helper(machine)
  machine.lo.fill(SCRATCHED, 1, 6)
  machine.hi.fill(SCRATCHED, 1, 6)
  return reason
}

/** The frame of a function that is called: 512 zero bytes, R10 behind their end. */
function openFrame({ memory, lo, hi }: Machine, depth: number): void {
  const region = REGION.stack + depth
  const at = memory.base[region]!
  memory.bytes.fill(0, at, at + STACK_BYTES)
  memory.readEnd[region] = STACK_BYTES
  memory.writeEnd[region] = STACK_BYTES
  lo[10] = (region << REGION_SHIFT) + STACK_BYTES
  hi[10] = 0
}

function closeFrame({ memory }: Machine, depth: number): void {
  memory.readEnd[REGION.stack + depth] = 0
  memory.writeEnd[REGION.stack + depth] = 0
}

function save({ saved, lo, hi }: Machine, depth: number, returnTo: number): void {
  const at = depth * SAVED_WORDS
  saved[at] = returnTo
  for (let register = 6; register < 10; register++) {
    saved[at + register - 5] = lo[register]!
    saved[at + register - 1] = hi[register]!
  }
}

/** Gives the index to go on at. */
function restore({ saved, lo, hi }: Machine, depth: number): number {
  const at = depth * SAVED_WORDS
  for (let register = 6; register < 10; register++) {
    lo[register] = saved[at + register - 5]!
    hi[register] = saved[at + register - 1]!
  }
  lo[10] = ((REGION.stack + depth) << REGION_SHIFT) + STACK_BYTES
  return saved[at]!
}

function fail(machine: Machine, pc: number, budget: number, reason: string): Machine['faulted'] {
  for (let depth = 1; depth < MAX_FRAMES; depth++) closeFrame(machine, depth)
  machine.faulted.reason = reason
  machine.faulted.slot = machine.slots[pc / CODE_WORDS]!
  machine.faulted.steps = machine.stepLimit - budget
  return machine.faulted
}

function failAccess(machine: Machine, pc: number, budget: number, base: number, size: number): Machine['faulted'] {
  const offset = machine.code[pc + 3]!
  const isLoad = isRead(machine.code[pc]!)
  const address = `0x${hex(machine.hi[base]!)}${hex(machine.lo[base]!)}`
  const where = `${address}${offset < 0 ? '' : '+'}${offset}`
  return fail(
    machine,
    pc,
    budget,
    `${isLoad ? 'load' : 'store'} of ${size} bytes at ${where}, which is outside of what may be ${isLoad ? 'read' : 'written'}`,
  )
}

function isRead(operation: number): boolean {
  return operation >= Op.LoadU8 && operation <= Op.LoadS32
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
