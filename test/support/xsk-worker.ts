import { parentPort, workerData } from 'node:worker_threads'
import { createWaiter, type LinearMemory, type XskSocket } from '../../src/kernel/index.js'
import { xskRings } from './xsk-rings.js'

/**
 * Receives on one socket until `total[0]`, which all workers count, is `count`,
 * and sends back the number that each packet carries in its last four bytes.
 */
const { memory, socket, total, count } = workerData as {
  memory: LinearMemory
  socket: XskSocket
  total: Int32Array
  count: number
}
const rings = xskRings(memory, socket)
const bytes = new DataView(memory.buffer)
const waiter = createWaiter([socket.fd])
const numbers: number[] = []
const deadline = performance.now() + 60_000
while (Atomics.load(total, 0) < count && performance.now() < deadline) {
  waiter.wait(50)
  for (let packet = rings.receive(); packet !== null; packet = rings.receive()) {
    numbers.push(bytes.getUint32(packet.address + packet.length - 4))
    rings.provide(packet.address)
    Atomics.add(total, 0, 1)
  }
}
parentPort!.postMessage(numbers)
