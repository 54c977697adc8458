import { createSocket } from 'node:dgram'
import { eventually } from './eventually.js'

/**
 * Sends datagrams at a steady rate, as a process in its own namespace, until
 * its parent says so: `numbered-sender PER-SECOND PORT`, to the addresses of the
 * first message, in turn. Each has its number and the time at which it was
 * sent, in milliseconds of this machine's clock. Tells how many there were.
 */
const [perSecond, port] = process.argv.slice(2).map(Number)

const BURST_MS = 2
/** What is due after a longer pause, when this process stood still, is left out: no ring holds that. */
const LATE_MS = 10
const socket = createSocket('udp4')
const datagram = new DataView(new ArrayBuffer(16))
let [count, left] = [0, 0]

process.once('message', (addresses: readonly string[]) => {
  let [due, last] = [0, performance.now()]
  const timer = setInterval(() => {
    const now = performance.now()
    due += (Math.min(now - last, LATE_MS) * perSecond!) / 1000
    last = now
    for (; count < due; count++) {
      datagram.setUint32(0, count)
      datagram.setFloat64(8, Date.now())
      // The socket keeps what it is given until it has sent it.
      socket.send(new Uint8Array(datagram.buffer.slice(0)), port, addresses[count % addresses.length], () => left++)
    }
  }, BURST_MS)
  process.once('message', async () => {
    clearInterval(timer)
    await eventually('all have left', () => left === count)
    socket.close()
    process.send!(count)
    process.disconnect()
  })
})
process.send!('ready')
