import { createConnection } from 'node:net'
import { readLines } from './lines.js'
import {
  MOST_ANSWER_BYTES,
  type Request,
  type Results,
  readAnswer,
  type ServiceStatus,
  writeRequest,
} from './protocol.js'
import { liveSockets, runDirectory, type SocketPlace } from './run-directory.js'

/** A service has not done what it was asked for, or there is none to ask: one sentence. */
export class AskError extends Error {
  override name = 'AskError'

  constructor(
    message: string,
    /** Whether what was asked for was wrong. */
    readonly isInput: boolean,
  ) {
    super(message)
  }
}

/** A connection to a service; requests are asked one after the other. */
export interface ServiceConnection {
  /** Throws AskError, ProtocolError and LongLineError. */
  ask<Asked extends Request>(request: Asked): Promise<Results[Asked['do']]>
  close(): void
}

/** A service that is busy with a policy of ten thousand rules answers after seconds. */
const PATIENCE_MS = 30_000

/** Throws AskError where the service has ended meanwhile, or does not answer. */
export function connectTo({ id, path }: SocketPlace): ServiceConnection {
  const socket = createConnection(path)
  const silent = () =>
    socket.destroy(new AskError(`the service ${id} does not answer; look what process ${id} does`, false))
  socket.setTimeout(PATIENCE_MS, silent)
  // What it says comes to whoever reads.
  socket.on('error', () => {})
  const lines = readLines(socket, MOST_ANSWER_BYTES)
  return {
    async ask(request) {
      socket.write(writeRequest(request))
      const line = await nextLine()
      const answer = readAnswer(line)
      if ('error' in answer) throw new AskError(answer.error, answer.isInput)
      return answer.result as Results[(typeof request)['do']]
    },
    close: () => socket.destroy(),
  }

  async function nextLine(): Promise<string> {
    const { value, done } = await lines.next().catch((error: unknown) => {
      if (error instanceof AskError) throw error
      throw new AskError(`the service ${id} has gone (${(error as Error).message})`, false)
    })
    if (done === true) throw new AskError(`the service ${id} has ended`, false)
    return value
  }
}

/** A service that was found, with what it says of itself. */
export interface FoundService {
  readonly place: SocketPlace
  readonly status: ServiceStatus
}

export type ServiceKind = ServiceStatus['kind']

const ALL_KINDS: readonly ServiceKind[] = ['policy', 'rule', 'engine']

/** Which of several services is meant. */
export interface ServiceChoice {
  readonly device?: string | undefined
  /** A process id, or that with the number of the engine in it: `4711.2`. */
  readonly process?: string | undefined
}

/** All services of the run directory that answer, and a sentence for each that does not. Throws RunDirectoryError. */
export async function findServices({ device, process }: ServiceChoice = {}): Promise<{
  readonly found: readonly FoundService[]
  readonly silent: readonly string[]
}> {
  const places = (await liveSockets(runDirectory())).filter(
    ({ id }) => process === undefined || id === process || id.split('.')[0] === process,
  )
  const silent: string[] = []
  const found = await Promise.all(
    places.map(async (place): Promise<FoundService[]> => {
      const connection = connectTo(place)
      try {
        return [{ place, status: await connection.ask({ do: 'status' }) }]
      } catch (error) {
        silent.push((error as Error).message)
        return []
      } finally {
        connection.close()
      }
    }),
  )
  return { found: found.flat().filter(({ status }) => device === undefined || status.devices.includes(device)), silent }
}

/** The one service that is meant; of several, the only one of these kinds. Throws AskError and RunDirectoryError. */
export async function chooseService(
  choice: ServiceChoice,
  kinds: readonly ServiceKind[] = ALL_KINDS,
): Promise<FoundService> {
  const { found, silent } = await findServices(choice)
  const fitting = found.filter(({ status }) => fits(status, kinds))
  const candidates = fitting.length > 0 ? fitting : found
  if (candidates.length === 1) return candidates[0]!
  if (candidates.length === 0) throw none(choice, kinds, silent)
  const list = candidates.map(({ place, status }) => `${place.id} (${status.name}, ${nameOf(status)})`)
  throw new AskError(
    `${candidates.length} services run: ${list.join(', ')}; choose one with --device DEVICE or --process ID`,
    true,
  )
}

/** A router may have a policy in front of it. */
function fits({ kind, policy }: ServiceStatus, kinds: readonly ServiceKind[]): boolean {
  return kinds.includes(kind) || (kind === 'engine' && policy !== null && kinds.includes('policy'))
}

/** The devices of a service, for a sentence. */
function nameOf({ devices }: ServiceStatus): string {
  return devices.length === 0 ? 'no device' : devices.join(' and ')
}

/** What to say where no service is found: where one was named, that was a mistake. */
export function none(
  { device, process }: ServiceChoice,
  kinds: readonly ServiceKind[] = ALL_KINDS,
  silent: readonly string[] = [],
): AskError {
  if (silent.length > 0) return new AskError(silent.join('; '), false)
  if (process !== undefined) return new AskError(`no service runs as ${process}; sluice status lists them`, true)
  const isEngine = kinds.every((kind) => kind === 'engine')
  const remedy = isEngine
    ? 'sluice route and sluice bridge have one, and a program shows its own by serveEngine of the package sluice'
    : `start one with: sluice protect ${device ?? 'DEVICE'} --policy FILE; sluice drop, route and bridge are some as well`
  return device === undefined
    ? new AskError(`no ${isEngine ? 'engine' : 'Sluice service'} runs here; ${remedy}`, false)
    : new AskError(`no Sluice service runs at ${device}; sluice status lists those that run, or ${remedy}`, true)
}
