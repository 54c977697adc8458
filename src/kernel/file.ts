import { addressOf, syscall } from './syscall.js'

const AT_FDCWD = -100
const AT_SYMLINK_FOLLOW = 0x400

/**
 * Gives the file behind a descriptor the name `path`, which must be free:
 * linkat(2), as its page has it for a file that was opened with O_TMPFILE.
 * Throws KernelError.
 */
export function linkDescriptor(fd: number, path: string): void {
  const [from, to] = [`/proc/self/fd/${fd}\0`, `${path}\0`].map((text) => new TextEncoder().encode(text))
  syscall(`naming ${path}`, 'linkat', AT_FDCWD, addressOf(from!), AT_FDCWD, addressOf(to!), AT_SYMLINK_FOLLOW)
}
