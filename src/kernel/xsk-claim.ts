import { closeDescriptor, noteQueue, type QueueNote } from './descriptors.js'
import type { LinearMemory } from './linear-memory.js'
import { withNamespace } from './namespace.js'
import { ERRNO } from './syscall.js'
import { makeXskRing, openXskSocket, registerXskUmem, tryBindXsk, type XskOptions } from './xsk.js'

/**
 * Who waits for a queue that another AF_XDP socket has. A closed socket's
 * frames are not free yet: the driver writes into them until it has been told
 * (`xp_release_deferred` of net/xdp/xsk_buff_pool.c), and packets that were
 * made of them may stand in a queue (`xsk_build_skb_zerocopy` of
 * net/xdp/xsk.c). The kernel lets go of the queue after both, and says so by
 * granting it to the next.
 */
export interface XskClaim {
  /** Whether the kernel is done with the frames of the closed socket; asks it, which is one system call. */
  isGranted(): boolean
  close(): void
}

const CHUNK_BYTES = 2048
/** The kernel pins whole pages. */
const PAGE_BYTES = 4096
const ENTRIES = 2
/** The queue is free; the device has gone; it has fewer queues now. */
const GRANTED: ReadonlySet<number> = new Set([0, -ERRNO.ENODEV, -ERRNO.EINVAL])

/**
 * Opens a claim beside the socket that has the queue, so that nothing is wanting
 * when it is closed. Its frames are the first page of the memory, of which it
 * never gives one to the kernel. Throws KernelError.
 */
export function openXskClaim(
  memory: LinearMemory,
  { namespace, interfaceIndex, queue }: Pick<XskOptions, 'namespace' | 'interfaceIndex' | 'queue'>,
): XskClaim {
  const fd = namespace ? withNamespace(namespace, openXskSocket) : openXskSocket()
  try {
    noteQueue({ fd, interfaceIndex, queue })
    registerXskUmem(fd, memory, { at: 0, lengthBytes: PAGE_BYTES, chunkBytes: CHUNK_BYTES, headroomBytes: 0 })
    for (const ring of ['fill', 'completion', 'transmit'] as const) makeXskRing(fd, ring, ENTRIES)
    return takeUpClaim({ fd, interfaceIndex, queue })
  } catch (error) {
    closeDescriptor(fd)
    throw error
  }
}

/** A claim of a thread that has ended. */
export function takeUpClaim({ fd, interfaceIndex, queue }: QueueNote): XskClaim {
  let isOpen = true
  let isGranted = false
  return {
    isGranted() {
      if (isOpen && !isGranted)
        isGranted = GRANTED.has(tryBindXsk(fd, { interfaceIndex, queue, zeroCopy: 'never', needWakeup: false }))
      return isGranted
    },
    close() {
      if (isOpen) closeDescriptor(fd)
      isOpen = false
    },
  }
}

const STEP_MS = 5
const MOST_STEP_MS = 500
/** After this, waiting for the kernel no longer keeps the process, or the thread, from its end. */
const PATIENCE_MS = 5000

/**
 * Waits until all are granted, and closes them. Where that takes longer than
 * `timeoutMs`, gives false and leaves them open, to be waited for again. It
 * takes the kernel 20 to 45 ms, and as long as packets of the socket stand in a
 * queue.
 */
export async function waitForGrants(
  claims: readonly XskClaim[],
  timeoutMs = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const begin = performance.now()
  let stepMs = STEP_MS
  while (!claims.every((claim) => claim.isGranted())) {
    const waitedMs = performance.now() - begin
    if (waitedMs >= timeoutMs) return false
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, stepMs)
      if (waitedMs > PATIENCE_MS) timer.unref()
    })
    if (waitedMs > 20 * stepMs) stepMs = Math.min(MOST_STEP_MS, 2 * stepMs)
  }
  for (const claim of claims) claim.close()
  return true
}
