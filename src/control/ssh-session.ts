import { readFileSync } from 'node:fs'
import { isAddress } from '../filter/index.js'
import { canonicalAddress, establishedConnections, type TcpConnection, withoutZone } from './tcp-table.js'

/** Where the operator sits, as far as this machine can tell. */
export interface SshSession {
  /** The client's address. */
  readonly client: string
  /** Whether its connection stands. A terminal multiplexer outlives the session that it was started in. */
  readonly isEstablished: boolean
  /** Where it does not: the clients of the SSH connections that do. */
  readonly others: readonly string[]
}

/** The established connections that a process can see, by its pid. */
type Connections = (processId: string) => readonly TcpConnection[]

const SSH_PORT = 22

/**
 * The SSH session that this process was started in, or null: the first
 * SSH_CONNECTION among it and its parents whose connection is established,
 * otherwise the first. It may have been started into another network
 * namespace, so the connections of each parent count.
 */
export function findSshSession(
  processId: number | 'self' = 'self',
  connections: Connections = establishedConnections,
): SshSession | null {
  let first: { readonly pid: string; readonly connection: TcpConnection } | null = null
  const lineage = withParents(String(processId))
  for (const pid of lineage) {
    const connection = connectionIn(read(`/proc/${pid}/environ`))
    if (connection === null) continue
    const stands = lineage.some((member) => connections(member).some((other) => isSame(other, connection)))
    if (stands) return { client: connection.remote.address, isEstablished: true, others: [] }
    first ??= { pid, connection }
  }
  if (first === null) return null
  const { local, remote } = first.connection
  const others = [...connections(lineage[0]!), ...connections(first.pid)]
    .filter((other) => other.local.port === SSH_PORT || other.local.port === local.port)
    .map((other) => other.remote.address)
  return { client: remote.address, isEstablished: false, others: [...new Set(others)] }
}

/** sudo takes the variable away from what it starts, so the parents are asked as well. */
function withParents(processId: string): string[] {
  const lineage: string[] = []
  for (let pid = processId; pid !== '0' && pid !== ''; ) {
    lineage.push(pid)
    pid = /^PPid:\s*(\d+)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? ''
  }
  return lineage
}

/** `SSH_CONNECTION=client-address client-port server-address server-port` (ssh(1)). */
function connectionIn(environment: string): TcpConnection | null {
  const value = environment.split('\0').find((variable) => variable.startsWith('SSH_CONNECTION='))
  if (value === undefined) return null
  const [client = '', clientPort, server = '', serverPort] = value.slice('SSH_CONNECTION='.length).split(' ')
  if (!isAddress(withoutZone(client)) || !isAddress(withoutZone(server))) return null
  return {
    local: { address: canonicalAddress(server), port: Number(serverPort) },
    remote: { address: canonicalAddress(client), port: Number(clientPort) },
  }
}

function isSame(one: TcpConnection, other: TcpConnection): boolean {
  return (
    one.remote.port === other.remote.port &&
    one.remote.address === other.remote.address &&
    one.local.port === other.local.port &&
    one.local.address === other.local.address
  )
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
