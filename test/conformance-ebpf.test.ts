import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { decode, encode, type Instruction, type Outcome, parseText, runCode, validate } from '../src/ebpf/index.js'
import { CORPUS, skipUnless } from './support/require.js'

/**
 * The public eBPF conformance vectors, each a file of sections:
 * `-- asm` or `-- raw` (hexadecimal bytes, or 64-bit words), `-- mem` (bytes that
 * R1 points to), `-- result` (what R0 must be) or `-- error`.
 */
const SUITE = `${CORPUS}ebpf/bpf_conformance/tests/`
const NEGATIVE = `${CORPUS}ebpf/bpf_conformance/negative/`
const UBPF = `${CORPUS}ebpf/ubpf/tests/`
const skip = skipUnless('corpus')

/** Vectors that are not run, with the reason. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  callx: 'calls through a register are not in RFC 9669, and the kernel refuses them',
}

const UBPF_LEFT_OUT: Readonly<Record<string, string>> = {
  'err-lddw-invalid-src': 'uBPF has no maps; here and in the kernel source 1 is a map descriptor',
  'err-too-many-instructions': 'a limit of uBPF, 65,536 instructions; the kernel takes 1,000,000',
  'err-unknown-opcode': 'opcode 0x06 is gotol since RFC 9669',
}

/** Where each faulty program of uBPF is found out: written down, read as bytes, looked at, or only run. */
const UBPF_REFUSED: Readonly<Record<string, 'text' | 'bytes' | 'validate' | 'run'>> = {
  'err-address-overflow-offset': 'run',
  'err-call-bad-imm': 'run',
  'err-call-invalid-jump': 'validate',
  'err-call-unreg': 'run',
  'err-call0': 'validate',
  'err-endian-size': 'bytes',
  'err-infinite-loop': 'run',
  'err-integer-overflow-bounds': 'run',
  'err-invalid-reg-dst': 'text',
  'err-jmp-lddw': 'text',
  'err-lddw-second-half-invalid': 'bytes',
  'err-lddw-second-half-invalid-offset': 'bytes',
  'err-lddw-second-half-invalid-src-offset': 'bytes',
}

/** Our own program for the captures of uBPF's tcp-port-80, whose source the corpus has not. */
const TCP_PORT_80 = `
  mov %r0, 0
  mov %r4, %r2
  jlt %r4, 34, done
  ldxh %r3, [%r1+12]
  be16 %r3
  jne %r3, 0x800, done
  ldxb %r3, [%r1+23]
  jne %r3, 6, done
  ldxb %r5, [%r1+14]
  and %r5, 15
  lsh %r5, 2
  mov %r6, %r5
  add %r6, 18
  jlt %r4, %r6, done
  add %r1, %r5
  ldxh %r3, [%r1+16]
  be16 %r3
  jne %r3, 80, done
  mov %r0, 1
done:
  exit`

type Sections = ReadonlyMap<string, string>

test('the conformance vectors give the recorded results', { skip }, (context) => {
  const names = vectorsIn(SUITE)
  assert.equal(names.length, 208)
  for (const name of names.filter((one) => !(one in LEFT_OUT))) {
    const sections = readVector(SUITE, name)
    const instructions = parseText(sections.get('asm')!)
    assert.deepEqual(decode(encode(instructions)), instructions, `${name}: encoding`)
    if (sections.has('raw')) assert.deepEqual(instructions, decode(rawBytes(sections)), `${name}: raw`)
    validate(instructions)
    assert.equal(resultOf(runCode(instructions, memoryOf(sections))), expectedOf(sections), name)
  }
  printLeftOut(context, LEFT_OUT, names)
})

test('the negative vectors are refused', { skip }, () => {
  const names = vectorsIn(NEGATIVE)
  assert.equal(names.length, 42)
  for (const name of names) {
    assert.throws(
      () => {
        const sections = readVector(NEGATIVE, name)
        if (sections.has('raw')) decode(rawBytes(sections))
        else parseText(sections.get('asm') ?? '')
      },
      { name: 'AssemblerError' },
      name,
    )
  }
})

test('faulty programs of uBPF are found out where they should be', { skip }, (context) => {
  const names = vectorsIn(`${UBPF}errors/`)
  for (const name of names.filter((one) => !(one in UBPF_LEFT_OUT))) {
    assert.equal(stageOfRefusal(readVector(`${UBPF}errors/`, name)), UBPF_REFUSED[name], name)
  }
  printLeftOut(context, UBPF_LEFT_OUT, names)
})

test('the captures of uBPF are told apart', { skip }, () => {
  const instructions = parseText(TCP_PORT_80)
  const names = vectorsIn(`${UBPF}tcp-port-80/`)
  assert.deepEqual(names, ['match', 'nomatch', 'nomatch-ethertype', 'nomatch-proto'])
  for (const name of names) {
    const sections = readVector(`${UBPF}tcp-port-80/`, name)
    assert.equal(resultOf(runCode(instructions, memoryOf(sections))), expectedOf(sections), name)
  }
})

function vectorsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.data'))
    .map((file) => file.slice(0, -5))
    .sort()
}

/** Sections by name; what follows ` @ ` in a heading names a file that is not part of the vector. */
function readVector(folder: string, name: string): Sections {
  const sections = new Map<string, string>()
  let heading = ''
  for (const line of readFileSync(`${folder}${name}.data`, 'utf8').split('\n')) {
    if (line.startsWith('-- ')) heading = line.slice(3).replace(/ @ .*/, '').trim()
    else if (heading !== '') sections.set(heading, `${sections.get(heading) ?? ''}${line}\n`)
  }
  return sections
}

function memoryOf(sections: Sections): Uint8Array {
  return Uint8Array.from(sections.get('mem')?.match(/[0-9a-fA-F]{2}/g) ?? [], (byte) => Number.parseInt(byte, 16))
}

function rawBytes(sections: Sections): Uint8Array {
  const words = sections.get('raw')!.trim().split(/\s+/)
  if (!words[0].startsWith('0x')) return Uint8Array.from(words, (byte) => Number.parseInt(byte, 16))
  return new Uint8Array(BigUint64Array.from(words, (word) => BigInt(word)).buffer)
}

function expectedOf(sections: Sections): bigint {
  return BigInt(sections.get('result')!.trim())
}

function resultOf(outcome: Outcome): bigint {
  assert.equal(outcome.kind, 'return', JSON.stringify(outcome))
  return (BigInt(outcome.high) << 32n) | BigInt(outcome.value)
}

function stageOfRefusal(sections: Sections): string {
  let instructions: readonly Instruction[]
  const written = sections.has('raw') ? 'bytes' : 'text'
  try {
    instructions = written === 'bytes' ? decode(rawBytes(sections)) : parseText(sections.get('asm')!)
  } catch {
    return written
  }
  try {
    validate(instructions)
  } catch {
    return 'validate'
  }
  return runCode(instructions).kind === 'fault' ? 'run' : 'accepted'
}

function printLeftOut(
  context: { diagnostic(text: string): void },
  leftOut: Readonly<Record<string, string>>,
  names: readonly string[],
): void {
  for (const [name, reason] of Object.entries(leftOut)) {
    assert.ok(names.includes(name), `${name} is left out but not there`)
    context.diagnostic(`left out ${name}: ${reason}`)
  }
  context.diagnostic(`${names.length - Object.keys(leftOut).length} of ${names.length} vectors`)
}
