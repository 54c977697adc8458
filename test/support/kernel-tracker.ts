import { execFileSync } from 'node:child_process'
import {
  addAddress,
  addNeighbour,
  closeNamespace,
  closeNetlink,
  createFrameIo,
  createNamespace,
  findLink,
  openRoute,
  openTap,
  parseMac,
  setLink,
  VNET_HEADER,
  writeSysctl,
} from '../../src/kernel/index.js'
import { createMemory } from '../../src/wasm/index.js'
import { inside } from './joined-namespaces.js'
import { HOSTS, type Host, type TrackedPacket, trackedFrame } from './tracked-packet.js'

/** What a connection tracker says of a packet. */
export type Verdict = 'new' | 'established' | 'related' | 'invalid' | 'untracked' | 'dropped'

/** Linux's connection tracking in a namespace that forwards between two TAP devices. */
export interface KernelTracker {
  /** Sends a packet and waits for it at the other side, where its DSCP tells the verdict. */
  judge(packet: TrackedPacket): Verdict
  close(): void
}

const MARKS: readonly (Verdict | undefined)[] = [undefined, 'invalid', 'new', 'established', 'related', 'untracked']
/** A packet of ours that the kernel forwards is there at once; what is not, after so long and so many looks, was dropped. */
const WAIT_MS = 20
const LOOKS = 500
const FRAME_AT = 2
const MOST_BYTES = 4096

const rulesOf = (protocol: string) =>
  MARKS.slice(1)
    .map((verdict, index) => `ct state ${verdict} ${protocol} dscp set ${index + 1} accept;`)
    .join(' ')

/** Needs root and nft. Sequence numbers are checked as the kernel does by default. */
export function openKernelTracker(): KernelTracker {
  const namespace = createNamespace()
  const memory = createMemory(1, 1, true)
  const bytes = new Uint8Array(memory.buffer)
  const io = createFrameIo(memory)
  const route = openRoute(namespace)
  writeSysctl(namespace, 'ipv4/ip_forward', 1)
  writeSysctl(namespace, 'ipv4/conf/all/rp_filter', 0)
  writeSysctl(namespace, 'ipv4/conf/default/rp_filter', 0)
  const open = (host: Host, ipv4: string, ipv6: string) => {
    const tap = openTap({ name: host, namespace })
    const { index } = tap.socket
    writeSysctl(namespace, `ipv6/conf/${host}/accept_dad`, 0)
    writeSysctl(namespace, `ipv6/conf/${host}/forwarding`, 1)
    setLink(route, index, { up: true })
    addAddress(route, index, `${ipv4}/24`)
    addAddress(route, index, `${ipv6}/64`)
    for (const family of [4, 6] as const) addNeighbour(route, index, HOSTS[host][family], HOSTS[host].mac)
    return { tap, fd: tap.socket.fds[0]!, mac: parseMac(findLink(route, host).mac) }
  }
  const ends = {
    client: open('client', '192.0.2.254', '2001:db8:1::fe'),
    server: open('server', '198.51.100.254', '2001:db8:2::fe'),
  }
  writeSysctl(namespace, 'ipv6/conf/all/forwarding', 1)
  closeNetlink(route)
  const table = (family: string) =>
    `table ${family} t {\n chain c {\n type filter hook prerouting priority -150; ${rulesOf(family)}\n }\n}\n`
  const [command, ...rest] = [...inside(namespace), 'nft', '-f', '-']
  execFileSync(command!, rest, { input: table('ip') + table('ip6') })

  /** DSCP of the next IP packet that stands behind the addresses of `packet`; undefined where none comes. */
  const arrived = (fd: number, packet: Uint8Array): number | undefined => {
    const until = performance.now() + WAIT_MS
    let looks = 0
    const start = VNET_HEADER.bytes + 14
    do {
      const length = io.read(fd, FRAME_AT, MOST_BYTES)
      if (length <= 0) continue
      const ip = bytes.subarray(FRAME_AT + start, FRAME_AT + length)
      const isIpv4 = ip[0]! >> 4 === 4
      const [from, end] = isIpv4 ? [12, 20] : [8, 40]
      if (
        ip[0]! >> 4 !== packet[14]! >> 4 ||
        !ip.subarray(from, end).every((byte, at) => byte === packet[14 + from + at])
      )
        continue
      return isIpv4 ? ip[1]! >> 2 : ((ip[0]! & 15) << 2) | (ip[1]! >> 6)
    } while (++looks < LOOKS || performance.now() < until)
    return undefined
  }
  return {
    judge(packet) {
      const { from } = packet
      const other = ends[from === 'client' ? 'server' : 'client']
      const frame = trackedFrame(packet, ends[from].mac)
      bytes.fill(0, FRAME_AT, FRAME_AT + VNET_HEADER.bytes)
      bytes.set(frame, FRAME_AT + VNET_HEADER.bytes)
      io.write(ends[from].fd, FRAME_AT, VNET_HEADER.bytes + frame.length)
      const mark = arrived(other.fd, frame)
      return mark === undefined ? 'dropped' : (MARKS[mark] ?? 'untracked')
    },
    close() {
      for (const { tap } of Object.values(ends)) tap.close()
      closeNamespace(namespace)
    },
  }
}
