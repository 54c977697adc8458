import { testDevice } from '../../test/support/device-suite.js'
import { openTapEnd } from '../../test/support/open-tap.js'
import { skipUnless } from '../../test/support/require.js'
import { openPacketDevice } from './packet.js'

const skip = skipUnless('root')

/** What goes into the TAP device, a packet socket at its other side receives. */
testDevice(
  'tap to a packet socket',
  (bench) => {
    const { device, namespace, close } = openTapEnd(bench)
    const { space, code, worker } = bench
    const peer = openPacketDevice(space, code, worker, {
      name: 'socket',
      namespace,
      interfaceIndex: device.interfaceIndex,
      isPromiscuous: true,
      blocks: 64,
      blockBytes: 1 << 16,
    })
    return { device, peer, close }
  },
  // Each turn of a slow machine may close a block of the ring; there are 64.
  { skip, mostUnread: 200 },
)

testDevice(
  'packet socket to a tap',
  (bench) => {
    const { device: peer, namespace, close } = openTapEnd(bench)
    const { space, code, worker } = bench
    const device = openPacketDevice(space, code, worker, {
      name: 'socket',
      namespace,
      interfaceIndex: peer.interfaceIndex,
      isPromiscuous: true,
      blocks: 64,
      blockBytes: 1 << 16,
    })
    return { device, peer, close }
  },
  // Each turn of a slow machine may close a block of the ring; there are 64.
  { skip, mostUnread: 200 },
)
