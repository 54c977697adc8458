import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const COMPILERS = ['clang', 'clang-14', 'clang-15', 'clang-16', 'clang-19']
const ELF64 = { sectionTable: 40, sectionEntryBytes: 58, sectionCount: 60, nameSection: 62 } as const
const SECTION = { name: 0, type: 4, offset: 24, size: 32, info: 44 } as const
const RELOCATION_TYPE = 9
const RELOCATION_BYTES = 16

/** Machine code of a program in C, with the slots in which it wants the address of a map. */
export interface ClangProgram {
  readonly code: Uint8Array
  readonly mapSlots: readonly number[]
}

/** The compiler's name, or null where none is installed. */
export function findClang(): string | null {
  for (const name of COMPILERS) {
    try {
      execFileSync(name, ['--version'], { stdio: 'ignore' })
      return name
    } catch {}
  }
  return null
}

/** Compiles a C file for eBPF with -O2 and takes the section `xdp` out of the object. */
export function compileC(clang: string, source: string): ClangProgram {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-clang-'))
  try {
    const object = join(folder, 'program.o')
    const include = `-I/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
    execFileSync(clang, ['-O2', '-target', 'bpf', include, '-c', source, '-o', object], { stdio: 'inherit' })
    return readObject(readFileSync(object))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Reads ELF64, little-endian (elf(5)): the section `xdp` and the places of its relocations. */
function readObject(object: Buffer): ClangProgram {
  const table = Number(object.readBigUInt64LE(ELF64.sectionTable))
  const entryBytes = object.readUInt16LE(ELF64.sectionEntryBytes)
  const sections = Array.from({ length: object.readUInt16LE(ELF64.sectionCount) }, (_, index) => {
    const at = table + index * entryBytes
    const offset = Number(object.readBigUInt64LE(at + SECTION.offset))
    const size = Number(object.readBigUInt64LE(at + SECTION.size))
    return {
      nameAt: object.readUInt32LE(at + SECTION.name),
      type: object.readUInt32LE(at + SECTION.type),
      appliesTo: object.readUInt32LE(at + SECTION.info),
      bytes: object.subarray(offset, offset + size),
    }
  })
  const names = sections[object.readUInt16LE(ELF64.nameSection)]!.bytes
  const nameOf = (at: number) => names.toString('latin1', at, names.indexOf(0, at))
  const program = sections.findIndex((section) => nameOf(section.nameAt) === 'xdp')
  const relocations = sections.find((section) => section.type === RELOCATION_TYPE && section.appliesTo === program)
  const mapSlots: number[] = []
  for (let at = 0; at < (relocations?.bytes.length ?? 0); at += RELOCATION_BYTES) {
    mapSlots.push(Number(relocations!.bytes.readBigUInt64LE(at)) / 8)
  }
  return { code: new Uint8Array(sections[program]!.bytes), mapSlots }
}
