import { execFileSync } from 'node:child_process'
import {
  addAddress,
  addNeighbour,
  closeNamespace,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  readStatistics,
  setLink,
  writeSysctl,
} from '../../src/kernel/index.js'

/** The addresses of `sender` (device `near`) and of `receiver` (device `far`). */
export const SENDER = '198.51.100.1'
export const RECEIVER = '198.51.100.2'

const LOOK_MS = 2
const MOST_MS = 30_000
const MACS = { near: '02:00:00:00:00:0a', far: '02:00:00:00:00:0b' } as const

/** Two namespaces that are joined by a veth pair, and know each other's MAC address: nobody asks for it while packets are counted. */
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
  createVeth(near, { name: 'near', mac: MACS.near }, { name: 'far', mac: MACS.far }, receiver)
  for (const [route, name, address, other, mac] of [
    [near, 'near', SENDER, RECEIVER, MACS.far],
    [far, 'far', RECEIVER, SENDER, MACS.near],
  ] as const) {
    const { index } = findLink(route, name)
    setLink(route, index, { up: true })
    addAddress(route, index, `${address}/24`)
    addNeighbour(route, index, other, mac)
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

/**
 * Sends so many datagrams of 100 bytes from the sender to a port of the receiver; returns when all have left, and where
 * a program is in the receiver's driver, when it has judged them: the kernel may let them wait before it.
 */
export function sendDatagrams(network: JoinedNamespaces, count: number, port: number): void {
  const { sender, receiver } = network
  const judged = () => readStatistics('far', receiver).get('rx_queue_0_xdp_packets')!
  const before = judged()
  const script = `
    const socket = require('dgram').createSocket('udp4')
    let left = ${count}
    const next = () => left-- > 0 ? socket.send(Buffer.alloc(100), ${port}, '${RECEIVER}', next) : socket.close()
    next()`
  const [command, ...rest] = [...inside(sender), process.execPath, '-e', script]
  execFileSync(command!, rest)
  if (attachedMode(network) !== 'native') return
  for (let waitedMs = 0; judged() - before < count; waitedMs += LOOK_MS) {
    if (waitedMs > MOST_MS) throw new Error(`of ${count} datagrams ${judged() - before} came to the program`)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS)
  }
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
