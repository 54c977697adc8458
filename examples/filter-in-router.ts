/**
 * A router between two hosts, each a namespace of its own: a counter and a filter come to its hook `forward` and go
 * again while pings pass. Needs root.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type ListenerRequest, startRouter } from 'sluice'
import {
  addAddress,
  addRoute,
  closeNetlink,
  createNamespace,
  createVeth,
  findLink,
  type NetworkNamespace,
  openRoute,
  setLink,
  withNamespace,
} from 'sluice/kernel'

/** A host behind the device `name` of the router: 192.0.2.2 or 198.51.100.2, and the router is `.1`. */
function makeHost(router: NetworkNamespace, name: string, network: string): NetworkNamespace {
  const host = createNamespace()
  const ends = [openRoute(router), openRoute(host)] as const
  createVeth(ends[0], { name }, { name: 'eth0' }, host)
  for (const [route, device, address] of [
    [ends[0], name, `${network}.1/24`],
    [ends[1], 'eth0', `${network}.2/24`],
  ] as const) {
    const { index } = findLink(route, device)
    setLink(route, index, { up: true })
    addAddress(route, index, address)
  }
  addRoute(ends[1], 'default', `${network}.1`)
  for (const route of ends) closeNetlink(route)
  return host
}

async function run(): Promise<void> {
  const namespace = createNamespace()
  const [lan] = [makeHost(namespace, 'lan', '192.0.2'), makeHost(namespace, 'wan', '198.51.100')]
  const router = await startRouter({ devices: ['lan', 'wan'], namespace, warn: console.error })

  const ping = async () => {
    const child = withNamespace(lan, () => execFile('ping', ['-c', '5', '-i', '0.1', '-W', '1', '198.51.100.2']))
    const [status] = await once(child, 'close')
    return status === 0 ? 'answered' : 'not answered'
  }

  for (const listener of [
    { at: 'forward', action: 'count', match: 'icmp' },
    { at: 'forward', action: 'drop', match: 'icmp[icmptype] = icmp-echo', to: 'wan' },
  ] as const satisfies ListenerRequest[]) {
    const listening = await router.listen(listener)
    const what = await ping()
    const { packets } = await listening.close()
    console.log(`${listener.action} ${listener.match}: pings are ${what}, ${packets} packets`)
  }
  console.log(`nobody at the hooks: pings are ${await ping()}`)
  router.close()
  await router.done
}

if (process.getuid?.() === 0) await run()
else console.error('skipped: namespaces and AF_XDP sockets need root, run it with sudo')
