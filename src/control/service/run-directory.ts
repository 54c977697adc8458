import { chmodSync, linkSync, lstatSync, mkdirSync, readdirSync, statSync, unlinkSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'

/** The directory of control sockets cannot be used: one sentence with what to do. */
export class RunDirectoryError extends Error {
  override name = 'RunDirectoryError'
}

/** A control socket of a process: its place, and what commands call it, `4711` or, for a second one of that process, `4711.2`. */
export interface SocketPlace {
  readonly id: string
  readonly path: string
}

/** Where control sockets lie, unless SLUICE_RUN_DIR says otherwise. */
const DEFAULT_DIRECTORY = '/run/sluice'
const SOCKET_NAME = /^(\d+(?:\.\d+)?)\.sock$/
/** Under such a name a socket waits until it can be connected to. */
const UNFINISHED_NAME = /^\d+\.\d+\.new$/
/** A process that has made a socket and does not listen to it after so long will never do. */
const UNFINISHED_MS = 60_000
/** What `struct sockaddr_un` has room for (unix(7)), without the final zero. */
const LONGEST_PATH_BYTES = 107

export function runDirectory(): string {
  const directory = process.env['SLUICE_RUN_DIR']
  return directory === undefined || directory === '' ? DEFAULT_DIRECTORY : directory
}

/** Makes the directory where it is missing, open to its owner only. Throws RunDirectoryError. */
export function makeRunDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new RunDirectoryError(
      `the directory of control sockets ${directory} cannot be made (${codeOf(error)}); name another one in SLUICE_RUN_DIR`,
    )
  }
  checkOwner(directory)
}

/** Whoever could write there could stand in for a service, and who could enter it might be told what is for its owner. */
function checkOwner(directory: string): void {
  const { uid, mode } = statSync(directory)
  if (uid !== process.geteuid!())
    throw new RunDirectoryError(
      `the directory of control sockets ${directory} belongs to another user; name one of your own in SLUICE_RUN_DIR`,
    )
  if ((mode & 0o077) !== 0)
    throw new RunDirectoryError(
      `the directory of control sockets ${directory} is open to other users; close it with chmod 700`,
    )
}

/**
 * The sockets that somebody listens to. What is left of dead processes is
 * removed: that is asked by connecting, because a process id says nothing about
 * processes of another PID namespace. Throws RunDirectoryError.
 */
export async function liveSockets(directory: string): Promise<SocketPlace[]> {
  const names = namesIn(directory)
  if (names.length > 0) checkOwner(directory)
  const places = names.flatMap((name): SocketPlace[] => {
    const id = SOCKET_NAME.exec(name)?.[1]
    return id === undefined ? [] : [{ id, path: join(directory, name) }]
  })
  for (const name of names) if (UNFINISHED_NAME.test(name)) removeOld(join(directory, name))
  const alive = await Promise.all(places.map(({ path }) => isAlive(path)))
  return places.filter((_, index) => alive[index]).sort((one, other) => Number(one.id) - Number(other.id))
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw new RunDirectoryError(
      `the control sockets in ${directory} cannot be listed (${codeOf(error)}); try with sudo, or name your own directory in SLUICE_RUN_DIR`,
    )
  }
}

/** Nobody listens to a socket that refuses; any other error leaves it alone. */
async function isAlive(path: string): Promise<boolean> {
  const socket = createConnection(path)
  const error = await new Promise<Error | null>((resolve) => {
    socket.on('connect', () => resolve(null))
    socket.on('error', resolve)
  })
  socket.destroy()
  if (error !== null && codeOf(error) === 'ECONNREFUSED') removeQuietly(path)
  return error === null
}

/** A path to bind to, and how what listens there gets the first free name of this process. Throws RunDirectoryError. */
export function newSocket(directory: string): { readonly path: string; publish(): SocketPlace } {
  const path = join(directory, `${process.pid}.${freshNumber++}.new`)
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES)
    throw new RunDirectoryError(
      `the path of the control socket ${path} is longer than ${LONGEST_PATH_BYTES} bytes; name a shorter directory in SLUICE_RUN_DIR`,
    )
  return {
    path,
    publish() {
      chmodSync(path, 0o600)
      try {
        return giveName(directory, path)
      } finally {
        removeQuietly(path)
      }
    },
  }
}

let freshNumber = 1

/** With link(2), which never takes a name from a socket that has it. */
function giveName(directory: string, from: string): SocketPlace {
  for (let number = 1; ; number++) {
    const id = number === 1 ? `${process.pid}` : `${process.pid}.${number}`
    const path = join(directory, `${id}.sock`)
    try {
      linkSync(from, path)
      return { id, path }
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
  }
}

function removeOld(path: string): void {
  try {
    if (Date.now() - lstatSync(path).mtimeMs > UNFINISHED_MS) removeQuietly(path)
  } catch {
    // It has got its name meanwhile.
  }
}

/** Somebody else may have been faster. */
export function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Nobody misses it; one that cannot be removed is harmless.
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
