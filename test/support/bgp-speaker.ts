import { connect } from 'node:net'
import { keepaliveMessage, openMessage, readHeader } from './bgp-message.js'

/**
 * A neighbour that speaks BGP, as a process in its own namespace:
 * `bgp-speaker ADDRESS AS IDENTIFIER`. Tells its parent when the session is
 * established; sends what the parent gives it, messages in their bytes.
 */
const [address, as, identifier] = process.argv.slice(2)

const HOLD_SECONDS = 240
const socket = connect(179, address!)
let received: Buffer = Buffer.alloc(0)
let isEstablished = false

socket.on('connect', () => {
  const [a, b, c, d] = identifier!.split('.').map(Number)
  socket.write(openMessage(Number(as), HOLD_SECONDS, [a!, b!, c!, d!]))
})
socket.on('data', (bytes) => {
  received = Buffer.concat([received, bytes])
  for (let header = readHeader(received); header !== null && header.length <= received.length; ) {
    answer(header.type)
    received = received.subarray(header.length)
    header = readHeader(received)
  }
})
socket.on('error', (error) => fail(error.message))
socket.on('close', () => fail('the neighbour has closed the session'))
process.on('message', (bytes: Uint8Array) => socket.write(bytes))
process.on('disconnect', () => process.exit())

function answer(type: string): void {
  if (type === 'open' || type === 'keepalive') socket.write(keepaliveMessage())
  else if (type !== 'update') fail(`the neighbour sent a message of ${type}`)
  if (type !== 'keepalive' || isEstablished) return
  isEstablished = true
  process.send!('established')
}

function fail(what: string): never {
  process.stderr.write(`bgp-speaker: ${what}\n`)
  process.exit(1)
}
