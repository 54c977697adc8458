import { ERRNO } from '../kernel/index.js'
import type { Code, Space, WorkerPool } from '../memory/index.js'
import type { Traffic } from './traffic.js'

/** Reasons for which devices that copy lose packets. */
export const TOO_LONG = 'too long'
export const REFUSED = 'refused'

/** What the kernel says of one packet, not of the device: a header that it cannot use, too short, too long. */
const REFUSALS: ReadonlySet<number> = new Set([-ERRNO.EINVAL, -ERRNO.EMSGSIZE, -ERRNO.E2BIG])

/**
 * The `send` of a device whose packets the kernel copies, each with a virtio-net
 * header before it. `write` hands packets of a bundle from its front to the
 * kernel, and gives how many went, or `-errno` where not even the first did. What
 * the kernel refuses for the packet's own fault is counted at `refused`.
 */
export function createSender(
  { words }: Space,
  code: Code,
  pool: WorkerPool,
  traffic: Traffic,
  refused: number,
  write: (bundle: number) => number,
): (bundle: number) => number {
  const [headers, sent, dropped] = [code.find('settleHeaders'), code.find('settleSent'), code.find('settleDropped')]
  return (bundle) => {
    const before = words[bundle >>> 2]!
    headers(bundle)
    while (words[bundle >>> 2]! > 0) {
      const result = write(bundle)
      if (result > 0) sent(pool.address, traffic.address, bundle, result)
      else if (REFUSALS.has(result)) dropped(pool.address, refused, bundle, 1)
      else break
    }
    return before - words[bundle >>> 2]!
  }
}
