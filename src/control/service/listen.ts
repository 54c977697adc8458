import { createServer, type Server, type Socket } from 'node:net'
import { isWrongInput, sentenceOf } from '../sentence.js'
import type { EdgeCapture } from './edge-capture.js'
import { LongLineError, readLines } from './lines.js'
import {
  type Answer,
  MOST_REQUEST_BYTES,
  PROTOCOL,
  ProtocolError,
  type Request,
  type Results,
  readRequest,
  requestSchema,
} from './protocol.js'
import { liveSockets, makeRunDirectory, newSocket, removeQuietly, runDirectory } from './run-directory.js'
import type { HookListener, Service, ServiceEngine, ServiceRules } from './service.js'
import type { Trace } from './trace.js'

/** A control socket that is listened to; it does not keep its process alive. */
export interface ControlSocket {
  /** What commands call this service: `4711`. */
  readonly id: string
  readonly path: string
  close(): void
}

/** More at once are closed without an answer. */
/** Those who stand at hooks have one each, up to 32 of a router, and somebody is to be able to ask beside them. */
const MOST_CONNECTIONS = 64
/** A connection on which nothing is asked, or whose answers nobody reads, ends after so long. */
const IDLE_MS = 60_000
/** How long somebody who sends too long a line may go on with it, to be told so. */
const LINGER_MS = 1000

/**
 * Listens for commands (`status`, `list`, `top`, …) in the run directory, and
 * removes there what dead processes have left. Of this process nothing is left
 * but, when it is killed, a file that the next one removes. Throws
 * RunDirectoryError where there is no place for the socket.
 */
export async function listen(service: Service): Promise<ControlSocket> {
  // Before anybody asks: the package may have gone by then.
  requestSchema()
  const directory = runDirectory()
  makeRunDirectory(directory)
  await liveSockets(directory)
  const unnamed = newSocket(directory)
  const connections = new Set<Socket>()
  const newLooker = createLookers(service)
  // Half open: who sends a request and ends its side is answered all the same.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket)
    socket.on('close', () => connections.delete(socket))
    void converse(socket, service, newLooker())
  })
  server.maxConnections = MOST_CONNECTIONS
  await bind(server, unnamed.path)
  const { id, path } = unnamed.publish()
  server.unref()
  return {
    id,
    path,
    close() {
      removeQuietly(path)
      server.close()
      for (const socket of connections) socket.destroy()
    },
  }
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** What lasts as long as the connection that asked for it. */
interface Looker {
  watch(): void
  trace(expression: string, limit: number): void
  /** Throws ProtocolError where nothing is traced. */
  traced(): Results['traced']
  capture(edge: string, expression: string | null, limit: number | null): void
  /** Throws ProtocolError where nothing is captured. */
  captured(): Results['captured']
  listen(listener: string): Promise<void>
  /** Throws ProtocolError where nobody listens. */
  heard(): Results['heard']
  end(): void
}

/** Makes lookers at one engine: its time is measured while one of them wants it, it is traced for one at a time, and captured for each. */
function createLookers(service: Service): () => Looker {
  const { engine } = service
  let watchers = 0
  let tracer: Looker | null = null
  return () => {
    let isWatching = false
    let trace: Trace | null = null
    let capture: EdgeCapture | null = null
    let listener: HookListener | null = null
    let isEnded = false
    const looker: Looker = {
      watch() {
        if (isWatching) return
        isWatching = true
        if (watchers++ === 0) engine?.watch(true)
      },
      trace(expression, limit) {
        if (tracer !== null) throw new ProtocolError('another trace is at work here; wait for its end')
        trace = engineOf(service).trace(expression, limit)
        tracer = looker
      },
      traced() {
        if (trace === null) throw new ProtocolError('nothing is traced on this connection; send "trace" first')
        return { packets: trace.take(), isDone: trace.isDone() }
      },
      capture(edge, expression, limit) {
        if (capture !== null) throw new ProtocolError('this connection captures already; open another one')
        capture = engineOf(service).capture(edge, expression, limit)
      },
      captured() {
        if (capture === null) throw new ProtocolError('nothing is captured on this connection; send "capture" first')
        return capture.take()
      },
      async listen(text) {
        if (listener !== null) throw new ProtocolError('this connection listens already; open another one')
        const { listen } = engineOf(service)
        if (listen === undefined) throw new ProtocolError('this engine has no hooks: choose a sluice route')
        listener = await listen(text)
        // Whoever asked may have gone meanwhile.
        if (isEnded) void listener.close()
      },
      heard() {
        if (listener === null) throw new ProtocolError('nobody listens on this connection; send "listen" first')
        return listener.heard()
      },
      end() {
        isEnded = true
        void listener?.close()
        if (isWatching && --watchers === 0) engine?.watch(false)
        trace?.stop()
        capture?.stop()
        if (tracer === looker) tracer = null
      },
    }
    return looker
  }
}

/** Answers line by line until the other side ends, sends a line that is too long, or is silent for too long. */
async function converse(socket: Socket, service: Service, looker: Looker): Promise<void> {
  socket.unref()
  socket.setTimeout(IDLE_MS, () => socket.destroy())
  // A client that goes in the middle of a request, or of our answer, is no fault of this process.
  socket.on('error', () => {})
  socket.on('close', looker.end)
  try {
    for await (const line of readLines(socket, MOST_REQUEST_BYTES))
      await send(socket, await answerLine(line, service, looker))
    socket.end()
  } catch (error) {
    if (!(error instanceof LongLineError)) {
      socket.destroy()
      return
    }
    await send(socket, refusal(error.message, true))
    socket.end()
    // Closing with something unread would take the answer back (unix(7), ECONNRESET).
    socket.resume()
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  }
}

async function send(socket: Socket, answer: Answer): Promise<void> {
  if (socket.destroyed) return
  const isRoom = socket.write(`${JSON.stringify(answer)}\n`)
  if (!isRoom)
    await new Promise<void>((resolve) => {
      socket.once('drain', resolve)
      socket.once('close', resolve)
    })
}

async function answerLine(line: string, service: Service, looker: Looker): Promise<Answer> {
  try {
    return { v: PROTOCOL, result: await perform(readRequest(line), service, looker) }
  } catch (error) {
    return refusal(sentenceOf(error), isWrongInput(error))
  }
}

function refusal(error: string, isInput: boolean): Answer {
  return { v: PROTOCOL, error, isInput }
}

function perform(
  request: Request,
  service: Service,
  looker: Looker,
): Results[Request['do']] | Promise<Results[Request['do']]> {
  switch (request.do) {
    case 'status':
      return { pid: process.pid, ...service.status() }
    case 'list':
      return rulesOf(service).list()
    case 'memory':
      return engineOf(service).layout()
    case 'stages':
      return engineOf(service).stages()
    case 'queues':
      return engineOf(service).queues?.() ?? []
    case 'flows':
      return flowsOf(service, request)
    case 'watch':
      engineOf(service)
      looker.watch()
      return null
    case 'trace':
      looker.trace(request.expression, request.limit)
      return null
    case 'traced':
      return looker.traced()
    case 'capture':
      looker.capture(request.edge, request.expression, request.limit)
      return null
    case 'captured':
      return looker.captured()
    case 'listen':
      return looker.listen(request.listener).then(() => null)
    case 'heard':
      return looker.heard()
    case 'add':
      return changesOf(service).add(request.rule, request.place)
    case 'remove':
      return changesOf(service).remove(request.name)
    case 'change set':
      return changesOf(service).changeSet(request.set, request)
  }
}

function rulesOf({ rules }: Service): ServiceRules {
  if (rules !== undefined) return rules
  throw new ProtocolError('this service has no rules: choose one that protects a device')
}

function changesOf(service: Service): NonNullable<ServiceRules['change']> {
  const { change } = rulesOf(service)
  if (change !== undefined) return change
  throw new ProtocolError(
    'the rules of this service cannot be changed: it is no sluice protect; put them into a policy of one',
  )
}

function flowsOf(service: Service, { address, limit }: { address: string | null; limit: number }): Results['flows'] {
  const { flows } = engineOf(service)
  if (flows !== undefined) return flows(address, limit)
  throw new ProtocolError(
    'this service tracks no connections: choose a sluice route with --track, --masquerade or --publish',
  )
}

function engineOf({ engine }: Service): ServiceEngine {
  if (engine !== undefined) return engine
  throw new ProtocolError('this service has no engine: its packets are judged in the driver alone')
}
