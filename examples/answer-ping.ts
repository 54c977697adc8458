/**
 * Answers ICMP echo requests at a device, in front of the kernel, until Ctrl-C; `sluice top` shows how it
 * goes. Needs root.
 *
 *     node answer-ping.js eth0
 */
import { type PacketBundle, serveEngine, takePackets } from 'sluice'

const ETHERNET_BYTES = 14
const REPLY = 0

/** Turns each request into its reply, where it is. */
function answerEcho({ count, view, start, answer }: PacketBundle): void {
  for (let packet = 0; packet < count; packet++) {
    const ip = start(packet) + ETHERNET_BYTES
    const icmp = ip + (view.getUint8(ip) & 15) * 4
    const source = view.getUint32(ip + 12)
    view.setUint32(ip + 12, view.getUint32(ip + 16))
    view.setUint32(ip + 16, source)
    view.setUint8(icmp, REPLY)
    // The type was 8, in the high byte of a word, so the sum has to grow by 0x0800 (RFC 1624).
    const sum = view.getUint16(icmp + 2) + 0x0800
    view.setUint16(icmp + 2, (sum & 0xffff) + (sum >> 16))
    answer(packet)
  }
}

const device = process.argv[2]
if (device === undefined) {
  console.error('skipped: name the device whose pings are to be answered: answer-ping.js eth0')
} else {
  const taken = takePackets(device, 'icmp[icmptype] == icmp-echo and ip[6:2] & 0x3fff == 0', answerEcho)
  process.once('SIGINT', taken.close)
  const control = await serveEngine(taken)
  console.log(`answering pings at ${device}; ${taken.notes.join('; ')}`)
  await taken.done
  control.close()
  console.log(taken.statistics())
}
