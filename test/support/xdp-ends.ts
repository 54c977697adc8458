import { after, before } from 'node:test'
import { openXdp, type XdpDevice, type XdpDeviceOptions } from '../../src/device/index.js'
import { withNamespace } from '../../src/kernel/index.js'
import { attachXdp, type LoadedProgram, loadProgram } from '../../src/loader/index.js'
import type { EngineBench } from './engine.js'
import { REDIRECT_PROGRAM, redirectTo } from './redirect-program.js'
import { skipUnless } from './require.js'
import { createVethPair, type PairEnd, type VethPair } from './veth-pair.js'

/** Both ends of a veth pair, with programs that hand packets to AF_XDP sockets. */
export interface XdpEnds {
  /** Only while tests run. */
  readonly pair: VethPair
  /** A socket on the first queue of an end. */
  open(
    bench: Pick<EngineBench, 'space' | 'code' | 'worker'>,
    end: 'near' | 'far',
    options?: Partial<XdpDeviceOptions>,
  ): XdpDevice['queues'][number]
}

/** For the top of a test file: the pair is made before its tests, where there are the rights, and goes after them. */
export function xdpEnds(): XdpEnds {
  let pair: VethPair
  const programs = new Map<PairEnd, LoadedProgram>()
  const closers: (() => void)[] = []

  before(() => {
    if (skipUnless('root') !== false) return
    pair = createVethPair()
    closers.push(pair.close)
    for (const end of [pair.near, pair.far]) {
      const program = loadProgram(REDIRECT_PROGRAM)
      const link = withNamespace(end.namespace, () => attachXdp(program, end))
      programs.set(end, program)
      closers.push(program.close, link.close)
    }
  })

  after(() => {
    for (const close of closers.toReversed()) close()
  })

  return {
    get pair() {
      return pair
    },
    open({ space, code, worker }, which, options) {
      const end = pair[which]
      const divert = (queue: number, fd: number | null) => redirectTo(programs.get(end)!, queue, fd)
      return openXdp(space, code, worker, end, { divert, ...options }).queues[0]!
    },
  }
}
