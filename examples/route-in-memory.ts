/**
 * A router of two ports, in memory: packets come in by one, go where the tables say, and a route is changed
 * while they flow. `sluice route` does the same over network devices, by the kernel's routes. Needs no rights.
 */
import { createLink } from 'sluice/device'
import { draw, receive, send, startEngine } from 'sluice/engine'
import {
  BUNDLE_BYTES,
  BUNDLE_DESCRIPTORS,
  createPool,
  createSpace,
  DESCRIPTOR_ADDRESS,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_CAPTURED,
  DESCRIPTOR_WIRE,
  loadCode,
  METADATA_BYTES,
  METADATA_VALID,
} from 'sluice/memory'
import { errors, forward, openRoutes, type RoutesOptions, routesBytes } from 'sluice/route'
import { discard } from 'sluice/stages'

const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last)
const SIZES: RoutesOptions = {
  v4: { rootBits: 16, nodes: 64, routes: 64 },
  v6: { rootBits: 8, nodes: 64, routes: 64 },
  ports: 2,
}

const space = createSpace((8 << 20) + routesBytes(SIZES))
const code = loadCode(space)
const pool = createPool(space, code, { 2048: 1024 })
const worker = pool.openWorker('router')
const tables = openRoutes(space, code, 'example', SIZES)
const [lan, host] = createLink(space, code, worker, 'lan')
const [wan, world] = createLink(space, code, worker, 'wan')

tables.setPort(0, { mac: mac(1), mtu: 1500, v4: [Uint8Array.of(192, 0, 2, 1)] })
tables.setPort(1, { mac: mac(2), mtu: 1500 })
const toHost = tables.addNextHop({ kind: 'forward', port: 0, mac: mac(0x10) })
const [primary, backup] = [0x20, 0x21].map((last) => tables.addNextHop({ kind: 'forward', port: 1, mac: mac(last) }))
const anywhere = { address: Uint8Array.of(0, 0, 0, 0), length: 0 }
tables.insert({ address: Uint8Array.of(192, 0, 2, 0), length: 24 }, toHost)
tables.insert(anywhere, primary!)

const answer = errors('errors', tables)
const [forKernel, lost] = [discard('for the kernel'), discard('no way')]
const engine = startEngine(
  space,
  code,
  worker,
  draw(
    [receive(lan), forward('from lan', tables, { inPort: 0 }), send(lan)],
    ['from lan.port 1', send(wan)],
    ['from lan.local', forKernel],
    ['from lan.unresolved', lost],
    ['from lan.errors', answer, forward('answers', tables, { inPort: null }), send(lan)],
    ['answers.port 1', send(wan)],
    ['answers.local', forKernel],
    ['answers.unresolved', lost],
    ['answers.errors', lost],
  ),
)

const bundle = space.reserve({ name: 'example', kind: 'bundle', bytes: BUNDLE_BYTES }).offset

/** A datagram of the host's to 198.51.100.9, in a frame of the pool, which the router takes. */
function sendDatagram(timeToLive: number): void {
  worker.take(bundle, 1)
  const at = (bundle + BUNDLE_DESCRIPTORS) / 4
  const packet = space.words[at + DESCRIPTOR_ADDRESS / 4]!
  const header = [0x45, 0, 0, 28, 0, 0, 0, 0, timeToLive, 17, 0, 0, 192, 0, 2, 16, 198, 51, 100, 9]
  let sum = 0
  for (let byte = 0; byte < header.length; byte += 2) sum += header[byte]! * 256 + header[byte + 1]!
  sum = (sum & 0xffff) + (sum >>> 16)
  header[10] = (~sum >> 8) & 0xff
  header[11] = ~sum & 0xff
  space.bytes.fill(0, packet, packet + 60)
  space.bytes.set([...mac(1), ...mac(0x10), 8, 0, ...header, 0, 9, 0, 9, 0, 8], packet)
  space.words[at + DESCRIPTOR_CAPTURED / 4] = 60
  space.words[at + DESCRIPTOR_WIRE / 4] = 60
  space.bytes[packet - METADATA_BYTES + METADATA_VALID] = 0
  host.send(bundle)
  host.flush()
  engine.round()
}

/** What has come out at the end of a link: of each packet the first bytes, in hexadecimal. */
function arrived(end: typeof host): string[] {
  const count = end.receive(bundle, 256)
  const packets = Array.from({ length: count }, (_, index) => {
    const packet = space.words[(bundle + BUNDLE_DESCRIPTORS + index * DESCRIPTOR_BYTES + DESCRIPTOR_ADDRESS) / 4]!
    return Buffer.from(space.bytes.slice(packet, packet + 36)).toString('hex')
  })
  worker.give(bundle + BUNDLE_DESCRIPTORS, count)
  space.words[bundle / 4] = 0
  return packets
}

function show(what: string, packets: readonly string[]): void {
  for (const packet of packets) {
    const [to, timeToLive, type] = [packet.slice(0, 12), packet.slice(44, 46), packet.slice(68, 70)]
    const icmp = packet.slice(46, 48) === '01' ? `, ICMP type ${Number.parseInt(type, 16)}` : ''
    console.log(`${what}: to ${to}, time to live ${Number.parseInt(timeToLive, 16)}${icmp}`)
  }
}

sendDatagram(64)
show('by the primary gateway', arrived(world))
tables.insert(anywhere, backup!)
sendDatagram(64)
show('after the change', arrived(world))
sendDatagram(1)
show('whose time is over', arrived(host))

engine.close()
for (const end of [lan, host, wan, world]) end.close()
worker.close()
const missing = pool.balance().reduce((sum, { frames, free }) => sum + frames - free, 0)
console.log(`${missing} frames are not back in the pool`)
process.exitCode = missing === 0 ? 0 : 1
