import { execFileSync } from 'node:child_process'
import {
  addAddress,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  setLink,
  writeSysctl,
} from '../../src/kernel/index.js'

/** The addresses of `sender` (device `near`) and of `receiver` (device `far`). */
export const SENDER = '198.51.100.1'
export const RECEIVER = '198.51.100.2'

/** Two namespaces that are joined by a veth pair. */
export interface JoinedNamespaces {
  readonly sender: NetworkNamespace
  readonly receiver: NetworkNamespace
  close(): void
}

export function joinNamespaces(): JoinedNamespaces {
  const sender = createNamespace()
  const receiver = createNamespace()
  // The kernel's own neighbour and router solicitations would be counted too, now and then.
  for (const namespace of [sender, receiver]) writeSysctl(namespace, 'ipv6/conf/default/disable_ipv6', 1)
  const [near, far] = [openRoute(sender), openRoute(receiver)]
  createVeth(near, { name: 'near' }, { name: 'far' }, receiver)
  for (const [route, name, address] of [
    [near, 'near', SENDER],
    [far, 'far', RECEIVER],
  ] as const) {
    const { index } = findLink(route, name)
    setLink(route, index, { up: true })
    addAddress(route, index, `${address}/24`)
    closeNetlink(route)
  }
  return {
    sender,
    receiver,
    close() {
      closeNamespace(sender)
      closeNamespace(receiver)
    },
  }
}

/** What starts a command in a namespace. */
export function inside({ path }: NetworkNamespace): string[] {
  return ['nsenter', `--net=${path}`]
}

/** Sends so many datagrams of 100 bytes from the sender to a port of the receiver; returns when all have left. */
export function sendDatagrams({ sender }: JoinedNamespaces, count: number, port: number): void {
  const script = `
    const socket = require('dgram').createSocket('udp4')
    let left = ${count}
    const next = () => left-- > 0 ? socket.send(Buffer.alloc(100), ${port}, '${RECEIVER}', next) : socket.close()
    next()`
  const [command, ...rest] = [...inside(sender), process.execPath, '-e', script]
  execFileSync(command!, rest)
}

/** What stands at the receiver's device: how, and which program. */
export function attachedProgram({ receiver }: JoinedNamespaces): { readonly mode: string; readonly programId: number } {
  const route = openRoute(receiver)
  try {
    return findLink(route, 'far').xdp
  } finally {
    closeNetlink(route)
  }
}

/** `none` where no program stands at the receiver's device. */
export function attachedMode(network: JoinedNamespaces): string {
  return attachedProgram(network).mode
}
