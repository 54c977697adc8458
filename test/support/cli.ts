import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import './run-directory.js'

/** The command as it is installed: it starts five times as fast as its two hundred modules one by one. */
export const CLI = fileURLToPath(new URL('../../../dist/bin/sluice.cjs', import.meta.url))

export interface CliResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `sluice ARGS` to its end; `wrapper` is a command that starts it, such as nsenter. */
export function runCli(args: readonly string[], wrapper: readonly string[] = [], input?: Uint8Array): CliResult {
  const [command, ...rest] = [...wrapper, process.execPath, CLI, ...args]
  const { status, stdout, stderr, error } = spawnSync(command!, rest, {
    encoding: 'utf8',
    env: { ...process.env, SLUICE_DEBUG: '', NO_COLOR: '1', SSH_CONNECTION: '' },
    timeout: 60_000,
    ...(input === undefined ? {} : { input }),
  })
  if (error !== undefined) throw error
  return { status, stdout, stderr }
}
