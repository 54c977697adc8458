import { after, before } from 'node:test'
import { openXdp } from '../src/device/index.js'
import { withNamespace } from '../src/kernel/index.js'
import { attachXdp, type LoadedProgram, loadProgram, type XdpLink } from '../src/loader/index.js'
import { fifo, openQueue } from '../src/transmit/index.js'
import { testDevice } from './support/device-suite.js'
import { REDIRECT_PROGRAM, redirectTo } from './support/redirect-program.js'
import { skipUnless } from './support/require.js'
import { createVethPair, type VethPair } from './support/veth-pair.js'

const ENTRIES = 256
/** More than the suite has under way: it does not flush again for what a limit holds back. */
const LIMIT_BYTES = 400_000

let pair: VethPair
let ends: { readonly program: LoadedProgram; readonly link: XdpLink }[] = []

before(() => {
  if (skipUnless('root') !== false) return
  pair = createVethPair()
  ends = [pair.near, pair.far].map((end) => {
    const program = loadProgram(REDIRECT_PROGRAM)
    return { program, link: withNamespace(end.namespace, () => attachXdp(program, end)) }
  })
})

after(() => {
  for (const { program, link } of ends) {
    link.close()
    program.close()
  }
  pair?.close()
})

for (const doorbell of ['burst', 'packet'] as const) {
  testDevice(
    `transmit-xdp, a queue before AF_XDP with a byte limit, kicked for a ${doorbell}`,
    ({ space, code, worker }) => {
      const [device, peer] = [pair.near, pair.far].map((end, index) => {
        const divert = (queue: number, fd: number | null) => redirectTo(ends[index]!.program, queue, fd)
        const queue = openXdp(space, code, worker, end, { divert, entries: ENTRIES }).queues[0]!
        return openQueue(space, code, worker, queue, {
          doorbell,
          byteLimit: LIMIT_BYTES,
          discipline: fifo({ packets: 2000 }),
        })
      })
      return { device: device!, peer: peer! }
    },
    { skip: skipUnless('root'), mostUnread: ENTRIES },
  )
}
