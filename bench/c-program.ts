import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type NetworkNamespace, withNamespace } from '../src/kernel/index.js'

/** A C program at work, which answers a line with a line. */
export interface CProgram {
  ask(line: string): Promise<string>
  readonly pid: number
  /** Lets it end. */
  close(): void
  /** Resolves when it has ended. */
  readonly ended: Promise<void>
}

export interface CProgramOptions {
  /** Of bench/c/. */
  readonly source: string
  readonly compiler: string
  /** Behind `-O2`, the source and the program. */
  readonly flags?: readonly string[]
  /** Files that the source includes, by name. */
  readonly headers?: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  /** What its standard input begins with. */
  readonly input?: Uint8Array
  /** Where it is started; by default in this thread's namespace. */
  readonly namespace?: NetworkNamespace
}

/** The C compilers of this machine, among those that are asked for. */
export function findCompilers(names: readonly string[]): string[] {
  return names.filter((name) => runs(name, ['--version']))
}

/** Builds a program with -O2 and starts it; null where it cannot be built. */
export function startC({
  source,
  compiler,
  flags = [],
  headers = {},
  args = [],
  input,
  namespace,
}: CProgramOptions): CProgram | null {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  try {
    for (const [name, text] of Object.entries(headers)) writeFileSync(join(folder, name), text)
    const program = join(folder, 'program')
    const path = fileURLToPath(new URL(`../../bench/c/${source}`, import.meta.url))
    if (!runs(compiler, ['-O2', `-I${folder}`, '-o', program, path, ...flags])) return null
    const start = () => spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const child = namespace ? withNamespace(namespace, start) : start()
    child.once('spawn', () => rmSync(folder, { recursive: true }))
    if (input !== undefined) child.stdin.write(input)
    return talkTo(child, source)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** A child process that answers each line with a line. */
export function talkTo(child: ChildProcessByStdio<Writable, Readable, null>, source: string): CProgram {
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async ask(line) {
      child.stdin.write(`${line}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error(`${source} ended before it answered; see what it printed`)
      return value
    },
    pid: child.pid!,
    close: () => child.stdin.end(),
    ended: new Promise((resolve) => child.once('close', () => resolve())),
  }
}

function runs(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
