import {
  ADDRESS_SPACE_CAST,
  ALU,
  ATOMIC,
  CALL,
  CALL_OPCODE,
  CLASS,
  EXIT_OPCODE,
  GOTO,
  GOTO_LONG,
  JMP,
  LDDW,
  LOAD_ACQUIRE,
  MAY_GOTO,
  MODE,
  SIZE,
  SOURCE_REGISTER,
  STORE_RELEASE,
  WIDE,
} from './opcodes.js'

/** How an operand is written, which also says which fields of the instruction it fills. */
export type OperandSyntax =
  | 'dst'
  | 'src'
  | 'imm'
  | 'imm64'
  | 'offset'
  | '[dst+offset]'
  | '[src+offset]'
  /** A jump target in the offset field. */
  | 'target'
  /** A jump target in the immediate. */
  | 'far target'

/** One row of the instruction set: fields that no operand fills are fixed, most of them at zero. */
export interface Form {
  readonly mnemonic: string
  readonly operands: readonly OperandSyntax[]
  readonly opcode: number
  readonly src: number
  readonly offset: number
  readonly imm: number
}

/** The letters that name a size in a mnemonic. */
const LETTERS = [
  ['b', SIZE.u8],
  ['h', SIZE.u16],
  ['w', SIZE.u32],
  ['dw', SIZE.u64],
] as const

/** Every instruction of RFC 9669 and of Linux up to 6.18, as the RFC's appendix A lists them. */
export const INSTRUCTION_SET: readonly Form[] = [
  ...arithmetic(),
  ...moves(),
  ...byteOrder(),
  ...memory(),
  ...atomics(),
  ...wideImmediates(),
  ...jumps(),
  ...legacy(),
]

/** The rows of one opcode; several where source, offset or immediate choose the operation. */
export const FORMS_BY_OPCODE: ReadonlyMap<number, readonly Form[]> = grouped((form) => form.opcode)

/** The rows of one mnemonic of the text assembler; several where the operands choose the opcode. */
export const FORMS_BY_MNEMONIC: ReadonlyMap<string, readonly Form[]> = grouped((form) => form.mnemonic)

function grouped<Key>(keyOf: (form: Form) => Key): Map<Key, Form[]> {
  const groups = new Map<Key, Form[]>()
  for (const form of INSTRUCTION_SET) {
    const group = groups.get(keyOf(form))
    if (group) group.push(form)
    else groups.set(keyOf(form), [form])
  }
  return groups
}

function form(mnemonic: string, opcode: number, operands: OperandSyntax[], fixed: Partial<Form> = {}): Form {
  return { mnemonic, operands, opcode, src: 0, offset: 0, imm: 0, ...fixed }
}

/** The immediate and the register form of a two-operand instruction. */
function both(mnemonic: string, opcode: number, fixed: Partial<Form> = {}): Form[] {
  return [
    form(mnemonic, opcode, ['dst', 'imm'], fixed),
    form(mnemonic, opcode | SOURCE_REGISTER, ['dst', 'src'], fixed),
  ]
}

function arithmetic(): Form[] {
  const operations = ['add', 'sub', 'mul', 'div', 'or', 'and', 'lsh', 'rsh', 'mod', 'xor', 'arsh', 'mov'] as const
  return [[CLASS.alu64, ''] as const, [CLASS.alu, '32'] as const].flatMap(([width, suffix]) => [
    ...operations.flatMap((operation) => both(`${operation}${suffix}`, width | ALU[operation])),
    ...both(`sdiv${suffix}`, width | ALU.div, { offset: 1 }),
    ...both(`smod${suffix}`, width | ALU.mod, { offset: 1 }),
    form(`neg${suffix}`, width | ALU.neg, ['dst']),
  ])
}

function moves(): Form[] {
  const move = (mnemonic: string, width: number, offset: number) =>
    form(mnemonic, width | ALU.mov | SOURCE_REGISTER, ['dst', 'src'], { offset })
  return [
    ...[8, 16].map((bits) => move(`movsx${bits}32`, CLASS.alu, bits)),
    ...[8, 16, 32].map((bits) => move(`movsx${bits}64`, CLASS.alu64, bits)),
    // Between the address spaces of an arena: destination << 16 | source in the immediate.
    ...[['cast_kernel', 1] as const, ['cast_user', 1 << 16] as const].map(([mnemonic, imm]) =>
      form(mnemonic, CLASS.alu64 | ALU.mov | SOURCE_REGISTER, ['dst', 'src'], { offset: ADDRESS_SPACE_CAST, imm }),
    ),
  ]
}

function byteOrder(): Form[] {
  const little = CLASS.alu | ALU.end
  return [16, 32, 64].flatMap((bits) => [
    form(`le${bits}`, little, ['dst'], { imm: bits }),
    form(`be${bits}`, little | SOURCE_REGISTER, ['dst'], { imm: bits }),
    form(`bswap${bits}`, CLASS.alu64 | ALU.end, ['dst'], { imm: bits }),
    form(`swap${bits}`, CLASS.alu64 | ALU.end, ['dst'], { imm: bits }),
  ])
}

function memory(): Form[] {
  return LETTERS.flatMap(([letter, size]) => [
    form(`ldx${letter}`, CLASS.ldx | MODE.mem | size, ['dst', '[src+offset]']),
    form(`st${letter}`, CLASS.st | MODE.mem | size, ['[dst+offset]', 'imm']),
    form(`stx${letter}`, CLASS.stx | MODE.mem | size, ['[dst+offset]', 'src']),
    ...(size === SIZE.u64 ? [] : [form(`ldxs${letter}`, CLASS.ldx | MODE.memsx | size, ['dst', '[src+offset]'])]),
  ])
}

function atomics(): Form[] {
  const words = [
    ['', SIZE.u64],
    ['32', SIZE.u32],
  ] as const
  const opcode = CLASS.stx | MODE.atomic
  return [
    ...words.flatMap(([suffix, size]) =>
      Object.entries(ATOMIC).map(([operation, imm]) =>
        form(`lock ${operation}${suffix}`, opcode | size, ['[dst+offset]', 'src'], { imm }),
      ),
    ),
    ...LETTERS.flatMap(([letter, size]) => [
      form(`load_acquire ${letter}`, opcode | size, ['dst', '[src+offset]'], { imm: LOAD_ACQUIRE }),
      form(`store_release ${letter}`, opcode | size, ['[dst+offset]', 'src'], { imm: STORE_RELEASE }),
    ]),
  ]
}

function wideImmediates(): Form[] {
  return Object.entries(WIDE).map(([kind, src]) =>
    form(kind === 'number' ? 'lddw' : `lddw ${kind}`, LDDW, ['dst', kind === 'function' ? 'far target' : 'imm64'], {
      src,
    }),
  )
}

function jumps(): Form[] {
  const conditions = ['eq', 'ne', 'gt', 'ge', 'lt', 'le', 'sgt', 'sge', 'slt', 'sle', 'set'] as const
  const conditional = [[CLASS.jmp, ''] as const, [CLASS.jmp32, '32'] as const].flatMap(([width, suffix]) =>
    conditions.flatMap((condition) => [
      form(`j${condition}${suffix}`, width | JMP[condition], ['dst', 'imm', 'target']),
      form(`j${condition}${suffix}`, width | JMP[condition] | SOURCE_REGISTER, ['dst', 'src', 'target']),
    ]),
  )
  return [
    ...conditional,
    form('ja', GOTO, ['target']),
    form('ja32', GOTO_LONG, ['far target']),
    form('may_goto', MAY_GOTO, ['target']),
    form('call', CALL_OPCODE, ['imm'], { src: CALL.helper }),
    form('call local', CALL_OPCODE, ['far target'], { src: CALL.local }),
    form('call kernel', CALL_OPCODE, ['imm', 'offset'], { src: CALL.kernel }),
    form('exit', EXIT_OPCODE, []),
  ]
}

/** Packet loads of classic BPF, which only socket filters and tc still may use (RFC 9669, section 5.5). */
function legacy(): Form[] {
  return LETTERS.slice(0, 3).flatMap(([letter, size]) => [
    form(`ldabs${letter}`, CLASS.ld | MODE.abs | size, ['imm']),
    form(`ldind${letter}`, CLASS.ld | MODE.ind | size, ['src', 'imm']),
  ])
}
