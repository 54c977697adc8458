import { atomic32, atomic64 } from './atomics.js'
import { locate, MAX_FRAMES, type Memory, REGION, REGION_SHIFT, STACK_BYTES } from './memory.js'
import { OP } from './operations.js'
import { divide64, divideSigned64, multiply64, negatedHigh } from './word-pair.js'

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
    const dst = code[pc + 1]
    const src = code[pc + 2]
    const offset = code[pc + 3]
    switch (code[pc]) {
      case 0 satisfies typeof OP.add64: {
        const sum = (lo[dst] + lo[src]) | 0
        const carry = sum >>> 0 < lo[dst] >>> 0 ? 1 : 0
        hi[dst] = (hi[dst] + hi[src] + carry) | 0
        lo[dst] = sum
        break
      }
      case 1 satisfies typeof OP.sub64: {
        const borrow = lo[dst] >>> 0 < lo[src] >>> 0 ? 1 : 0
        hi[dst] = (hi[dst] - hi[src] - borrow) | 0
        lo[dst] = (lo[dst] - lo[src]) | 0
        break
      }
      case 2 satisfies typeof OP.mul64:
        multiply64(lo, hi, dst, src)
        break
      case 3 satisfies typeof OP.div64:
        if (lo[src] === 0 && hi[src] === 0) {
          lo[dst] = 0
          hi[dst] = 0
        } else divide64(lo, hi, dst, src, false)
        break
      case 4 satisfies typeof OP.sdiv64:
        if (lo[src] === 0 && hi[src] === 0) {
          lo[dst] = 0
          hi[dst] = 0
        } else divideSigned64(lo, hi, dst, src, false)
        break
      case 5 satisfies typeof OP.or64:
        lo[dst] = lo[dst] | lo[src]
        hi[dst] = hi[dst] | hi[src]
        break
      case 6 satisfies typeof OP.and64:
        lo[dst] = lo[dst] & lo[src]
        hi[dst] = hi[dst] & hi[src]
        break
      case 7 satisfies typeof OP.lsh64: {
        const count = lo[src] & 63
        if (count > 31) {
          hi[dst] = lo[dst] << (count - 32)
          lo[dst] = 0
        } else if (count > 0) {
          hi[dst] = (hi[dst] << count) | (lo[dst] >>> (32 - count))
          lo[dst] = lo[dst] << count
        }
        break
      }
      case 8 satisfies typeof OP.rsh64: {
        const count = lo[src] & 63
        if (count > 31) {
          lo[dst] = hi[dst] >>> (count - 32)
          hi[dst] = 0
        } else if (count > 0) {
          lo[dst] = (lo[dst] >>> count) | (hi[dst] << (32 - count))
          hi[dst] = hi[dst] >>> count
        }
        break
      }
      case 14 satisfies typeof OP.arsh64: {
        const count = lo[src] & 63
        if (count > 31) {
          lo[dst] = hi[dst] >> (count - 32)
          hi[dst] = hi[dst] >> 31
        } else if (count > 0) {
          lo[dst] = (lo[dst] >>> count) | (hi[dst] << (32 - count))
          hi[dst] = hi[dst] >> count
        }
        break
      }
      case 9 satisfies typeof OP.neg64:
        hi[dst] = negatedHigh(lo[dst], hi[dst])
        lo[dst] = -lo[dst]
        break
      case 10 satisfies typeof OP.mod64:
        if (lo[src] !== 0 || hi[src] !== 0) divide64(lo, hi, dst, src, true)
        break
      case 11 satisfies typeof OP.smod64:
        if (lo[src] !== 0 || hi[src] !== 0) divideSigned64(lo, hi, dst, src, true)
        break
      case 12 satisfies typeof OP.xor64:
        lo[dst] = lo[dst] ^ lo[src]
        hi[dst] = hi[dst] ^ hi[src]
        break
      case 13 satisfies typeof OP.mov64:
        lo[dst] = lo[src]
        hi[dst] = hi[src]
        break
      case 15 satisfies typeof OP.add32:
        lo[dst] = (lo[dst] + lo[src]) | 0
        hi[dst] = 0
        break
      case 16 satisfies typeof OP.sub32:
        lo[dst] = (lo[dst] - lo[src]) | 0
        hi[dst] = 0
        break
      case 17 satisfies typeof OP.mul32:
        lo[dst] = Math.imul(lo[dst], lo[src])
        hi[dst] = 0
        break
      case 18 satisfies typeof OP.div32:
        lo[dst] = lo[src] === 0 ? 0 : (lo[dst] >>> 0) / (lo[src] >>> 0)
        hi[dst] = 0
        break
      case 19 satisfies typeof OP.sdiv32:
        lo[dst] = lo[src] === 0 ? 0 : lo[dst] / lo[src]
        hi[dst] = 0
        break
      case 20 satisfies typeof OP.or32:
        lo[dst] = lo[dst] | lo[src]
        hi[dst] = 0
        break
      case 21 satisfies typeof OP.and32:
        lo[dst] = lo[dst] & lo[src]
        hi[dst] = 0
        break
      case 22 satisfies typeof OP.lsh32:
        lo[dst] = lo[dst] << lo[src]
        hi[dst] = 0
        break
      case 23 satisfies typeof OP.rsh32:
        lo[dst] = lo[dst] >>> lo[src]
        hi[dst] = 0
        break
      case 29 satisfies typeof OP.arsh32:
        lo[dst] = lo[dst] >> lo[src]
        hi[dst] = 0
        break
      case 24 satisfies typeof OP.neg32:
        lo[dst] = -lo[dst]
        hi[dst] = 0
        break
      case 25 satisfies typeof OP.mod32:
        if (lo[src] !== 0) lo[dst] = (lo[dst] >>> 0) % (lo[src] >>> 0)
        hi[dst] = 0
        break
      case 26 satisfies typeof OP.smod32:
        if (lo[src] !== 0) lo[dst] = lo[dst] % lo[src]
        hi[dst] = 0
        break
      case 27 satisfies typeof OP.xor32:
        lo[dst] = lo[dst] ^ lo[src]
        hi[dst] = 0
        break
      case 28 satisfies typeof OP.mov32:
        lo[dst] = lo[src]
        hi[dst] = 0
        break
      case 30 satisfies typeof OP.movs8To64:
        lo[dst] = (lo[src] << 24) >> 24
        hi[dst] = lo[dst] >> 31
        break
      case 31 satisfies typeof OP.movs16To64:
        lo[dst] = (lo[src] << 16) >> 16
        hi[dst] = lo[dst] >> 31
        break
      case 32 satisfies typeof OP.movs32To64:
        lo[dst] = lo[src]
        hi[dst] = lo[dst] >> 31
        break
      case 33 satisfies typeof OP.movs8To32:
        lo[dst] = (lo[src] << 24) >> 24
        hi[dst] = 0
        break
      case 34 satisfies typeof OP.movs16To32:
        lo[dst] = (lo[src] << 16) >> 16
        hi[dst] = 0
        break
      case 35 satisfies typeof OP.cut16:
        lo[dst] = lo[dst] & 0xffff
        hi[dst] = 0
        break
      case 36 satisfies typeof OP.cut32:
        hi[dst] = 0
        break
      case 37 satisfies typeof OP.cut64:
        break
      case 38 satisfies typeof OP.swap16:
        lo[dst] = swapped(lo[dst]) >>> 16
        hi[dst] = 0
        break
      case 39 satisfies typeof OP.swap32:
        lo[dst] = swapped(lo[dst])
        hi[dst] = 0
        break
      case 40 satisfies typeof OP.swap64: {
        const high = swapped(lo[dst])
        lo[dst] = swapped(hi[dst])
        hi[dst] = high
        break
      }
      case 41 satisfies typeof OP.loadU8: {
        const at = locate(memory, readEnd, lo[src], hi[src], offset, 1)
        if (at < 0) return failAccess(machine, pc, budget, src, 1)
        lo[dst] = view.getUint8(at)
        hi[dst] = 0
        break
      }
      case 42 satisfies typeof OP.loadU16: {
        const at = locate(memory, readEnd, lo[src], hi[src], offset, 2)
        if (at < 0) return failAccess(machine, pc, budget, src, 2)
        lo[dst] = view.getUint16(at, true)
        hi[dst] = 0
        break
      }
      case 43 satisfies typeof OP.loadU32: {
        const at = locate(memory, readEnd, lo[src], hi[src], offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, src, 4)
        lo[dst] = view.getInt32(at, true)
        hi[dst] = 0
        break
      }
      case 44 satisfies typeof OP.loadU64: {
        const at = locate(memory, readEnd, lo[src], hi[src], offset, 8)
        if (at < 0) return failAccess(machine, pc, budget, src, 8)
        lo[dst] = view.getInt32(at, true)
        hi[dst] = view.getInt32(at + 4, true)
        break
      }
      case 45 satisfies typeof OP.loadS8: {
        const at = locate(memory, readEnd, lo[src], hi[src], offset, 1)
        if (at < 0) return failAccess(machine, pc, budget, src, 1)
        lo[dst] = view.getInt8(at)
        hi[dst] = lo[dst] >> 31
        break
      }
      case 46 satisfies typeof OP.loadS16: {
        const at = locate(memory, readEnd, lo[src], hi[src], offset, 2)
        if (at < 0) return failAccess(machine, pc, budget, src, 2)
        lo[dst] = view.getInt16(at, true)
        hi[dst] = lo[dst] >> 31
        break
      }
      case 47 satisfies typeof OP.loadS32: {
        const at = locate(memory, readEnd, lo[src], hi[src], offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, src, 4)
        lo[dst] = view.getInt32(at, true)
        hi[dst] = lo[dst] >> 31
        break
      }
      case 48 satisfies typeof OP.store8: {
        const at = locate(memory, writeEnd, lo[dst], hi[dst], offset, 1)
        if (at < 0) return failAccess(machine, pc, budget, dst, 1)
        view.setInt8(at, lo[src])
        break
      }
      case 49 satisfies typeof OP.store16: {
        const at = locate(memory, writeEnd, lo[dst], hi[dst], offset, 2)
        if (at < 0) return failAccess(machine, pc, budget, dst, 2)
        view.setInt16(at, lo[src], true)
        break
      }
      case 50 satisfies typeof OP.store32: {
        const at = locate(memory, writeEnd, lo[dst], hi[dst], offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, dst, 4)
        view.setInt32(at, lo[src], true)
        break
      }
      case 51 satisfies typeof OP.store64: {
        const at = locate(memory, writeEnd, lo[dst], hi[dst], offset, 8)
        if (at < 0) return failAccess(machine, pc, budget, dst, 8)
        view.setInt32(at, lo[src], true)
        view.setInt32(at + 4, hi[src], true)
        break
      }
      case 52 satisfies typeof OP.atomic32: {
        const at = locate(memory, writeEnd, lo[dst], hi[dst], offset, 4)
        if (at < 0) return failAccess(machine, pc, budget, dst, 4)
        if (at & 3) return fail(machine, pc, budget, MISALIGNED)
        atomic32(view, lo, hi, at, src, code[pc + 4])
        break
      }
      case 53 satisfies typeof OP.atomic64: {
        const at = locate(memory, writeEnd, lo[dst], hi[dst], offset, 8)
        if (at < 0) return failAccess(machine, pc, budget, dst, 8)
        if (at & 7) return fail(machine, pc, budget, MISALIGNED)
        atomic64(view, lo, hi, at, src, code[pc + 4])
        break
      }
      case 54 satisfies typeof OP.goto:
        pc = offset
        continue
      case 55 satisfies typeof OP.mayGoto:
        if (loops-- > 0) break
        pc = offset
        continue
      case 56 satisfies typeof OP.jeq64:
        if (lo[dst] === lo[src] && hi[dst] === hi[src]) {
          pc = offset
          continue
        }
        break
      case 57 satisfies typeof OP.jne64:
        if (lo[dst] !== lo[src] || hi[dst] !== hi[src]) {
          pc = offset
          continue
        }
        break
      case 58 satisfies typeof OP.jgt64:
        if (isBelow(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case 59 satisfies typeof OP.jge64:
        if (!isBelow(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case 60 satisfies typeof OP.jlt64:
        if (isBelow(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case 61 satisfies typeof OP.jle64:
        if (!isBelow(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case 62 satisfies typeof OP.jsgt64:
        if (isLess(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case 63 satisfies typeof OP.jsge64:
        if (!isLess(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case 64 satisfies typeof OP.jslt64:
        if (isLess(lo, hi, dst, src)) {
          pc = offset
          continue
        }
        break
      case 65 satisfies typeof OP.jsle64:
        if (!isLess(lo, hi, src, dst)) {
          pc = offset
          continue
        }
        break
      case 66 satisfies typeof OP.jset64:
        if ((lo[dst] & lo[src]) !== 0 || (hi[dst] & hi[src]) !== 0) {
          pc = offset
          continue
        }
        break
      case 67 satisfies typeof OP.jeq32:
        if (lo[dst] === lo[src]) {
          pc = offset
          continue
        }
        break
      case 68 satisfies typeof OP.jne32:
        if (lo[dst] !== lo[src]) {
          pc = offset
          continue
        }
        break
      case 69 satisfies typeof OP.jgt32:
        if (lo[dst] >>> 0 > lo[src] >>> 0) {
          pc = offset
          continue
        }
        break
      case 70 satisfies typeof OP.jge32:
        if (lo[dst] >>> 0 >= lo[src] >>> 0) {
          pc = offset
          continue
        }
        break
      case 71 satisfies typeof OP.jlt32:
        if (lo[dst] >>> 0 < lo[src] >>> 0) {
          pc = offset
          continue
        }
        break
      case 72 satisfies typeof OP.jle32:
        if (lo[dst] >>> 0 <= lo[src] >>> 0) {
          pc = offset
          continue
        }
        break
      case 73 satisfies typeof OP.jsgt32:
        if (lo[dst] > lo[src]) {
          pc = offset
          continue
        }
        break
      case 74 satisfies typeof OP.jsge32:
        if (lo[dst] >= lo[src]) {
          pc = offset
          continue
        }
        break
      case 75 satisfies typeof OP.jslt32:
        if (lo[dst] < lo[src]) {
          pc = offset
          continue
        }
        break
      case 76 satisfies typeof OP.jsle32:
        if (lo[dst] <= lo[src]) {
          pc = offset
          continue
        }
        break
      case 77 satisfies typeof OP.jset32:
        if ((lo[dst] & lo[src]) !== 0) {
          pc = offset
          continue
        }
        break
      case 78 satisfies typeof OP.callHelper: {
        const reason = callHelper(machine, code[pc + 4])
        if (reason !== undefined) return fail(machine, pc, budget, reason)
        break
      }
      case 79 satisfies typeof OP.callLocal:
        if (depth === MAX_FRAMES - 1)
          return fail(machine, pc, budget, `local calls are nested more than ${MAX_FRAMES} deep`)
        save(machine, depth, pc + CODE_WORDS)
        openFrame(machine, ++depth)
        pc = offset
        continue
      case 80 satisfies typeof OP.exit:
        if (depth === 0) {
          machine.returned.value = lo[0] >>> 0
          machine.returned.high = hi[0] >>> 0
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
  return hi[a] === hi[b] ? lo[a] >>> 0 < lo[b] >>> 0 : hi[a] >>> 0 < hi[b] >>> 0
}

/** Signed `a < b`. */
function isLess(lo: Int32Array, hi: Int32Array, a: number, b: number): boolean {
  return hi[a] === hi[b] ? lo[a] >>> 0 < lo[b] >>> 0 : hi[a] < hi[b]
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
  const at = memory.base[region]
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
    saved[at + register - 5] = lo[register]
    saved[at + register - 1] = hi[register]
  }
}

/** Gives the index to go on at. */
function restore({ saved, lo, hi }: Machine, depth: number): number {
  const at = depth * SAVED_WORDS
  for (let register = 6; register < 10; register++) {
    lo[register] = saved[at + register - 5]
    hi[register] = saved[at + register - 1]
  }
  lo[10] = ((REGION.stack + depth) << REGION_SHIFT) + STACK_BYTES
  return saved[at]
}

function fail(machine: Machine, pc: number, budget: number, reason: string): Machine['faulted'] {
  for (let depth = 1; depth < MAX_FRAMES; depth++) closeFrame(machine, depth)
  machine.faulted.reason = reason
  machine.faulted.slot = machine.slots[pc / CODE_WORDS]
  machine.faulted.steps = machine.stepLimit - budget
  return machine.faulted
}

function failAccess(machine: Machine, pc: number, budget: number, base: number, size: number): Machine['faulted'] {
  const offset = machine.code[pc + 3]
  const isLoad = isRead(machine.code[pc])
  const address = `0x${hex(machine.hi[base])}${hex(machine.lo[base])}`
  const where = `${address}${offset < 0 ? '' : '+'}${offset}`
  return fail(
    machine,
    pc,
    budget,
    `${isLoad ? 'load' : 'store'} of ${size} bytes at ${where}, which is outside of what may be ${isLoad ? 'read' : 'written'}`,
  )
}

function isRead(operation: number): boolean {
  return operation >= OP.loadU8 && operation <= OP.loadS32
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
