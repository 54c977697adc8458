import { execFile } from 'node:child_process'
import type { NetworkNamespace } from '../../src/kernel/index.js'
import { inside } from './joined-namespaces.js'

export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command in a namespace to its end, while this thread goes on; one that takes longer than `timeoutMs` is ended. */
export function runIn(namespace: NetworkNamespace, command: readonly string[], timeoutMs = 30_000): Promise<Outcome> {
  const [first, ...rest] = [...inside(namespace), ...command]
  return new Promise((resolve) => {
    execFile(first!, rest, { timeout: timeoutMs, encoding: 'utf8', maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ status: code, stdout, stderr })
    })
  })
}
