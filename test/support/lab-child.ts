import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/**
 * What the network tests run on a host, by its first argument:
 * `serve PORT` answers every connection with the address it came from;
 * `ask PORT ADDRESS` sends such an answer to the parent; `idle` lives.
 */
const [role, port, address] = process.argv.slice(2)

if (role === 'serve') {
  const server = createServer((socket) => socket.end(`${socket.remoteAddress}`))
  server.listen(Number(port), '::')
  await once(server, 'listening')
  process.send!('ready')
} else if (role === 'ask') {
  const socket = connect(Number(port), address)
  let answer = ''
  for await (const chunk of socket) answer += chunk
  process.send!(answer)
  process.disconnect()
} else {
  setInterval(() => {}, 1000)
  process.send!('ready')
}
