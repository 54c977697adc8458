import type { CaptureWriter } from './capture.js'
import { type CaptureWriteOptions, openCaptureOutput } from './capture-output.js'
import { type InterfaceFields, writeInterface, writePacket, writeSection } from './pcapng-blocks.js'

/** As `createCapture`, in the pcapng format, little-endian, with one interface and times in nanoseconds. */
export function createPcapng(path: string, fields: InterfaceFields, options?: CaptureWriteOptions): CaptureWriter {
  const output = openCaptureOutput(path, options)
  writeSection(output, true)
  writeInterface(output, true, fields)
  return {
    write: (packet) => writePacket(output, true, 0, packet),
    flush: output.flush,
    finish: output.finish,
    discard: output.discard,
  }
}
