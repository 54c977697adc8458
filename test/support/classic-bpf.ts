import { execFileSync } from 'node:child_process'

/** A classic BPF program as tcpdump prints it: code, jump if true, jump if false, constant. */
export type ClassicProgram = readonly (readonly [code: number, yes: number, no: number, k: number])[]

/** What libpcap compiles for an Ethernet capture; null where it refuses the expression. */
export function compileClassic(expression: string, optimized: boolean): ClassicProgram | null {
  const flags = optimized ? ['-ddd'] : ['-O', '-ddd']
  try {
    const listing = execFileSync('tcpdump', ['-y', 'EN10MB', ...flags, expression], { stdio: 'pipe' })
    const lines = listing.toString().trim().split('\n')
    return lines.slice(1).map(instructionOf)
  } catch {
    return null
  }
}

function instructionOf(line: string): ClassicProgram[number] {
  const [code = 0, yes = 0, no = 0, k = 0] = line.split(' ').map(Number)
  return [code, yes, no, k]
}

/**
 * Whether the program accepts the packet: McCanne and Jacobson, "The BSD
 * Packet Filter" (1993), with BPF_MOD and BPF_XOR of later kernels. A load
 * beyond the captured bytes and a division by zero reject.
 */
export function runClassic(program: ClassicProgram, bytes: Uint8Array, wireLength: number): boolean {
  const scratch = new Uint32Array(16)
  let a = 0
  let x = 0
  for (let at = 0; ; at++) {
    const [code, yes, no, k] = program[at]!
    const operand = code & 0x08 ? x : k
    switch (code & 0x07) {
      case 0x00:
      case 0x01: {
        const value = loaded(code, k, x, bytes, wireLength, scratch)
        if (value === null) return false
        if ((code & 0x07) === 0) a = value
        else x = value
        break
      }
      case 0x02:
        scratch[k] = a
        break
      case 0x03:
        scratch[k] = x
        break
      case 0x04: {
        const value = calculated(code & 0xf0, a, operand)
        if (value === null) return false
        a = value
        break
      }
      case 0x05:
        at += (code & 0xf0) === 0 ? k : holds(code & 0xf0, a, operand) ? yes : no
        break
      case 0x06:
        return (code & 0x18 ? a : k) !== 0
      default:
        if (code & 0x80) a = x
        else x = a
    }
  }
}

function loaded(
  code: number,
  k: number,
  x: number,
  bytes: Uint8Array,
  wireLength: number,
  scratch: Uint32Array,
): number | null {
  switch (code & 0xe0) {
    case 0x00:
      return k
    case 0x20:
      return bigEndian(bytes, k, code)
    case 0x40:
      return bigEndian(bytes, k + x, code)
    case 0x60:
      return scratch[k]!
    case 0x80:
      return wireLength
    default: {
      const first = bigEndian(bytes, k, 0x10)
      return first === null ? null : (first & 0x0f) * 4
    }
  }
}

function bigEndian(bytes: Uint8Array, at: number, code: number): number | null {
  const size = { 0: 4, 8: 2, 16: 1 }[code & 0x18]!
  if (at + size > bytes.length) return null
  return bytes.subarray(at, at + size).reduce((number, byte) => number * 256 + byte, 0)
}

function calculated(operation: number, a: number, operand: number): number | null {
  switch (operation) {
    case 0x00:
      return (a + operand) >>> 0
    case 0x10:
      return (a - operand) >>> 0
    case 0x20:
      return Math.imul(a, operand) >>> 0
    case 0x30:
      return operand === 0 ? null : Math.floor(a / operand)
    case 0x40:
      return (a | operand) >>> 0
    case 0x50:
      return (a & operand) >>> 0
    case 0x60:
      return operand > 31 ? 0 : (a << operand) >>> 0
    case 0x70:
      return operand > 31 ? 0 : a >>> operand
    case 0x80:
      return -a >>> 0
    case 0x90:
      return operand === 0 ? null : a % operand
    default:
      return (a ^ operand) >>> 0
  }
}

function holds(condition: number, a: number, operand: number): boolean {
  switch (condition) {
    case 0x10:
      return a === operand
    case 0x20:
      return a > operand
    case 0x30:
      return a >= operand
    default:
      return (a & operand) !== 0
  }
}
