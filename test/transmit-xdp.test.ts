import { fifo, openQueue } from '../src/transmit/index.js'
import { testDevice } from './support/device-suite.js'
import { skipUnless } from './support/require.js'
import { xdpEnds } from './support/xdp-ends.js'

const ENTRIES = 256
/** More than the suite has under way: it does not flush again for what a limit holds back. */
const LIMIT_BYTES = 400_000

const ends = xdpEnds()

for (const doorbell of ['burst', 'packet'] as const) {
  testDevice(
    `transmit-xdp, a queue before AF_XDP with a byte limit, kicked for a ${doorbell}`,
    (bench) => {
      const open = (end: 'near' | 'far') =>
        openQueue(bench.space, bench.code, bench.worker, ends.open(bench, end, { entries: ENTRIES }), {
          doorbell,
          byteLimit: LIMIT_BYTES,
          discipline: fifo({ packets: 2000 }),
        })
      return { device: open('near'), peer: open('far') }
    },
    { skip: skipUnless('root'), mostUnread: ENTRIES },
  )
}
