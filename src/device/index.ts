export { bundlePackets } from './bundle-packets.js'
export {
  type Capture,
  type CapturedPacket,
  CaptureError,
  CaptureWriteError,
  type CaptureWriter,
  type PacketRecord,
} from './capture.js'
export { type CaptureDevice, type CaptureDeviceOptions, openCaptureDevice } from './capture-device.js'
export type { CaptureWriteOptions } from './capture-output.js'
export { type FaultCounts, type FaultDevice, type Faults, openFault } from './fault.js'
export { createLink, type LinkOptions } from './link.js'
export { type CaptureReadOptions, openCapture } from './open-capture.js'
export { openPacketDevice, type PacketDeviceOptions } from './packet.js'
export { createCapture, createCopy, type PcapHeaderFields } from './pcap-writer.js'
export { createPcapng } from './pcapng-writer.js'
export { openTapDevice, openTapQueues, type TapDevice, type TapDeviceOptions, type TapQueuesOptions } from './tap.js'
export { type NetworkDevice, openXdp, receiveQueues, type XdpDevice, type XdpDeviceOptions, xdpNotes } from './xdp.js'
export { XDP_REASONS, type XdpQueue } from './xdp-queue.js'
