import { execFileSync } from 'node:child_process'

/** A classic BPF program as tcpdump prints it: code, jump if true, jump if false, constant. */
export type ClassicProgram = readonly (readonly [code: number, yes: number, no: number, k: number])[]

/**
 * Numbers of link types in the header of a capture file (LINKTYPE_ of
 * tcpdump.org). AVS and Prism headers are left out, because libpcap 1.10.3
 * stores their length in one place and reads it from another; and PPI, whose
 * check of what follows it forgets behind `pppoes`.
 */
const LINK_TYPE_NUMBERS = {
  NULL: 0,
  EN10MB: 1,
  IEEE802: 6,
  SLIP: 8,
  PPP: 9,
  FDDI: 10,
  PPP_SERIAL: 50,
  PPP_ETHER: 51,
  RAW: 101,
  C_HDLC: 104,
  IEEE802_11: 105,
  FRELAY: 107,
  LOOP: 108,
  LINUX_SLL: 113,
  IEEE802_11_RADIO: 127,
  IPV4: 228,
  IPV6: 229,
  LINUX_SLL2: 276,
} as const

/** A link type that `compileClassic` can ask libpcap about. */
export type ClassicLinkType = keyof typeof LINK_TYPE_NUMBERS

/** All of them. */
export const CLASSIC_LINK_TYPES = Object.keys(LINK_TYPE_NUMBERS) as ClassicLinkType[]

/**
 * What libpcap compiles for a capture file of this link type; null where it
 * refuses the expression. The file is read, and not the link type named by
 * `-y`, because libpcap then takes the address families of Linux for those of
 * the machine that captured.
 */
export function compileClassic(
  expression: string,
  optimized: boolean,
  linkType: ClassicLinkType = 'EN10MB',
): ClassicProgram | null {
  const flags = optimized ? ['-ddd'] : ['-O', '-ddd']
  try {
    const input = emptyCapture(LINK_TYPE_NUMBERS[linkType])
    const listing = execFileSync('tcpdump', ['-r', '-', ...flags, expression], { input, stdio: 'pipe' })
    const lines = listing.toString().trim().split('\n')
    return lines.slice(1).map(instructionOf)
  } catch {
    return null
  }
}

/** The 24 bytes before the first packet of a pcap file. */
function emptyCapture(linkTypeNumber: number): Uint8Array {
  const header = new DataView(new ArrayBuffer(24))
  header.setUint32(0, 0xa1b2c3d4, true)
  header.setUint16(4, 2, true)
  header.setUint16(6, 4, true)
  header.setUint32(16, 262144, true)
  header.setUint32(20, linkTypeNumber, true)
  return new Uint8Array(header.buffer)
}

function instructionOf(line: string): ClassicProgram[number] {
  const [code = 0, yes = 0, no = 0, k = 0] = line.split(' ').map(Number)
  return [code, yes, no, k]
}

/** Headers of a chain that are followed (src/ir/protocol-chain.ts). */
const MOST_HEADERS = 7

/**
 * Whether the program accepts the packet: McCanne and Jacobson, "The BSD
 * Packet Filter" (1993), with BPF_MOD and BPF_XOR of later kernels. A load
 * beyond the captured bytes and a division by zero reject. libpcap jumps
 * backwards for `protochain`, once a header and sometimes for ever: null where
 * it goes on behind the last header that this compiler follows.
 */
export function runClassic(program: ClassicProgram, bytes: Uint8Array, wireLength: number): boolean | null {
  const scratch = new Uint32Array(16)
  let a = 0
  let x = 0
  let headers = 0
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
        if ((code & 0xf0) === 0 && (k | 0) < 0 && ++headers >= MOST_HEADERS) return null
        at += (code & 0xf0) === 0 ? k | 0 : holds(code & 0xf0, a, operand) ? yes : no
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
