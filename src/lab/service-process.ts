import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startLabChild } from './child.js'

/**
 * The service under flood: Node's own HTTP server in the victim's namespace,
 * with a page that is made for each request, as a small web service would.
 */

const child = startLabChild()
const port = Number(child.arguments[0])

const server = createServer((request, response) => {
  const body = `${JSON.stringify({ path: request.url, at: Date.now(), message: 'still here' })}\n`
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
})
server.keepAliveTimeout = 1000
// Both families, and the longest accept queue that the kernel grants: the flood fills it before any limit of ours.
server.listen({ port, host: '::', backlog: 4096 }, () => {
  child.send({ kind: 'ready', port: (server.address() as AddressInfo).port })
})
