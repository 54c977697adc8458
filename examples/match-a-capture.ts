/** Writes a small capture, then counts what a filter matches in it, without the kernel. Needs no rights. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileFilter, createCapture, interpret, openCapture } from 'sluice'

const ETHERNET = 1
const folder = mkdtempSync(join(tmpdir(), 'sluice-example-'))
const file = join(folder, 'example.pcap')

/** Ethernet, IPv4 without options, UDP from port 40000; checksums are left zero, no filter here asks for them. */
function udpFrame(source: readonly number[], destinationPort: number): Uint8Array {
  const frame = Buffer.alloc(60)
  frame.writeUInt16BE(0x0800, 12)
  frame.set([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, ...source, 203, 0, 113, 2], 14)
  frame.writeUInt16BE(40_000, 34)
  frame.writeUInt16BE(destinationPort, 36)
  return frame
}

try {
  const writer = createCapture(file, { linkTypeNumber: ETHERNET, snapLength: 262_144, resolution: 'microseconds' })
  for (let n = 0; n < 100; n++) {
    const data = udpFrame(n < 10 ? [198, 51, 100, n] : [192, 0, 2, n], n % 2 === 0 ? 53 : 443)
    writer.write({ data, wireLength: data.length, seconds: n, nanoseconds: 0 })
  }
  writer.finish()

  const { optimized } = compileFilter('udp dst port 53 and src net 198.51.100.0/24')
  const packets = [...openCapture(file).packets()]
  const matched = packets.filter(({ data, wireLength }) => interpret(optimized, { bytes: data, wireLength }) !== null)
  console.log(`${matched.length} of ${packets.length} packets match`)
} finally {
  rmSync(folder, { recursive: true })
}
