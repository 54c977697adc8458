/**
 * A program with workers that wait at the queues of a TAP device, to which packets come one by one, so that they
 * fall asleep and wake all the time. It ends by process.exit() with status 7 after so many packets as it is told.
 */
import { openPacketDevice } from '../../src/device/index.js'
import { startWorkers } from '../../src/engine/index.js'
import { closeNetlink, createNamespace, findLink, openRoute, setLink } from '../../src/kernel/index.js'
import { openBench } from './engine.js'
import { flowFrame } from './flow-packet.js'
import { tapQueues } from './tap-queues-plan.js'

const STATUS = 7
const bench = openBench({ 2048: 1024 })
const { space, code, pool, worker } = bench
const namespace = createNamespace()
await startWorkers(tapQueues, space, code, pool, { settings: { tap: { name: 'leaving', namespace } } })
const route = openRoute(namespace)
const { index: interfaceIndex } = findLink(route, 'leaving')
setLink(route, interfaceIndex, { up: true })
closeNetlink(route)
const socket = openPacketDevice(space, code, worker, { name: 'socket', namespace, interfaceIndex })
const bundle = bench.bundle('sent')

function sendOne(left: number): void {
  if (left === 0) process.exit(STATUS)
  bench.fill(bundle, [flowFrame({ family: 4, protocol: 'udp', payload: new Uint8Array(20), flow: left })])
  socket.send(bundle)
  bench.empty(bundle)
  setImmediate(sendOne, left - 1)
}
sendOne(Number(process.argv[2]))
