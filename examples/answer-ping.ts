/**
 * Answers ICMP echo requests at a device, in front of the kernel, until Ctrl-C; `sluice top` shows how it
 * goes. Without a device it makes a veth pair, and has ping ask there three times. Needs root.
 *
 *     node answer-ping.js eth0
 */
import { execFile } from 'node:child_process'
import { type PacketBundle, serveEngine, type TakenPackets, takePackets } from 'sluice'
import { withNamespace } from 'sluice/kernel'
import { makePair } from './support/veth-pair.js'

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

const take = (device: string) =>
  takePackets(device, 'icmp[icmptype] == icmp-echo and ip[6:2] & 0x3fff == 0', answerEcho)

async function serve(taken: TakenPackets): Promise<void> {
  process.once('SIGINT', taken.close)
  const control = await serveEngine(taken)
  console.log(`answering pings; ${taken.notes.join('; ')}`)
  // A device that is removed ends it with one sentence.
  await taken.done.catch((error: Error) => console.error(error.message))
  control.close()
  console.log(taken.statistics())
}

const device = process.argv[2]
if (process.getuid?.() !== 0) {
  console.error('skipped: AF_XDP sockets and programs need root, run it with sudo')
} else if (device !== undefined) {
  await serve(take(device))
} else {
  const { near, far } = makePair()
  const taken = withNamespace(far, () => take('far'))
  withNamespace(near, () =>
    execFile('ping', ['-c', '3', '-i', '0.2', '192.0.2.2'], (_, output) => {
      console.log(output)
      taken.close()
    }),
  )
  await serve(taken)
}
