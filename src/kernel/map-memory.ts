import koffi from 'koffi'
import { MAP, PROTECTION } from './memory-map.js'
import { syscall, trySyscall } from './syscall.js'

const MEMBARRIER_CMD_GLOBAL = 1

/**
 * Lends the first `lengthBytes` of a memory-mapped array map (BPF_F_MMAPABLE)
 * to `use`: what it writes, programs see at once. The memory is gone when `use`
 * returns, and a view of it that was kept would end the process. Throws
 * KernelError where the map was not made for it.
 */
export function withMapMemory<Result>(fd: number, lengthBytes: number, use: (memory: ArrayBuffer) => Result): Result {
  // mmap's result is an address above 2^32: as a number exact, because user space ends below 2^53.
  const protection = PROTECTION.read | PROTECTION.write
  const address = syscall('map a BPF map into memory', 'mmap', 0, lengthBytes, protection, MAP.shared, fd, 0)
  try {
    return use(koffi.view(BigInt(address), lengthBytes))
  } finally {
    trySyscall('munmap', BigInt(address), lengthBytes)
  }
}

/**
 * Waits until no program is running any more that ran when it was called, about
 * 10 ms: membarrier(2), MEMBARRIER_CMD_GLOBAL, which waits for an RCU grace
 * period, and a program runs inside one RCU read section. Throws KernelError
 * (EINVAL) on a kernel with cores set apart by nohz_full.
 */
export function waitForRunningPrograms(): void {
  syscall('wait for running programs', 'membarrier', MEMBARRIER_CMD_GLOBAL, 0)
}
