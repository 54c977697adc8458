import { once } from 'node:events'
import { CLI } from './cli.js'
import { eventually } from './eventually.js'
import { inside } from './joined-namespaces.js'
import { startCommand } from './protecting.js'
import type { RoutedNetwork } from './routed-network.js'

/** `sluice route left right --json` at work. */
export interface RouteCommand {
  readonly stderr: () => string
  /** Sends SIGHUP and waits for what the command says of it. */
  reload(said: RegExp): Promise<void>
  /** Ends it by SIGINT, and gives its totals. */
  end(): Promise<ReturnType<typeof JSON.parse>>
}

/** Starts it in the router's namespace, for `endChildren` to end if nothing else does, and comes back when it routes. */
export async function startRouteCommand(network: RoutedNetwork, ...options: readonly string[]): Promise<RouteCommand> {
  const route = [process.execPath, CLI, 'route', 'left', 'right', ...options, '--json']
  const command = startCommand([...inside(network.router), ...route], { ...process.env, SSH_CONNECTION: '' })
  let [stdout, stderr] = ['', '']
  command.stdout!.on('data', (data) => (stdout += data))
  command.stderr!.on('data', (data) => (stderr += data))
  await eventually('it routes', () => {
    if (command.exitCode !== null) throw new Error(`it ended: ${stderr}`)
    return /routing (between|in the drivers of) /.test(stderr)
  })
  return {
    stderr: () => stderr,
    async reload(said) {
      const before = stderr.length
      command.kill('SIGHUP')
      await eventually(`${said} is said`, () => said.test(stderr.slice(before)))
    },
    async end() {
      command.kill('SIGINT')
      await once(command, 'close')
      return JSON.parse(stdout)
    },
  }
}
