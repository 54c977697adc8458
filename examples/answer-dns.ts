/**
 * Answers DNS queries for the address of one name at a device, in front of the kernel, until Ctrl-C; all other names
 * there do not exist. Without a device it makes a veth pair, and has Node's resolver ask there. Needs root.
 *
 *     node answer-dns.js eth0 sluice.example 192.0.2.80
 */
import { execFile } from 'node:child_process'
import { type PacketBundle, type TakenPackets, takePackets } from 'sluice'
import { withNamespace } from 'sluice/kernel'
import { makePair } from './support/veth-pair.js'

/** From the packet's start: behind an IPv4 header without options, which the filter asks for. */
const IP = 14
const UDP = IP + 20
const DNS = UDP + 8
const QUESTION = DNS + 12

/** The name as it stands in a message: each label behind its length (RFC 1035, section 3.1), then type A and class IN. */
function questionFor(name: string): Uint8Array {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label.toLowerCase())])
  return Uint8Array.of(...labels, 0, 0, 1, 0, 1)
}

/** A pointer to the question's name, type A, class IN, 60 seconds, four bytes. */
function recordFor(address: string): Uint8Array {
  return Uint8Array.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number))
}

/** Whether the question is there, in whatever case its letters are; ends of labels are no letters. */
function asks(bytes: Uint8Array, at: number, question: Uint8Array): boolean {
  for (let index = 0; index < question.length; index++) {
    const byte = bytes[at + index]!
    const lower = byte >= 65 && byte <= 90 ? byte + 32 : byte
    if (lower !== question[index]) return false
  }
  return true
}

/** Bytes of the question at `at`, at most up to `end`; 0 where it does not end there. */
function questionBytes(bytes: Uint8Array, at: number, end: number): number {
  let label = at
  while (label < end && bytes[label] !== 0) label += bytes[label]! + 1
  return label + 5 <= end ? label + 5 - at : 0
}

/** Writes addresses, ports, lengths and checksums for an answer of so many bytes. */
function turnAround(view: DataView, packet: number, lengthBytes: number): void {
  const [ip, udp] = [packet + IP, packet + UDP]
  const [source, port] = [view.getUint32(ip + 12), view.getUint16(udp)]
  view.setUint32(ip + 12, view.getUint32(ip + 16))
  view.setUint32(ip + 16, source)
  view.setUint16(udp, view.getUint16(udp + 2))
  view.setUint16(udp + 2, port)
  view.setUint16(ip + 2, lengthBytes - IP)
  view.setUint16(udp + 4, lengthBytes - UDP)
  view.setUint16(udp + 6, 0) // "no checksum", which UDP over IPv4 allows
  view.setUint16(ip + 10, 0)
  let sum = 0
  for (let word = 0; word < 20; word += 2) sum += view.getUint16(ip + word)
  sum = (sum & 0xffff) + (sum >> 16)
  view.setUint16(ip + 10, ~(sum + (sum >> 16)))
}

/** Answers with the record where the question is the one, and that there is no such name where it is not. */
function answerWith(question: Uint8Array, record: Uint8Array) {
  return ({ count, bytes, view, start, length, room, answer }: PacketBundle): void => {
    for (let packet = 0; packet < count; packet++) {
      const at = start(packet)
      const asked = questionBytes(bytes, at + QUESTION, at + length(packet))
      const end = QUESTION + asked
      // Only plain queries with one question (RFC 1035, section 4.1.1).
      if (asked === 0 || (view.getUint16(at + DNS + 2) & 0xf800) !== 0 || view.getUint16(at + DNS + 4) !== 1) continue
      const isFound = asked === question.length && asks(bytes, at + QUESTION, question)
      if (room(packet) < end + record.length) continue
      // An answer, authoritative, with the wish for recursion as it came; code 3: no such name.
      view.setUint16(at + DNS + 2, 0x8400 | (view.getUint16(at + DNS + 2) & 0x0100) | (isFound ? 0 : 3))
      view.setUint16(at + DNS + 6, isFound ? 1 : 0)
      view.setUint32(at + DNS + 8, 0)
      if (isFound) bytes.set(record, at + end)
      const lengthBytes = end + (isFound ? record.length : 0)
      turnAround(view, at, lengthBytes)
      answer(packet, lengthBytes)
    }
  }
}

const [device, name = 'sluice.example', address = '192.0.2.80'] = process.argv.slice(2)

function take(device: string): TakenPackets {
  const answerName = answerWith(questionFor(name), recordFor(address))
  return takePackets(device, 'udp dst port 53 and ip[0] == 0x45 and ip[6:2] & 0x3fff == 0', answerName)
}

async function serve(taken: TakenPackets): Promise<void> {
  process.once('SIGINT', taken.close)
  console.log(`answering for ${name}; ${taken.notes.join('; ')}`)
  // A device that is removed ends it with one sentence.
  await taken.done.catch((error: Error) => console.error(error.message))
  console.log(taken.statistics())
}

const ASK = `
  const resolver = new (require('node:dns').promises.Resolver)()
  resolver.setServers(['192.0.2.2'])
  resolver.resolve4('${name}').then((answer) => console.log('${name} is', answer[0]))`

if (process.getuid?.() !== 0) {
  console.error('skipped: AF_XDP sockets and programs need root, run it with sudo')
} else if (device !== undefined) {
  await serve(take(device))
} else {
  const { near, far } = makePair()
  const taken = withNamespace(far, () => take('far'))
  withNamespace(near, () =>
    execFile(process.execPath, ['-e', ASK], (_, output) => {
      console.log(output)
      taken.close()
    }),
  )
  await serve(taken)
}
