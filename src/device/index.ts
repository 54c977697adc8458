export { type Capture, type CapturedPacket, CaptureError, CaptureWriteError } from './capture.js'
export { createLink, type LinkOptions } from './link.js'
export { openCapture } from './open-capture.js'
export { type CaptureWriter, createCapture, type PcapHeaderFields } from './pcap-writer.js'
