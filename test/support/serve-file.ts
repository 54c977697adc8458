import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'

/** A web server on port 80 whose one document is as many bytes as the first argument says; the parent is sent them. */
const document = randomFillSync(Buffer.alloc(Number(process.argv[2])))
const server = createServer((_, response) => response.end(document))
server.listen(80, '0.0.0.0')
await once(server, 'listening')
process.send!(document.toString('base64'))
