import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { linkDescriptor } from '../kernel/index.js'
import { CaptureError } from './capture.js'
import { whenReady } from './when-ready.js'

/** Where bytes go. After an error, `discard` leaves nothing of a file behind. */
export interface OutputFile {
  /** Waits where a pipe is full. Throws Node's system error. */
  write(bytes: Uint8Array): void
  /** Closes; a file gets its name now. Throws Node's system error or a KernelError. */
  finish(): void
  discard(): void
}

/**
 * Opens `path` for writing, `-` for standard output. What stands there and is
 * no regular file (a device, a pipe) is written to as it is: it must never be
 * replaced. `isInPlace` does the same with a file. Throws CaptureError.
 */
export function openOutput(path: string, isInPlace = false): OutputFile {
  if (path === '-') return { write: (bytes) => writeAll(1, bytes), finish() {}, discard() {} }
  try {
    const target = followLinks(path)
    const there = statSync(target, { throwIfNoEntry: false })
    const isNew = !isInPlace && (there === undefined || there.isFile())
    return isNew ? openNew(target, there) : openExisting(target)
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    throw new CaptureError(`cannot write ${path}: ${REASONS[code] ?? `${code}; check the path and what is there`}`, {
      cause: error,
    })
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such folder (ENOENT); make it, or check the path',
  ENOTDIR: 'no such folder (ENOTDIR); check the path',
  EACCES: 'permission denied (EACCES); give a folder that is yours to write to',
  EISDIR: 'it is a directory (EISDIR); give the path of a file',
  ELOOP: 'its symbolic links lead in a circle (ELOOP); check the path',
}

/** The path behind symbolic links, also where the last one names a file that is not there yet. */
function followLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return path
    return followLinks(resolve(dirname(path), readlinkSync(path)))
  }
}

function openExisting(path: string): OutputFile {
  const fd = openSync(path, 'w')
  const finish = () => closeSync(fd)
  return { write: (bytes) => writeAll(fd, bytes), finish, discard: finish }
}

/** open(2): a file without a name in the folder that is given. */
const O_TMPFILE = 0o20_000_000 | constants.O_DIRECTORY
/** File systems that have no such files, such as NFS, say so in one of these ways. */
const NO_NAMELESS = new Set(['EOPNOTSUPP', 'EISDIR', 'EINVAL', 'ENOENT'])

/**
 * A file that has no name until it is complete, so that the kernel takes it
 * back when this process is killed; where the file system has no such files, a
 * file beside the target. What replaces a
 * file is not more readable than that was.
 */
function openNew(target: string, there: Stats | undefined): OutputFile {
  const mode = there === undefined ? 0o666 : there.mode & 0o777
  const temporary = `${target}.${process.pid}.part`
  const nameless = openNameless(dirname(target), mode)
  const fd = nameless ?? openSync(temporary, 'wx', mode)
  return {
    write: (bytes) => writeAll(fd, bytes),
    finish() {
      try {
        if (nameless !== null) linkDescriptor(nameless, temporary)
        renameSync(temporary, target)
      } catch (error) {
        rmSync(temporary, { force: true })
        throw error
      } finally {
        closeSync(fd)
      }
    },
    discard() {
      closeSync(fd)
      if (nameless === null) rmSync(temporary, { force: true })
    },
  }
}

function openNameless(folder: string, mode: number): number | null {
  try {
    return openSync(folder, O_TMPFILE | constants.O_WRONLY, mode)
  } catch (error) {
    if (NO_NAMELESS.has((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}

/** A pipe may be in non-blocking mode: a full one is waited for. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += whenReady(() => writeSync(fd, bytes, done))
}
