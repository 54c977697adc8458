import type { PacketBundle } from 'sluice'

const ETHERNET_BYTES = 14
const REPLY = 0

/** What `answerEcho` can answer: whole packets. */
export const ECHO_REQUESTS = 'icmp[icmptype] == icmp-echo and ip[6:2] & 0x3fff == 0'

/** Turns each ICMP echo request into its reply, where it is. */
export function answerEcho({ count, view, start, answer }: PacketBundle): void {
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
