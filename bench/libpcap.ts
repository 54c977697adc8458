import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Packet } from '../src/ir/index.js'

const SOURCE = fileURLToPath(new URL('../../bench/c/libpcap-loop.c', import.meta.url))

/** libpcap's filter in a C program of its own, over the packets that it was started with. */
export interface Libpcap {
  /** Why libpcap refuses the expression, or null where it is compiled now. */
  compile(expression: string): Promise<string | null>
  /** Filters all packets so often. */
  run(times: number): Promise<{ readonly nanosecondsPerPacket: number; readonly matches: number }>
  close(): void
}

/** Builds bench/c/libpcap-loop.c and starts it; or a sentence that says what is missing for that. */
export function startLibpcap(packets: readonly Packet[]): Libpcap | string {
  const compiler = ['cc', 'clang', 'gcc'].find((name) => runs(name, ['--version']))
  if (compiler === undefined) return 'there is no C compiler on this machine (Debian: apt-get install gcc)'
  const folder = mkdtempSync(join(tmpdir(), 'sluice-libpcap-'))
  try {
    const program = join(folder, 'libpcap-loop')
    if (!runs(compiler, ['-O2', '-o', program, SOURCE, '-lpcap']))
      return 'libpcap-loop.c cannot be built; install libpcap for developers (Debian: apt-get install libpcap-dev)'
    const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
    const libpcap = talkTo(child, packets)
    child.once('spawn', () => rmSync(folder, { recursive: true }))
    return libpcap
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

function talkTo(child: ChildProcessByStdio<Writable, Readable, null>, packets: readonly Packet[]): Libpcap {
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  child.stdin.write(packetsInMemory(packets))
  const ask = async (line: string): Promise<string> => {
    child.stdin.write(`${line}\n`)
    const { value, done } = await lines.next()
    if (done) throw new Error('libpcap-loop ended before it answered; see what it printed')
    return value
  }
  return {
    async compile(expression) {
      const answer = await ask(`f ${expression}`)
      return answer === 'ok' ? null : answer.slice('no '.length)
    },
    async run(times) {
      const [nanoseconds, matches] = (await ask(`r ${times}`)).split(' ').map(Number)
      return { nanosecondsPerPacket: nanoseconds! / times / packets.length, matches: matches! }
    },
    close: () => child.stdin.end(),
  }
}

/** What libpcap-loop.c reads first. */
function packetsInMemory(packets: readonly Packet[]): Buffer {
  const lengths = packets.flatMap(({ bytes, wireLength }) => [bytes.length, wireLength])
  const head = Uint32Array.from([packets.length, ...lengths])
  return Buffer.concat([new Uint8Array(head.buffer), ...packets.map(({ bytes }) => bytes)])
}

function runs(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
