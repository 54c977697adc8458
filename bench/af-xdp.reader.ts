import { createInterface } from 'node:readline'
import { openXdp } from '../src/device/index.js'
import { createTurn, draw, receive, startEngine } from '../src/engine/index.js'
import { closeDescriptor, openMap, pinProcess, updateElement } from '../src/kernel/index.js'
import { createPool, createSpace, loadCode } from '../src/memory/index.js'
import { discard } from '../src/stages/index.js'

/**
 * The engine's side of `npm run bench -- af-xdp`: receives on one queue and
 * drops, in a process of its own, with the arguments and answers of
 * bench/c/af-xdp-drop.c, but for the interface's index before its name.
 */

const [index, name, queue, map, entries, mode, cpu] = process.argv.slice(2)

pinProcess(Number(cpu))
const frames = Number(entries) * 2
const space = createSpace(frames * 2048 + (32 << 20))
const code = loadCode(space)
const pool = createPool(space, code, { 2048: frames }).openWorker('reader')
const device = { name: name!, index: Number(index) }
const { queues } = openXdp(space, code, pool, device, {
  queues: [Number(queue)],
  entries: Number(entries),
  divert(at, socketFd) {
    const bytes = (value: number) => new Uint8Array(Uint32Array.of(value).buffer)
    const fd = openMap(Number(map))
    if (socketFd !== null) updateElement(fd, bytes(at), bytes(socketFd))
    closeDescriptor(fd)
  },
})
const engine = startEngine(space, code, pool, draw([receive(queues[0]!), discard('dropped')]))

function answer(): void {
  const { receivedPackets, drops } = queues[0]!.statistics()
  const { user, system } = process.cpuUsage()
  const lost = Object.values(drops).reduce((sum, count) => sum + count, 0)
  process.stdout.write(`${receivedPackets} ${(user + system) * 1000} ${lost}\n`)
}

createInterface({ input: process.stdin })
  .on('line', answer)
  .on('close', () => process.exit())
const turn = createTurn(engine, { spinUs: mode === 'spin' ? Number.POSITIVE_INFINITY : 0 })
for (;;) {
  if (turn()) await new Promise((resolve) => setImmediate(resolve))
  else await engine.wait(1000)
}
