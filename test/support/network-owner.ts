import { once } from 'node:events'
import { placeNapi } from '../../src/kernel/index.js'
import { createNetwork } from '../../src/lab/network.js'

/** Makes a network with two children and a NAPI thread, says what it has, and waits to be killed. */
const network = createNetwork()
const { victim, client } = network
const { threads } = placeNapi(victim.namespace, victim.device.name, {})
const module = new URL('./lab-child.js', import.meta.url)
const children = [network.spawn(victim, module, ['idle']), network.spawn(client, module, ['idle'])]
await Promise.all(children.map((child) => once(child, 'message')))
process.send!({ device: victim.device.name, threads, children: children.map((child) => child.pid) })
setInterval(() => {}, 1000)
