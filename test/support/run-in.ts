import { type ChildProcess, execFile } from 'node:child_process'
import type { NetworkNamespace } from '../../src/kernel/index.js'
import { eventually } from './eventually.js'
import { inside } from './joined-namespaces.js'

export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** A command at work in a namespace. */
export interface Running {
  readonly ended: Promise<Outcome>
  /** Comes back when its standard error has what it says once it works. */
  said(pattern: RegExp): Promise<void>
  /** Ends it as Ctrl-C does. */
  stop(): Promise<Outcome>
}

/** Starts a command in a namespace; one that takes longer than `timeoutMs` is ended. */
export function startIn(namespace: NetworkNamespace, command: readonly string[], timeoutMs = 60_000): Running {
  const [first, ...rest] = [...inside(namespace), ...command]
  const options = { timeout: timeoutMs, encoding: 'utf8', maxBuffer: 64 << 20 } as const
  let child: ChildProcess
  let heard = ''
  const ended = new Promise<Outcome>((resolve) => {
    child = execFile(first!, rest, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ status: code, stdout, stderr })
    })
    child.stderr!.on('data', (data) => (heard += data))
  })
  return {
    ended,
    async said(pattern) {
      let hasEnded = false
      void ended.then(() => (hasEnded = true))
      await eventually(String(pattern), () => {
        if (hasEnded && !pattern.test(heard)) throw new Error(`ended without saying ${pattern}: ${heard}`)
        return pattern.test(heard)
      })
    },
    stop() {
      child.kill('SIGINT')
      return ended
    },
  }
}

/** Runs a command in a namespace to its end, while this thread goes on; one that takes longer than `timeoutMs` is ended. */
export function runIn(namespace: NetworkNamespace, command: readonly string[], timeoutMs?: number): Promise<Outcome> {
  return startIn(namespace, command, timeoutMs).ended
}
