import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { NetworkNamespace } from '../../src/kernel/index.js'
import { CLI } from './cli.js'
import { eventually } from './eventually.js'
import { inside } from './joined-namespaces.js'
import { RUN_DIRECTORY } from './run-directory.js'

/** What `sluice protect --json` prints at its end, as far as tests look. */
export interface ProtectSummary {
  readonly endedBy: string
  readonly mode: string
  readonly reloads: { done: number; refused: number }
  readonly dropped: number
  readonly rules: readonly { name: string; packets: number; bytes: number; overPackets: number }[]
  readonly kept: { packets: number }
  readonly keptPrefixes: readonly string[]
}

interface Ended {
  readonly status: number | null
  readonly summary: ProtectSummary | null
}

/** `sluice protect` at work in a namespace. */
export interface Protecting {
  readonly child: ChildProcess
  readonly stderr: () => string
  /** Sends SIGHUP and waits for what the command says of it. */
  reload(said: RegExp): Promise<void>
  /** Ends it and gives the totals. */
  end(signal?: NodeJS.Signals): Promise<Ended>
  readonly ended: Promise<Ended>
}

const children = new Set<ChildProcess>()

/** For `afterEach`: a test that fails leaves no program at the device for the next one. */
export function endChildren(): void {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
}

/** Starts a command that `endChildren` ends. */
export function startCommand(command: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const child = spawn(command[0]!, command.slice(1), { env, stdio: ['pipe', 'pipe', 'pipe'] })
  children.add(child)
  return child
}

/**
 * Starts `sluice protect DEVICE --policy POLICY --json ARGS`, and comes back when the policy is in force and it can be
 * asked. `cli` is the file of the command line.
 */
export async function startProtecting(
  namespace: NetworkNamespace,
  device: string,
  policy: string,
  args: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
  cli = CLI,
): Promise<Protecting> {
  const own = [process.execPath, cli, 'protect', device, '--policy', policy, '--json', ...args]
  const child = startCommand([...inside(namespace), ...own], { ...process.env, SSH_CONNECTION: '', ...environment })
  let [stdout, stderr] = ['', '']
  child.stdout!.on('data', (data) => {
    stdout += data
  })
  child.stderr!.on('data', (data) => {
    stderr += data
  })
  const ended = once(child, 'close').then(([status]): Ended => {
    return { status, summary: stdout === '' ? null : (JSON.parse(stdout) as ProtectSummary) }
  })
  await eventually(`the policy stands, or says why not: ${stderr}`, () => {
    if (child.exitCode !== null) throw new Error(`protect ended early: ${stderr}`)
    const canBeAsked = existsSync(join(RUN_DIRECTORY, `${child.pid}.sock`))
    return stderr.includes('protecting by') && (canBeAsked || stderr.includes('will not see this'))
  })
  return {
    child,
    stderr: () => stderr,
    async reload(said) {
      const before = stderr.length
      child.kill('SIGHUP')
      await eventually(`${said} is said`, () => said.test(stderr.slice(before)))
    },
    end(signal = 'SIGINT') {
      child.kill(signal)
      return ended
    },
    ended,
  }
}
