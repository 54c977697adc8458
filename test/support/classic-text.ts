import type { ClassicProgram } from './classic-bpf.js'

type Instruction = ClassicProgram[number]

const SIZES = { ld: 0x00, ldh: 0x08, ldb: 0x10 } as const
const ALU = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  neg: 0x80,
  mod: 0x90,
  xor: 0xa0,
} as const
const JUMPS = { jeq: 0x10, jgt: 0x20, jge: 0x30, jset: 0x40 } as const
const BY_X = 0x08

/** Reads a program as `tcpdump -d` prints it. Throws for a line that it does not know. */
export function parseClassic(listing: string): ClassicProgram {
  const lines = listing.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line) => {
    const match = /^\((\d+)\)\s+(\w+)\s*(.*?)\s*(?:;.*)?$/.exec(line.replaceAll('\t', ' '))
    if (match === null) throw new Error(`no instruction of classic BPF: ${line}`)
    return parseInstruction(Number(match[1]), match[2]!, match[3]!)
  })
}

function parseInstruction(index: number, name: string, operands: string): Instruction {
  const plain = (code: number, k: number): Instruction => [code, 0, 0, k]
  const [operand = ''] = operands.split(/\s+jt\s+/)
  if (name in JUMPS) {
    const [, yes, no] = /jt (\d+)\s+jf (\d+)/.exec(operands)!
    const code = 0x05 | JUMPS[name as keyof typeof JUMPS] | (operand.trim() === 'x' ? BY_X : 0)
    return [code, Number(yes) - index - 1, Number(no) - index - 1, operand.trim() === 'x' ? 0 : numberIn(operand)]
  }
  if (name in ALU) {
    const code = 0x04 | ALU[name as keyof typeof ALU]
    return operand === 'x' ? plain(code | BY_X, 0) : plain(code, operand === '' ? 0 : numberIn(operand))
  }
  if (name in SIZES) return plain(...loadOf(SIZES[name as keyof typeof SIZES], operand))
  switch (name) {
    case 'ldx':
      return operand.startsWith('M') ? plain(0x61, numberIn(operand)) : plain(0x01, numberIn(operand))
    case 'ldxb':
      return plain(0xb1, numberIn(operand.slice(operand.indexOf('['))))
    case 'st':
      return plain(0x02, numberIn(operand))
    case 'stx':
      return plain(0x03, numberIn(operand))
    case 'ja':
      return plain(0x05, (numberIn(operand) - index - 1) >>> 0)
    case 'ret':
      return plain(0x06, numberIn(operand))
    case 'tax':
      return plain(0x07, 0)
    case 'txa':
      return plain(0x87, 0)
    default:
      throw new Error(`no instruction of classic BPF: ${name} ${operands}`)
  }
}

function loadOf(size: number, operand: string): [code: number, k: number] {
  if (operand === '#pktlen') return [0x80, 0]
  if (operand.startsWith('#')) return [0x00, numberIn(operand)]
  if (operand.startsWith('M')) return [0x60, numberIn(operand)]
  return operand.startsWith('[x') ? [0x40 | size, numberIn(operand)] : [0x20 | size, numberIn(operand)]
}

function numberIn(text: string): number {
  const match = /-?(0x[0-9a-fA-F]+|\d+)/.exec(text)
  if (match === null) throw new Error(`no number of classic BPF: ${text}`)
  return Number(match[1]) * (match[0].startsWith('-') ? -1 : 1)
}
